"""Run the command line inside the test process, so that PyTorch is loaded only once."""

import sys
from dataclasses import dataclass

import pytest

from geodet_cli.main import run


@dataclass
class Done:
    code: int
    stdout: str
    stderr: str


class Runner:
    def __init__(self, folder, monkeypatch, capsys):
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys

    def __call__(self, *arguments, code=0):
        self._monkeypatch.chdir(self.folder)
        self._monkeypatch.setattr(sys, "argv", ["geodet", *map(str, arguments)])
        self._monkeypatch.setenv("COLUMNS", "200")
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            run()
        printed = self._capsys.readouterr()
        done = Done(int(leaving.value.code or 0), printed.out, printed.err)
        assert done.code == code, done.stderr
        return done


@pytest.fixture(name="invoke")
def invoke_fixture(tmp_path, monkeypatch, capsys):
    return Runner(tmp_path, monkeypatch, capsys)


@pytest.fixture(name="tiny_path")
def tiny_path_fixture(make_model):
    """Write a tiny model file and return its path."""
    return make_model()
