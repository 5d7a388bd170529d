import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from geodet.models.checkpoint import load_checkpoint
from geodet.models.input_values import InputValues
from geodet.onnx import onnx_engine
from geodet.onnx.backend import load_model
from geodet.onnx.export import export_model
from geodet.onnx.guarded_session import SharedSessions
from geodet.onnx.onnx_engine import OnnxEngine
from geodet.onnx.session import open_session


@pytest.fixture
def int8_file():
    return load_model("urban-trees").int8


@pytest.mark.parametrize(("threads", "each"), [(2, 1), (3, 2), (8, 4)])
def test_two_passes_at_a_time_have_half_of_the_threads_each(int8_file, monkeypatch, threads, each):
    opened = []

    def note(path, *, threads):
        opened.append(threads)
        return open_session(path, threads=threads)

    monkeypatch.setattr(onnx_engine, "open_session", note)
    engine = OnnxEngine(int8_file, threads=threads)
    pair = engine.paired
    assert pair is engine.paired
    chip = np.zeros((1, 3, 64, 64), np.uint8), np.ones((1, 64, 64), np.bool_)
    about = engine.about
    values = InputValues(about.mean, about.std, about.low, about.high)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(pair.forward, *chip, values) for _ in range(4)]
        found = [one.result().logits for one in both]
    assert opened == [threads, each, each]
    expected = engine.forward(*chip, values).logits
    for logits in found:
        np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_a_single_thread_computes_one_pass_after_another(int8_file):
    assert OnnxEngine(int8_file, threads=1).paired is None


def test_floats_are_computed_one_pass_after_another(make_model, tmp_path):
    path = tmp_path / "tiny.onnx"
    export_model(load_checkpoint(make_model()), path, reader="plain")
    assert OnnxEngine(path, threads=2).paired is None


def test_no_session_is_used_by_two_threads():
    both = threading.Barrier(2, timeout=10)

    class Session:
        is_used = False

        def run(self, number):
            assert not self.is_used
            self.is_used = True
            both.wait()
            self.is_used = False
            return number

    sessions = SharedSessions([Session(), Session()])
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(sessions.run, range(10))) == list(range(10))
