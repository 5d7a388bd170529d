import pytest

from geodet.onnx import onnx_engine
from geodet.onnx.backend import load_model
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
    assert engine.paired is engine.paired
    assert opened == [threads, each, each]
    assert engine.paired.about == engine.about


def test_a_single_thread_computes_one_pass_after_another(int8_file):
    assert OnnxEngine(int8_file, threads=1).paired is None
