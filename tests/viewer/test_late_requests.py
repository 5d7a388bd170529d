"""A page that is opened before its objects are read."""

import json
import threading
from concurrent.futures import Future

import pytest

from geodet.errors import VectorError
from geodet.viewer import late_requests
from geodet.viewer.late_requests import LateRequests
from geodet.viewer.map_requests import MapRequests


def test_the_page_comes_at_once_and_all_else_when_the_objects_are_read(shown):
    found = Future()
    late = LateRequests(found)
    assert late.answer("").content.startswith(b"<!doctype html>")
    late.wait(0.01)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(late.answer("about.json")))
    thread.start()
    assert not answers
    found.set_result(MapRequests(shown))
    thread.join()
    assert json.loads(answers[0].content)["layers"]
    assert late.receive("reviews", b"{}").status == 404
    late.wait()


def test_the_page_is_told_what_is_wrong_and_the_server_stops(monkeypatch):
    monkeypatch.setattr(late_requests, "_TOLD", 0)
    found, stopped = Future(), threading.Event()
    late = LateRequests(found)
    late.stop_when_failed(stopped.set)
    assert not stopped.is_set()
    found.set_exception(VectorError("cannot read it", hint="mend it"))
    answer = late.answer("about.json")
    assert (answer.status, json.loads(answer.content)["hint"]) == (422, "mend it")
    assert stopped.wait(10)
    with pytest.raises(VectorError, match="cannot read it"):
        late.wait()
