"""The server: who is answered, and with what."""

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tiles import read_picture, read_tile, tiles_over

from geodet.errors import ConfigError, SceneError
from geodet.viewer.map_requests import MapRequests
from geodet.viewer.map_server import HOST, MapServer
from geodet.viewer.review_desk import ReviewDesk


class Served:
    """A server in a thread, and what it answers."""

    def __init__(self, server):
        self.server = server
        self.token = server.address.split("/")[3]

    def __call__(self, name, *, token=None, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection(HOST, self.server.server_port, timeout=10)
        target = f"/{self.token if token is None else token}/{name}"
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content

    def json(self, name):
        answer, content = self(name)
        assert answer.status == 200, content
        return json.loads(content)


@pytest.fixture
def served(shown):
    with MapServer(MapRequests(shown, {"base_map": ""})) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Served(server)
        server.shutdown()
        thread.join()


def test_only_this_machine_is_served(served):
    assert served.server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("token", ["", "x", "../", "%2e%2e", "%C3%A9"])
def test_another_token_is_refused(served, token):
    answer, content = served("about.json", token=token)
    assert answer.status == 403
    assert b"geodet view printed" in content


def test_a_part_of_the_token_is_refused(served):
    assert served("about.json", token=served.token[:-1])[0].status == 403
    assert served("about.json", token=served.token + "x")[0].status == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1:1", ""])
def test_another_host_is_refused(served, host):
    assert served("about.json", Host=host)[0].status == 403


def test_localhost_is_the_same_machine(served):
    assert served("about.json", Host=f"localhost:{served.server.server_port}")[0].status == 200


def test_other_sites_may_read_nothing(served):
    answer, _ = served("about.json", Origin="https://evil.example")
    assert answer.headers["Access-Control-Allow-Origin"] is None
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_the_page_may_load_its_own_files_alone(served):
    policy = served("")[0].headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_may_load_a_base_map_that_is_wished(shown):
    address = "https://tiles.example.org/{z}/{x}/{y}.png?key=1"
    with MapServer(MapRequests(shown), base_map=address) as server:
        assert (
            "img-src 'self' data: blob: https://tiles.example.org"
            in server.headers["Content-Security-Policy"]
        )


@pytest.mark.parametrize(
    ("name", "kind", "begin"),
    [
        ("", "text/html", b"<!doctype html>"),
        ("main.js", "text/javascript", b"//"),
        ("style.css", "text/css", b"/*"),
        ("maplibre/maplibre-gl.mjs", "text/javascript", b"/**"),
        ("maplibre/LICENSE.txt", "text/plain", b"Copyright"),
    ],
)
def test_the_page_and_its_files_are_there(served, name, kind, begin):
    answer, content = served(name)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith(kind)
    assert content.startswith(begin)


@pytest.mark.parametrize(
    "name",
    ["nothing.js", "../map_server.py", "%2e%2e/map_server.py", "objects/99", "scene/1/2.png"],
)
def test_what_is_not_there_is_not_found(served, name):
    assert served(name)[0].status == 404


@pytest.mark.parametrize(
    "name", ["objects/count?at=high", "objects/count?view=1,2", "objects/step?from=x"]
)
def test_a_wrong_address_is_an_error_that_says_so(served, name):
    answer, content = served(name)
    assert answer.status == 400
    assert "the request is wrong" in json.loads(content)["error"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_known(served, method):
    assert served("about.json", method=method)[0].status == 501


def test_nothing_can_be_changed_without_reviews(served):
    assert post(served, {"do": "undo"})[0].status == 404


def post(served, request, name="reviews", **headers):
    content = request if isinstance(request, bytes) else json.dumps(request).encode()
    headers = {"Content-Type": "application/json", **headers}
    return served(name, method="POST", body=content, **headers)


@pytest.fixture
def reviewed(shown, tmp_path):
    desk = ReviewDesk(tmp_path / "r.gpkg", shown.scene, shown.layers["objects"], shown.frame)
    with MapServer(MapRequests(shown, desk=desk)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Served(server)
        server.shutdown()
        thread.join()


def test_decisions_are_carried_out(reviewed):
    answer, content = post(reviewed, {"do": "judge", "source": 0, "verdict": "accepted"})
    assert answer.status == 200
    assert json.loads(content)["put"][0]["verdict"] == "accepted"
    assert len(reviewed.json("about.json")["reviews"]["objects"]) == 1


def test_a_step_to_what_is_undecided_passes_over_all_decisions(reviewed):
    for source, verdict in ((0, "accepted"), (3, "rejected")):
        post(reviewed, {"do": "judge", "source": source, "verdict": verdict})
    assert reviewed.json("objects/step?undecided=1")["id"] == 2
    assert reviewed.json("objects/step")["id"] == 0
    for source in (1, 2):
        post(reviewed, {"do": "judge", "source": source, "verdict": "accepted"})
    assert reviewed("objects/step?undecided=1")[0].status == 204


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 403),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
def test_other_sites_may_change_nothing(reviewed, headers, status):
    answer, _ = post(reviewed, {"do": "judge", "source": 0, "verdict": "accepted"}, **headers)
    assert answer.status == status
    assert reviewed.json("about.json")["reviews"]["objects"] == []


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"do": "judge", "source": 77}', b"\xff"])
def test_a_request_that_makes_no_sense_is_refused(reviewed, content):
    assert post(reviewed, content)[0].status == 400


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"do": "add", "box_px": [1, 2, 1.2, 9], "label": "a"}, "smaller than half a pixel"),
        ({"do": "add", "box_px": [1, 2, 9, 9], "label": " "}, "the class has no name"),
        ({"do": "add", "box_px": [1, 2, 9, 9], "label": "a" * 201}, "has 201 letters"),
        ({"do": "change", "source": 0, "oriented_px": [-9, 5, 8, 8, 0]}, "outside of the scene"),
        ({"do": "delete", "id": 99}, "was taken back"),
    ],
)
def test_what_a_person_can_get_wrong_is_said_with_the_way_out(reviewed, wrong, said):
    answer, content = post(reviewed, wrong)
    assert answer.status == 422
    found = json.loads(content)
    assert said in found["error"]
    assert "the request" not in found["error"]
    assert found["hint"]


