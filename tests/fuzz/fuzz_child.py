"""Run fuzz cases in this process: ``fuzz_child.py TARGET,TARGET FIRST LAST`` prints their outcomes.

Case n is the case n // k of target n % k, of k targets.

Each case is one call of the command line. Its outcome must be a result (exit code 0), or an error
with a hint (exit code 1, or 3 where other scenes are done). This process has 4 GB of memory; its
parent ends it where a case takes 30 s of processor time.
"""

import contextlib
import io
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from fuzz_targets import TARGETS  # noqa: E402

from geodet_cli.main import run  # noqa: E402

BYTES = 4 << 30
LONGEST = 2500
"""Characters of an error with its hint: a document's values are shown shortened."""


def write_case(name, seed, folder):
    """Write the files of a case; return the arguments of ``geodet``."""
    return [str(word) for word in TARGETS[name](folder, random.Random(f"{name} {seed}"))]


def outcome(arguments):
    """Run the command line; return what is wrong with its outcome, and its exit code."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    sys.argv = ["geodet", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            run()
        code = 0
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    except BaseException:
        return traceback.format_exc(), -1
    err.flush()
    said = err.buffer.getvalue().decode()
    if code == 0:
        return "", code
    lines = said.splitlines()
    places = [n for n, line in enumerate(lines) if line.startswith("error: ")]
    if code not in (1, 3) or not places:
        return f"exit code {code}: {said[-3000:]}", code
    message = "\n".join(lines[places[-1] :])
    if "hint: " not in message or len(message) > LONGEST:
        return f"no hint, or {len(message)} characters: {message[:3000]}", code
    return "", code


def main():
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    names, first, last = sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3])
    numeric = "(overflow|invalid value|divide by zero|Mean of empty|All-NaN).*"
    # A value that nobody has checked.
    warnings.filterwarnings("error", numeric, RuntimeWarning, "geodet")
    for case in range(first, last):
        name, seed = names[case % len(names)], case // len(names)
        print("begin", case, flush=True)
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="geodet-fuzz-") as folder:
            wrong, code = outcome(write_case(name, seed, Path(folder)))
        seconds = f"{time.monotonic() - start:.2f}"
        print("wrong" if wrong else "fine", case, code, seconds, flush=True)
        if wrong:
            print("\n".join(f"| {line}" for line in wrong.splitlines()), flush=True)


if __name__ == "__main__":
    main()
