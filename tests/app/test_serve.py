"""`visavis serve` as clients meet it: a real server, and what it does not do for strangers."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server needs the extra [serve]")

from tests.app.toy_task_files import write_toy_task
from tests.conftest import home_at
from tests.run.toy_system_files import write_toy

from visavis.bench.served import FORM, Served, form
from visavis.bench.served import served as plain_served


def served(home: Path, *more: str | Path, **env: str) -> AbstractContextManager[Served]:
    """With a toy task and a toy system."""
    path = _with_toys(home.parent)
    return plain_served(home, *more, PYTHONPATH=path, **env)


def _with_toys(folder: Path) -> str:
    """A PYTHONPATH with both."""
    task, system = folder / "toy", folder / "toy-system"
    if not task.exists():
        write_toy_task(task)
        write_toy(system)
    return os.pathsep.join(filter(None, (str(task), str(system), os.environ.get("PYTHONPATH"))))


@pytest.fixture(scope="module")
def home(networks: tuple[Path, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the fixture of this name, for all tests of this file."""
    return home_at(tmp_path_factory.mktemp("serve") / "home", networks)


@pytest.fixture(scope="module")
def root(home: Path, small: dict[str, Path]) -> Path:
    """An offered folder: two photos, a link to a photo elsewhere, a link to a folder elsewhere."""
    made, outside = home.parent / "Photos", home.parent / "outside"
    made.mkdir()
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(small["biden"].read_bytes())
    for name in ("obama", "obama2"):
        (made / f"{name}.jpg").write_bytes(small[name].read_bytes())
    (made / "link.jpg").symlink_to(outside / "secret.jpg")
    (made / "elsewhere").symlink_to(outside)
    return made


@pytest.fixture(scope="module")
def server(home: Path, root: Path) -> Iterator[Served]:
    with served(home, "--root", root, "--no-page", "--max-upload", "5") as made:
        yield made


def test_look_and_compare_answer_as_on_the_command_line(server: Served, small: dict[str, Path]) -> None:
    look = server.post("/api/look", ("photos", small["obama"]), ("photos", small["sky"]), ("mesh", "true"))
    first, second = look.json["photos"]
    assert look.status == 200 and [first["path"], second["path"]] == ["obama.jpg", "sky.jpg"]
    assert len(first["faces"]) == 1 and len(first["faces"][0]["mesh"]) == 468 and not second["faces"]
    match = server.post("/api/compare", ("a", small["obama"]), ("b", small["obama2"])).json
    assert match["same"] is True and match["photos"][0]["path"] == "obama.jpg"
    none = server.post("/api/compare", ("a", small["obama"]), ("b", small["sky"]))
    assert none.status == 400 and "sky.jpg" in none.json["error"] and "/" not in none.json["error"]


def test_a_task_of_another_distribution_is_a_job_with_files(server: Served, home: Path, small: dict[str, Path]) -> None:
    asked = server.post("/api/toy/count", ("photos", small["sky"]), ("words", "hm"), ("loud", "true"), ("n", "4"))
    assert asked.status == 202 and asked.headers["location"] == f"/api/jobs/{asked.json['id']}"
    events = server.ask(f"/api/jobs/{asked.json['id']}/events").body.decode()
    assert events.startswith("data: {") and '"state": "done"' in events
    job = server.ended(asked.json["id"])
    assert job["document"] == {"schema": "toy.count/1", "said": "HM", "photos": ["sky.jpg"], "out": "files"}
    assert job["files"] == ["000.txt", "001.txt", "002.txt", "003.txt"]
    assert server.ask(f"/api/jobs/{job['id']}/files/002.txt").body == b"2"
    shown = {name.lower(): value for name, value in server.ask(f"/api/jobs/{job['id']}/files/002.txt").headers.items()}
    assert shown["cache-control"] == "no-store" and "content-disposition" not in shown
    (home / "jobs" / "serve" / job["id"] / "files" / "a.html").write_text("<script>alert(1)</script>")
    kept = {name.lower(): value for name, value in server.ask(f"/api/jobs/{job['id']}/files/a.html").headers.items()}
    assert kept["content-disposition"].startswith("attachment") and kept["content-type"] == "application/octet-stream"
    for name in ("../job.json", "%2e%2e/job.json", "..%2fjob.json", "/etc/passwd", "%2fetc%2fpasswd", "none"):
        assert server.ask(f"/api/jobs/{job['id']}/files/{name}").status == 404
    assert server.ask(f"/api/jobs/{job['id']}", method="DELETE").status == 204
    assert server.ask(f"/api/jobs/{job['id']}").status == 404