def test_a_request_that_is_too_large_is_not_read(reviewed):
    assert post(reviewed, b" " * (2**16 + 1))[0].status == 413


def test_a_refused_request_leaves_nothing_for_the_next_one(reviewed):
    connection = http.client.HTTPConnection(HOST, reviewed.server.server_port, timeout=10)
    for method, status in (("POST", 403), ("GET", 200)):
        headers = {"Host": "evil.example"} if status == 403 else {}
        body = b"x" * 8 if method == "POST" else None
        connection.request(method, f"/{reviewed.token}/about.json", body, headers)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (status, True)
    connection.close()


def test_a_connection_ends_with_a_request_that_is_not_read(reviewed):
    assert post(reviewed, b" " * (2**16 + 1))[0].headers["Connection"] == "close"


def test_the_usual_port_of_the_web_is_not_named_by_browsers(served):
    server = served.server
    assert not server.is_own(HOST)
    server.server_port = 80
    assert server.is_own(HOST)
    assert server.is_own("localhost")
    assert not server.is_own("evil.example")


def test_tiles_are_served_as_they_are_made(served, shown, tmp_path):
    zoom = shown.frame.finest_zoom
    pictures = 0
    found = set()
    for z, x, y in tiles_over(shown.frame, zoom):
        answer, content = served(f"scene/{z}/{x}/{y}.png")
        if answer.status == 200:
            assert answer.headers["Content-Type"] == "image/png"
            pictures += read_picture(content)[0].shape == (512, 512, 3)
        frame = read_tile(served(f"objects/{z}/{x}/{y}.mvt")[1], tmp_path, "boxes")
        found |= set() if frame is None else set(frame["mvt_id"])
    assert pictures
    assert found == {0, 1, 2, 3}


def test_many_threads_may_ask_at_once(served, shown):
    tiles = tiles_over(shown.frame, shown.frame.finest_zoom) * 4
    names = [f"scene/{z}/{x}/{y}.png" for z, x, y in tiles]
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda name: served(name)[1], names))
    count = len(tiles) // 4
    assert contents[:count] * 4 == contents


def test_counts_steps_and_attributes_are_answered(served):
    counts = served.json("objects/count?at=0.5")
    assert counts["classes"] == [0, 3]
    assert served.json("objects/step")["score"] == pytest.approx(0.9)
    second = served.json("objects/step?from=0&by=1")
    assert second["attributes"]["note"] == "d"
    assert (second["rank"], second["of"]) == (2, 4)
    assert served.json("objects/step?from=0&by=-1&hidden=0")["id"] == 2
    assert served("objects/step?hidden=0,1")[0].status == 204
    assert served.json("errors/1")["score"] is None
    assert served.json("objects/count?view=0,0,1,1")["view"] == [1, 3]


def test_what_the_page_is_told_is_json(served):
    about = served.json("about.json")
    assert about["base_map"] == ""
    assert len(about["layers"]) == 2


def test_a_scene_that_cannot_be_read_is_an_error_with_a_hint(served, shown, monkeypatch):
    def fail(*_):
        raise SceneError("cannot read it", hint="mend it")

    monkeypatch.setattr(shown.scene, "read_part", fail)
    z, x, y = tiles_over(shown.frame, shown.frame.finest_zoom)[0]
    answer, content = served(f"scene/{z}/{x}/{y}.png")
    assert answer.status == 422
    assert json.loads(content) == {"error": "cannot read it", "hint": "mend it"}


def test_a_port_that_is_in_use_is_an_error_with_a_hint(served, shown):
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        MapServer(MapRequests(shown), port=served.server.server_port)
    assert "--port" in caught.value.hint


def test_tokens_differ(shown):
    tokens = set()
    for _ in range(3):
        with MapServer(MapRequests(shown)) as server:
            tokens.add(server.address.split("/")[3])
    assert len(tokens) == 3
    assert min(map(len, tokens)) >= 32
    assert np.all([token.isascii() for token in tokens])
