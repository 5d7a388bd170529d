import copy

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from factories_models import architecture, seeded_network
from torch import nn

from geodet.training.distributed import SyncNorm, synchronise_norms

CPU = torch.device("cpu")


def batch():
    return torch.randn(4, 3, 6, 5, generator=torch.Generator().manual_seed(0)) * 3 + 100


def norm():
    made = nn.BatchNorm2d(3)
    with torch.no_grad():
        made.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        made.bias.copy_(torch.tensor([1.0, 0.0, -1.0]))
    return made


def work(network, images, dtype):
    """Return the output, the gradient of a loss that sees every pixel, and the new statistics."""
    images = images.clone().requires_grad_()
    out = network(images.to(dtype))
    weights = torch.linspace(-1, 1, images[0].numel()).view(images[0].shape)
    (out.float() * weights).square().sum().backward()
    state = {k: v.detach() for k, v in network.state_dict().items()}
    gradients = {name: p.grad for name, p in network.named_parameters()}
    return {"out": out.detach().float(), "grad": images.grad, **gradients, **_tracked(state)}


def _tracked(state):
    return {key: value for key, value in state.items() if "running" in key or "num" in key}


DTYPES = (torch.float32, torch.bfloat16)


def share(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    results = []
    for dtype in DTYPES:
        network = nn.Sequential(norm())
        synchronise_norms(network, CPU)
        results.append(work(network.train(), batch()[rank::2], dtype))
    torch.save(results, f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def test_two_processes_normalise_like_one(tmp_path):
    mp.spawn(share, (str(tmp_path),), nprocs=2)
    both = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for dtype, *parts in zip(DTYPES, *both, strict=True):
        whole = work(nn.Sequential(norm()).train(), batch(), dtype)
        exact = dtype == torch.float32
        close = {"rtol": 1e-4, "atol": 1e-4} if exact else {"rtol": 0.02, "atol": 0.1}
        for name in ("out", "grad"):
            for rank in (0, 1):
                torch.testing.assert_close(parts[rank][name], whole[name][rank::2], **close)
        for name in ("0.weight", "0.bias"):
            torch.testing.assert_close(parts[0][name] + parts[1][name], whole[name], **close)
        for name in ("0.running_mean", "0.running_var", "0.num_batches_tracked"):
            torch.testing.assert_close(parts[0][name], whole[name], **close)
            assert torch.equal(parts[0][name], parts[1][name])


def test_a_network_keeps_its_names_and_weights():
    network = seeded_network(architecture(head_norm="batch"))
    before = network.state_dict()
    parameters = {id(p) for p in network.parameters()}
    plain = copy.deepcopy(network)
    synchronise_norms(network, CPU)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert {id(p) for p in network.parameters()} == parameters
    kinds = {type(m) for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    assert kinds == {SyncNorm}
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(network(images).logits, plain(images).logits)  # outside of training