def test_the_same_task_is_on_the_command_line(home: Path, small: dict[str, Path], tmp_path: Path) -> None:
    told = ["toy", "count", str(small["sky"]), "hm", "--loud", "--n", "2", "--out", str(tmp_path / "out"), "--json"]
    env = {**os.environ, "VISAVIS_HOME": str(home), "PYTHONPATH": _with_toys(home.parent)}
    done = subprocess.run([sys.executable, "-m", "visavis", *told], env=env, capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["said"] == "HM", done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000.txt", "001.txt"]


@pytest.mark.signed
def test_a_system_of_another_distribution_is_there_with_its_options(server: Served, small: dict[str, Path]) -> None:
    systems = {row["slug"]: row for row in server.ask("/api/systems").json["systems"]}
    assert systems["toy"] == server.ask("/api/systems/toy").json and "strength" in systems["toy"]["options"]
    assert "likeness" in [figure["name"] for figure in systems["arc2face"]["figures"]]
    asked = (("person", small["obama"]), ("prompt", ""), ("system", "toy"), ("n", "1"))
    for wrong in (("strength", "2"), ("mirror", "perhaps"), ("system", "none")):
        assert server.post("/api/create/portrait", *asked, wrong).status in (400, 422) or wrong[0] == "system"
    made = [server.post("/api/create/portrait", *asked, ("strength", share)).json["id"] for share in ("1", "0")]
    jobs = [server.ended(id, 120) for id in made]
    assert [job["state"] for job in jobs] == ["done", "done"], jobs
    lacking = server.post("/api/create/portrait", *asked[1:])
    assert lacking.status in (400, 422) and "person" in lacking.body.decode()
    names = [job["document"]["pictures"][0]["path"].rpartition("/")[2] for job in jobs]
    assert all(name.endswith("-00000.png") for name in names)
    files = [f"/api/jobs/{job['id']}/files/{name}" for job, name in zip(jobs, names, strict=True)]
    first, second = (server.ask(file).body for file in files)
    assert first[:4] == second[:4] == b"\x89PNG" and len(first) > 2 * len(second)  # of which the second is grey


def test_a_text_is_no_photo(server: Served, small: dict[str, Path]) -> None:
    """Not even where it names one of this machine."""
    there = str(small["obama"])
    for path, fields in (
        ("look", (("photos", there),)),
        ("compare", (("a", there), ("b", small["obama"]))),
        ("create/portrait", (("person", there), ("prompt", ""))),
        ("verify", (("files", there),)),
    ):
        assert server.post(f"/api/{path}", *fields).status == 422


def test_a_job_is_cancelled_and_keeps_what_it_wrote(server: Served, small: dict[str, Path]) -> None:
    slow = (("photos", small["sky"]), ("words", "slow"), ("n", "500"), ("pause", "0.1"))
    first, second = (server.post("/api/toy/count", *slow).json["id"] for _ in range(2))
    while not server.ask(f"/api/jobs/{first}").json["progress"]["done"]:
        time.sleep(0.1)
    assert server.ask(f"/api/jobs/{first}", method="DELETE").status == 409
    for id in (second, first):
        assert server.ask(f"/api/jobs/{id}/cancel", method="POST").status == 200
    assert server.ended(second)["files"] == [] and server.ended(first)["state"] == "cancelled"
    assert 1 <= len(server.ended(first)["files"]) < 500
    quick = server.post("/api/toy/count", ("photos", small["sky"]), ("words", "fail")).json["id"]
    failed = server.ended(quick)
    assert failed["state"] == "failed" and failed["error"] == "It was told to fail." and failed["error_kind"] == "input"


def test_places_to_write_and_what_is_for_here_only_are_not_offered(server: Served, small: dict[str, Path]) -> None:
    schemas = server.ask("/api/openapi.json").json["components"]["schemas"]
    fields = {name for schema in schemas.values() for name in schema.get("properties", ())}
    assert {"photos", "photos_folder", "words", "mesh", "max_false_match"} <= fields
    assert not {"out", "draw", "embedding", "only_here"} & fields
    taken = server.post("/api/toy/count", ("photos", small["sky"]), ("words", "x"), ("out", "/tmp/visavis-no"))
    assert server.ended(taken.json["id"])["document"]["out"] == "files" and not Path("/tmp/visavis-no").exists()
    docs = server.ask("/api/docs").body.decode()
    assert "toy/count" in docs and "//" not in docs.replace("<!doctype", "")


@pytest.mark.parametrize(
    "said",
    ["/etc", "Photos/../outside", "../outside", "Photos/elsewhere", "Photos/link.jpg", "outside", "", "Photos/\0"],
)
def test_only_what_lies_below_an_offered_folder_is_read(server: Served, said: str) -> None:
    asked = server.post("/api/look", ("photos_folder", said))
    assert asked.status == 400 and ("not below" in asked.json["error"] or "must be given" in asked.json["error"])


def test_a_folder_is_looked_at_under_the_name_that_clients_know(server: Served, root: Path) -> None:
    asked = server.post("/api/look", ("photos_folder", "Photos"))
    rows = {row["path"]: row["error"] for row in asked.json["photos"]}
    assert (
        rows["Photos/obama.jpg"] is None
        and "a link" in rows["Photos/link.jpg"]
        and "a link" in rows["Photos/elsewhere"]
    )
    assert str(root.parent) not in asked.body.decode()


def test_without_a_root_no_folder_can_be_named(home: Path, small: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "home"
    other.mkdir()
    (other / "weights").symlink_to((home / "weights").resolve())
    with served(other, "--no-page") as server:
        schemas = server.ask("/api/openapi.json").json["components"]["schemas"]
        assert not any("photos_folder" in schema.get("properties", ()) for schema in schemas.values())
        assert server.post("/api/look", ("photos_folder", "home")).status in (400, 422)


def test_a_base_is_no_way_to_a_folder_or_a_hub(server: Served) -> None:
    for base in ("/etc", "owner/name@main", "../outside"):
        asked = server.post("/api/create/faces", ("prompt", ""), ("base", base))
        assert asked.status == 400 and "not below" in asked.json["error"]


def test_a_folder_with_a_link_out_of_the_root_is_no_input(server: Served, root: Path) -> None:
    """Whoever measures or loads a model opens the files of a folder as they are."""
    case = root / "case"
    for part in ("made", "reference", "truth"):
        (case / part).mkdir(parents=True)
        shutil.copy(root / "obama.jpg", case / part / "one.jpg")
    link = case / "truth" / "two.jpg"
    for target, status in ((root / "obama2.jpg", 202), (root.parent / "outside" / "secret.jpg", 400), (root, 400)):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        asked = server.post("/api/measure/likeness", ("folder", "Photos/case"))
        assert asked.status == status and (status == 202 or "holds a link" in asked.json["error"])
    base = server.post("/api/create/faces", ("prompt", ""), ("base", "Photos/case"))
    assert base.status == 400 and "holds a link" in base.json["error"]


def test_two_hosts_are_refused_and_answers_allow_nothing_from_elsewhere(server: Served) -> None:
    twice = _raw(server, b"GET /api/jobs HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    assert b" 200 " not in twice.split(b"\r\n")[0]
    headers = {name.lower(): value for name, value in server.ask("/api/jobs").headers.items()}
    assert "default-src 'self'" in headers["content-security-policy"] and headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "user@127.0.0.1", "", "[::1"])
def test_another_host_is_refused(server: Served, host: str) -> None:
    assert server.ask("/api/jobs", Host=host).status in (400, 421)


def test_another_origin_is_refused(server: Served) -> None:
    own = server.url
    assert server.ask("/api/jobs", Origin=own).status == 200
    for origin in ("http://evil.example", "null", own.replace("127.0.0.1", "localhost"), own + "1", "http://[::1"):
        assert server.ask("/api/jobs", Origin=origin).status == 403
    # A picture's address on another page: such a request says nothing of an origin.
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert server.ask("/api/jobs", sec_fetch_site=site, sec_fetch_mode="no-cors").status == status
    assert server.ask("/api/docs", sec_fetch_site="cross-site", sec_fetch_mode="navigate").status == 200


def test_beyond_loopback_everything_is_behind_the_token(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "home"
    other.mkdir()
    with served(other, "--host", "0.0.0.0", "--no-page", VISAVIS_TOKEN="sesame") as server:
        for path in ("/api/jobs", "/api/docs", "/api/openapi.json", "/", "/api/look"):
            assert server.ask(path).status == 401
            assert server.ask(path, authorization="Bearer sesamE").status == 401
            assert server.ask(path, cookie="visavis_token=sesam").status == 401
        assert server.ask("/api/openapi.json", authorization="Bearer sesame").status == 200
        assert server.ask("/api/docs", cookie="visavis_token=sesame").status == 401
        assert "password" in server.ask("/", accept="text/html").body.decode()
        assert server.ask("/login", b"token=wrong", "POST").status == 401
        raw = _raw(server, b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\ntoken=sesame")
        assert b"303" in raw.split(b"\r\n")[0] and b"HttpOnly" in raw and b"SameSite=strict" in raw
        cookie = raw.decode().partition("set-cookie: ")[2].partition(";")[0]
        assert "sesame" not in cookie  # servers at other ports see it
        assert server.ask("/api/docs", cookie=cookie).status == 200
        assert server.ask("/api/docs", cookie=f'other={{"a": 1}}; {cookie}').status == 200


def test_a_name_of_the_machine_is_answered_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with served(tmp_path / "home", "--name", "photos.example", "--no-page", VISAVIS_TOKEN="sesame") as server:
        for host, status in (("photos.example", 200), ("PHOTOS.example:7860", 200), ("www.photos.example", 421)):
            assert server.ask("/api/jobs", host=host, authorization="Bearer sesame").status == status


def test_jobs_beyond_the_queue_are_asked_to_come_later(tmp_path: Path, small: dict[str, Path]) -> None:
    (tmp_path / "home").mkdir()
    with served(tmp_path / "home", "--no-page") as server:
        slow = (("photos", small["sky"]), ("words", "slow"), ("n", "500"), ("pause", "1"))
        answers = [server.post("/api/toy/count", *slow) for _ in range(102)]
        assert {answer.status for answer in answers[:100]} == {202}
        assert answers[-1].status == 503 and answers[-1].headers["retry-after"] == "10"


def test_how_long_an_answer_takes_tells_nothing_of_the_token() -> None:
    """Not one comparison of it ends at the first difference."""
    from starlette.responses import PlainTextResponse
    from starlette.testclient import TestClient

    from visavis.app.serve.guard import Guard, Rules

    class Watched(bytes):
        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared byte by byte")

    class Token(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared sign by sign")

        def encode(self, *told: str) -> bytes:
            return Watched(super().encode(*told))

    client = TestClient(Guard(PlainTextResponse("in"), Rules(token=Token("sesame"))), base_url="http://localhost")
    for given, status in (("sesame", 200), ("sesamE", 401), ("", 401)):
        assert client.get("/", headers={"authorization": f"Bearer {given}"}).status_code == status
    assert client.post("/login", data={"token": "sesamE"}).status_code == 401


@pytest.mark.parametrize("told", [("--host", "0.0.0.0"), ("--name", "photos.example"), ("--name", "127.evil.example")])
def test_without_a_token_of_its_own_one_is_made(tmp_path: Path, told: tuple[str, str]) -> None:
    """Also behind a proxy, where strangers come from this machine's own address."""
    (tmp_path / "home").mkdir()
    env = {**os.environ, "VISAVIS_HOME": str(tmp_path / "home")}
    env.pop("VISAVIS_TOKEN", None)
    command = [sys.executable, "-m", "visavis", "serve", *told, "--port", "0", "--no-page"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.terminate()
    assert line.startswith("token: ") and len(line) > 30 and process.wait(20) in (0, 143)


def test_large_bodies_bombs_and_broken_forms_are_refused(server: Served, small: dict[str, Path]) -> None:
    assert server.post("/api/look", ("photos", ("big.jpg", bytes(6 * 2**20)))).status == 413
    head = b"POST /api/look HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    assert b" 413 " in _raw(server, head + b"Content-Length: 2147483648\r\n\r\n")
    # Without a length said: whole and well formed, but for its size.
    whole = form(("photos", ("big.jpg", bytes(6 * 2**20))))
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in _parts(whole))
    head = f"POST /api/look HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n".encode()
    cut = _raw(server, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert b" 200 " not in cut.split(b"\r\n")[0]
    bomb = server.post("/api/compare", ("a", ("bomb.png", _bomb(10_000))), ("b", small["obama"]))
    assert bomb.status == 400 and "bomb.png" in bomb.json["error"] and "limit of 64.0 million" in bomb.json["error"]
    broken = server.ask("/api/look", b"--x\r\nnonsense", "POST", content_type="multipart/form-data; boundary=x")
    assert broken.status in (400, 422) and broken.json["error"]
    for kind in ("application/json", "text/plain", "multipart/form-data"):
        assert server.ask("/api/look", b"{}", "POST", content_type=kind).status in (400, 415, 422)


def test_names_of_uploads_lead_nowhere(server: Served, home: Path, small: dict[str, Path]) -> None:
    content = small["sky"].read_bytes()
    for name in (
        "../../../evil.jpg",
        "/etc/evil.jpg",
        "..\\..\\evil.jpg",
        "<img src=x onerror=alert(1)>.jpg",
        "é" * 300,
    ):
        told = server.post("/api/look", ("photos", (name, content))).json["photos"][0]
        assert told["error"] is None and "/" not in told["path"] and ".." not in told["path"]
    assert not list(home.parent.rglob("evil.jpg")) and not Path("/etc/evil.jpg").exists()


def test_a_folder_too_large_to_wait_for_is_refused(home: Path, tmp_path: Path, small: dict[str, Path]) -> None:
    many = tmp_path / "Many"
    (many / "few").mkdir(parents=True)
    (many / "few" / "sky.jpg").symlink_to(many / "0.jpg")
    for number in range(1001):
        (many / f"{number}.jpg").touch()
    (many / "0.jpg").write_bytes(small["sky"].read_bytes())
    shutil.copytree(home, tmp_path / "home")
    with served(tmp_path / "home", "--no-page", "--root", many) as made:
        refused = made.post("/api/look", ("photos_folder", "Many"))
        assert refused.status == 400 and "More than 1,000 files" in refused.json["error"]
        assert made.post("/api/look", ("photos_folder", "Many/few")).status == 200


def test_a_killed_server_leaves_no_upload_to_the_next(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    for place in ("serve-abc", "page/def"):
        left = tmp_path / "home" / "tmp" / place / "face.jpg"
        left.parent.mkdir(parents=True)
        left.touch()
    with served(tmp_path / "home", "--no-page"):
        assert not list((tmp_path / "home" / "tmp").rglob("face.jpg"))


def test_a_server_that_ends_does_no_more_of_what_waits(home: Path, tmp_path: Path, small: dict[str, Path]) -> None:
    shutil.copytree(home, tmp_path / "home")
    photos = [("photos", (f"{number}.jpg", small["obama"].read_bytes())) for number in range(40)]
    with ThreadPoolExecutor(80) as pool, served(tmp_path / "home", "--no-page", VISAVIS_THREADS="1") as made:
        for _ in range(80):
            pool.submit(made.post, "/api/look", *photos)
        while not list((tmp_path / "home" / "tmp").glob("serve-*/uploads/photos-39/*")):
            time.sleep(0.05)
        time.sleep(2)  # for the others to come
        made.process.terminate()
        made.process.wait(30)
    assert not [path for path in (tmp_path / "home" / "tmp").rglob("*") if path.is_file()]


def test_connections_that_ask_for_nothing_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody needs a token to hold one."""
    from starlette.responses import PlainTextResponse

    from visavis.app.serve.wire import Wire, server

    monkeypatch.setattr(Wire, "patience", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        running = server(PlainTextResponse("in"))
        pool.submit(running.run, [listening])
        try:
            for begun in (b"", b"GET / HTTP/1.1\r\nHost: "):
                with socket.create_connection(listening.getsockname()) as wire:
                    wire.settimeout(10)
                    for _ in range(2):  # one that has asked before may pause
                        wire.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" if begun else b"")
                        heard = b""
                        while begun and not heard.endswith(b"\r\n\r\nin"):
                            more = wire.recv(4096)
                            assert more
                            heard += more
                        time.sleep(0.8 if begun else 0)
                    wire.sendall(begun)
                    assert wire.recv(4096) == b""
        finally:
            running.should_exit = True


def test_no_path_of_the_machine_is_told(server: Served, home: Path, root: Path) -> None:
    (root / "empty").mkdir()
    told = server.post("/api/measure/likeness", ("folder", "Photos/empty")).json["id"]
    failed = server.ended(told)["error"]
    assert failed.startswith("Photos/empty") and "belong there" in failed
    long = server.post("/api/look", ("photos_folder", f"Photos/{'a' * 300}"))
    assert long.status == 400 and "not below" in long.json["error"]
    base = server.post("/api/create/faces", ("prompt", ""), ("base", f"Photos/{'a' * 300}"))
    assert base.status == 400 and "not below" in base.json["error"]


def test_what_is_said_of_places_is_said_without_them(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from visavis.app.serve.roots import Roots

    monkeypatch.setenv("VISAVIS_HOME", str(home))
    roots = Roots({"Photos": Path("/home/u v/Photos")})
    page, job = home / "tmp" / "page" / ("0" * 64) / "a b.jpg", home / "jobs" / "serve" / "x_1"
    for said, told in (
        ("The folder /home/u v/Photos cannot be read (no); check.", "The folder Photos cannot be read (no); check."),
        ("/home/u v/Photos/a b does not belong there.", "Photos/a b does not belong there."),
        (f"The folder {home}/tmp cannot be made.", "The folder tmp cannot be made."),
        (f"{home}/tmp/serve-ab/uploads/photos-0/a b.jpg is empty.", "a b.jpg is empty."),
        (f"{page} is empty.", "a b.jpg is empty."),
        (f"{job}/files/0.png, {job}/uploads/a-0/b.jpg, {job}/job.json", "0.png, b.jpg, job.json"),
        ("/etc/hostname cannot be read.", "hostname cannot be read."),
        ("a smile and/or a hat / cap, visavis.look/1, https://a.b/c", None),
    ):
        assert roots.told({"a": [said]}) == {"a": [told or said]}


def test_two_hundred_at_once_are_answered(server: Served, small: dict[str, Path]) -> None:
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda _: server.post("/api/look", ("photos", small["sky"])).status, range(200)))
    assert set(answers) <= {200, 503} and answers.count(200) > 100


def test_a_client_that_leaves_in_the_middle_harms_nobody(server: Served, small: dict[str, Path]) -> None:
    head = b"POST /api/look HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as gone:
        gone.sendall(head + b"Content-Length: 100000\r\n\r\n--x\r\n")
    assert server.post("/api/look", ("photos", small["obama"])).status == 200


def test_what_was_uploaded_stays_nowhere(server: Served, home: Path, small: dict[str, Path]) -> None:
    server.post("/api/look", ("photos", small["obama"]))
    left = [path for path in (home / "tmp").rglob("*") if path.is_file()]
    assert not left
    assert server.ask("/api/jobs").headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("times", [2])
def test_a_killed_server_loses_no_job(home: Path, tmp_path: Path, small: dict[str, Path], times: int) -> None:
    other = tmp_path / "home"
    other.mkdir()
    ids = []
    for _ in range(times):
        with served(other, "--no-page") as server:
            asked = server.post(
                "/api/toy/count", ("photos", small["sky"]), ("words", "w"), ("n", "8"), ("pause", "0.2")
            )
            ids.append(asked.json["id"])
            while server.ask(f"/api/jobs/{ids[0]}").json["state"] == "waiting":
                time.sleep(0.05)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
    with served(other, "--no-page") as server:
        ended = [server.ended(id) for id in ids]
        assert [job["state"] for job in ended] == ["done"] * times and ended[0]["restarts"] >= 1
        assert all(len(job["files"]) == 8 for job in ended)
        again = subprocess.run(
            [sys.executable, "-m", "visavis", "serve", "--port", "0", "--no-page"],
            env={**os.environ, "VISAVIS_HOME": str(other)},
            capture_output=True,
            text=True,
        )
        assert again.returncode == 2 and "Another server" in again.stderr


def _raw(server: Served, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as wire:
        wire.settimeout(20)
        try:
            wire.sendall(data)
            return wire.recv(65536)
        except OSError:
            return b""


def _parts(whole: bytes) -> list[bytes]:
    return [whole[start : start + 2**20] for start in range(0, len(whole), 2**20)]


def _bomb(side: int) -> bytes:
    """A PNG of side x side grey pixels in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(side * 100))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux changes the limits of a running process")
@pytest.mark.parametrize("size", [2**19, 2**22])
def test_an_upload_that_the_disk_cannot_hold_is_refused(
    home: Path, tmp_path: Path, small: dict[str, Path], size: int
) -> None:
    """A limit on the size of files stands for a full disk; larger uploads are written while they come."""
    shutil.copytree(home, tmp_path / "home")
    large = small["sky"].read_bytes() + bytes(size)
    with served(tmp_path / "home", "--no-page") as made:
        assert made.post("/api/look", ("photos", ("large.jpg", large))).status == 200
        before = made.ask("/api/jobs").json["jobs"]
        resource.prlimit(made.process.pid, resource.RLIMIT_FSIZE, (2**18, 2**18))
        for path, more in (("look", ()), ("toy/count", (("words", "x"),))):
            refused = made.post(f"/api/{path}", ("photos", ("large.jpg", large)), *more)
            assert refused.status in (400, 507) and "no space left" in refused.json["error"]
        assert made.post("/api/look", ("photos", small["sky"])).status == 200
        assert made.ask("/api/jobs").json["jobs"] == before
        assert not list((tmp_path / "home").rglob("large.jpg"))


@pytest.mark.signed
def test_who_is_known_without_consent_is_not_made(home: Path, root: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    with served(tmp_path / "home", "--no-page", "--root", root) as made:
        added = made.post("/api/person/add", ("name", "Barack"), ("photos", "Photos/obama.jpg"))
        assert added.status == 200
        asked = ("person", root / "obama2.jpg"), ("prompt", ""), ("system", "toy"), ("n", "1")
        job = made.ended(made.post("/api/create/portrait", *asked, ("no_consent_check", "true")).json["id"], 120)
        assert job["state"] == "failed" and job["error_kind"] == "refused" and not job["files"]
        assert "Barack has given no consent" in job["error"]


def test_an_album_in_use_elsewhere_is_said_and_stays(home: Path, root: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    with served(tmp_path / "home", "--no-page", "--root", root) as made:
        added = made.post("/api/album/add", ("sources", "Photos/obama.jpg"), ("sources", "Photos/obama2.jpg"))
        assert made.ended(added.json["id"])["state"] == "done"
        (album,) = (tmp_path / "home").glob("album.db")
        (person,) = made.post("/api/album/people").json["people"]
        new = ("called", f"#{person['id']}"), ("new", "Barack")
        with contextlib.closing(sqlite3.connect(album, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused = made.post("/api/album/name", *new)
            assert refused.status == 400 and "in use by another program" in refused.json["error"]
            assert str(tmp_path) not in refused.json["error"]
            assert made.post("/api/album/people").json["people"] == [person]
        assert made.post("/api/album/name", *new).status == 200
