"""The files for schedulers that the pages show: their syntax, and the commands in them."""

import re
import shutil
import subprocess

import pytest
import typer
import yaml
from doc_pages import PROJECT

from geodet_cli.main import app

SBATCH = PROJECT / "docs/howto/county.sbatch"
JOB = PROJECT / "docs/howto/county-job.yaml"
RAY_JOB = PROJECT / "docs/howto/county-rayjob.yaml"
COMMANDS = typer.main.get_command(app).commands


def commands_in(text):
    """List the geodet commands of a file, lines joined: command and options of each."""
    joined = re.sub(r"\\\n\s*", "", "\n".join(re.sub(r"^\s*#.*", "", t) for t in text.split("\n")))
    return [match.split() for match in re.findall(r"geodet ([a-z]+ [^\"\n]*)", joined)]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_batch_file_is_a_shell_script():
    subprocess.run(["bash", "-n", SBATCH], check=True)
    assert SBATCH.read_text(encoding="utf-8").startswith("#!/bin/bash\n#SBATCH ")


def test_srun_is_told_the_cores_of_a_task():
    text = SBATCH.read_text(encoding="utf-8")  # since Slurm 22.05 it does not ask sbatch for them
    assert "#SBATCH --ntasks=1\n" in text
    assert '\nsrun --cpus-per-task="$SLURM_CPUS_PER_TASK" geodet detect ' in text


@pytest.mark.parametrize("kind", ["sbatch", "ray"])
def test_commands_in_the_files_have_options_that_exist(kind):
    if kind == "ray":
        found = commands_in(yaml.safe_load(RAY_JOB.read_text())["spec"]["entrypoint"])
    else:
        found = commands_in(SBATCH.read_text(encoding="utf-8"))
    assert {name for name, *_ in found} == ({"detect"} if kind == "ray" else {"detect", "merge"})
    for name, *words in found:
        params = COMMANDS[name].params
        known = {option for param in params for option in param.opts}
        assert {word for word in words if word.startswith("-")} <= known


def test_the_ray_job_has_what_kuberay_needs():
    job = yaml.safe_load(RAY_JOB.read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_indexed_job_has_as_many_shards_as_it_tells_them():
    job = yaml.safe_load(JOB.read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"], job["spec"]["completionMode"]) == (
        "batch/v1",
        "Job",
        "Indexed",
    )
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {one["name"]: one for one in container["env"]}
    assert int(variables["WORLD_SIZE"]["value"]) == job["spec"]["completions"]
    place = variables["RANK"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert place == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }
    name, *words = container["args"]
    known = {option for param in COMMANDS[name].params for option in param.opts}
    assert {word for word in words if word.startswith("-")} <= known
