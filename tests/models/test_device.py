import logging

import pytest
import torch

from geodet.errors import DeviceError
from geodet.models.device import resolve_device, resolve_precision

CPU = torch.device("cpu")


@pytest.fixture
def pretend(monkeypatch):
    """Return a function that changes what this machine has."""

    def change(*, devices=0, capability=(9, 0), cpu_features=()):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: devices > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Painted GPU")
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        features = dict.fromkeys(cpu_features, True)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)

    return change


def test_auto_without_cuda_is_the_cpu_and_says_so(pretend, caplog):
    pretend(devices=0)
    with caplog.at_level(logging.INFO, "geodet.models.device"):
        assert resolve_device("auto") == CPU
    assert f"device: cpu ({torch.get_num_threads()} threads)" in caplog.text


def test_auto_with_cuda_is_the_first_gpu_and_says_so(pretend, caplog):
    pretend(devices=2)
    with caplog.at_level(logging.INFO, "geodet.models.device"):
        assert resolve_device("auto") == torch.device("cuda:0")
    assert "device: cuda:0 (Painted GPU)" in caplog.text


@pytest.mark.parametrize("devices", [0, 1])
def test_cpu_is_always_there(pretend, devices):
    pretend(devices=devices)
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize(
    ("name", "wanted"), [("cuda", "cuda:0"), ("cuda:0", "cuda:0"), ("cuda:1", "cuda:1")]
)
def test_gpus_by_name(pretend, name, wanted):
    pretend(devices=2)
    assert resolve_device(name) == torch.device(wanted)


@pytest.mark.parametrize(
    ("name", "devices", "has"),
    [("cuda", 0, "no"), ("cuda:0", 0, "no"), ("cuda:1", 1, "1"), ("cuda:7", 2, "2")],
)
def test_a_gpu_that_does_not_exist_is_an_error(pretend, name, devices, has):
    pretend(devices=devices)
    message = f"no device '{name}': this machine has {has} CUDA devices"
    with pytest.raises(DeviceError, match=message) as caught:
        resolve_device(name)
    assert "--device auto" in caught.value.hint


@pytest.mark.parametrize("name", ["gpu", "", "mps", "cpu:0", "cuda:x", "cuda:-1", "CUDA", "auto "])
def test_unknown_names_are_errors(pretend, name):
    pretend(devices=1)
    with pytest.raises(DeviceError, match=f"unknown device '{name}'") as caught:
        resolve_device(name)
    assert "auto, cpu, cuda or cuda:N" in caught.value.hint


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
@pytest.mark.parametrize(
    ("name", "wanted"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_a_named_precision_is_used(pretend, device, name, wanted):
    pretend(devices=1, capability=(7, 5))
    assert resolve_precision(name, torch.device(device)) == wanted


@pytest.mark.parametrize(
    ("capability", "wanted"),
    [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)],
)
def test_auto_on_a_gpu_follows_its_generation(pretend, capability, wanted):
    pretend(devices=1, capability=capability)
    assert resolve_precision("auto", torch.device("cuda:0")) == wanted


@pytest.mark.parametrize(
    ("features", "wanted"),
    [
        ((), torch.float32),
        (("avx512_f",), torch.float32),
        (("avx512_bf16",), torch.bfloat16),
        (("amx_bf16",), torch.bfloat16),
    ],
)
def test_auto_on_a_cpu_follows_its_features(pretend, features, wanted):
    pretend(cpu_features=features)
    assert resolve_precision("auto", CPU) == wanted
