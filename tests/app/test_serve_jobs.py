"""Jobs of a server: their process, their limits, and what is left of a person who is forgotten."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the server needs the extra [serve]")

from starlette.responses import Response
from tests.app.toy_task_files import write_toy_task

from visavis.app.library import Album
from visavis.app.serve import command, worker
from visavis.app.serve.desk import Desk, Upload
from visavis.app.serve.guard import TOGETHER, Guard, Rules
from visavis.app.serve.jobs import RESTARTS, Busy, Job, Jobs
from visavis.app.serve.leftovers import ENDED, UPLOADS, album_called, empty, jobs_folder
from visavis.app.serve.roots import Roots
from visavis.core import files, registry
from visavis.core.errors import InputError

Made = Callable[..., Jobs]


@pytest.fixture
def made(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """made(most, minutes, folder): a queue whose process knows the toy task."""
    monkeypatch.syspath_prepend(str(write_toy_task(tmp_path / "toy")))
    opened: list[Jobs] = []

    def made_(most: int = 10, minutes: float = 1, folder: Path = tmp_path / "jobs") -> Jobs:
        opened.append(Jobs(folder, most, minutes))
        return opened[-1]

    yield made_
    for jobs in opened:
        jobs.close()


def _start(jobs: Jobs, photo: bool = False, **inputs: object) -> Job:
    """photo: one was uploaded for it."""
    with jobs.room() as (id, place):
        if photo:
            (place / UPLOADS).mkdir()
            (place / UPLOADS / "face.jpg").write_bytes(b"face")
        given = {"photos": [], "words": "w", "n": 200, "pause": 0.1, "out": str(place / "files"), **inputs}
        return jobs.start(id, "toy.count", given, {})


def _until(jobs: Jobs, job: Job, *states: str) -> Job:
    until = time.monotonic() + 60
    while jobs.get(job.id).state not in states:
        assert time.monotonic() < until, jobs.get(job.id)
        time.sleep(0.05)
    return jobs.get(job.id)


def _begun(jobs: Jobs, job: Job) -> None:
    until = time.monotonic() + 60
    while not jobs.files(job.id):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_full_queue_says_so_and_leaves_no_folder(made: Made, tmp_path: Path) -> None:
    jobs = made(most=1)
    first = _start(jobs)
    _until(jobs, first, "running")
    second = _start(jobs)
    with pytest.raises(Busy, match="1 jobs are waiting"):
        _start(jobs)
    assert {path.name for path in (tmp_path / "jobs").iterdir() if path.is_dir()} == {first.id, second.id}


def test_jobs_that_hold_too_much_are_the_last(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = made()
    job = _start(jobs, photo=True, n=1)
    _until(jobs, job, "done")
    monkeypatch.setattr("visavis.app.serve.jobs.ROOM", 10**6)
    _until(jobs, _start(jobs, n=1), "done")
    (tmp_path / "jobs" / job.id / "files" / "large.png").write_bytes(bytes(10**6))
    with pytest.raises(Busy, match="hold too much"):
        _start(jobs)
    jobs.drop(job.id)
    _start(jobs, n=1)


def test_a_cancellation_in_the_middle_of_an_answer_leaves_it_whole(made: Made) -> None:
    jobs = made()
    pipe = jobs._started()
    task = "toy.count", {"photos": [], "words": "large"}, {}
    pipe.send(task)
    assert pipe.poll(120)  # it began, and waits for a reader of the rest
    os.kill(jobs._process[0].pid, worker.CANCEL)
    with ThreadPoolExecutor(1) as pool:
        try:
            assert len(pool.submit(pipe.recv).result(60)[1]["said"]) == 2**26
        finally:
            jobs._process[0].kill()


def test_of_a_job_that_does_not_change_something_is_said_at_times(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio does not notice before that a browser has left."""
    gradio = pytest.importorskip("gradio", reason="the page needs the extra [serve]")
    from visavis.app.serve import page_forms

    jobs = made()
    with gradio.Blocks():
        form = page_forms.TaskForm(Desk(Roots({}), jobs), registry.tasks()["create.portrait"], "Create")
    monkeypatch.setattr(page_forms, "BEAT", 0.1)
    job = _start(jobs, pause=10.0)

    async def told() -> None:
        followed = form._followed(job.id)
        for _ in range(8):
            await anext(followed)

    asyncio.run(asyncio.wait_for(told(), 20))


def test_a_job_that_takes_too_long_is_ended_and_the_next_one_is_done(made: Made) -> None:
    jobs = made(minutes=0.05)
    slow, quick = _start(jobs), _start(jobs, n=1)
    ended = _until(jobs, slow, *ENDED)
    assert ended.state == "cancelled" and ended.failure == "It took longer than 0.05 minutes."
    assert _until(jobs, quick, *ENDED).state == "done"


def test_a_process_that_is_killed_fails_its_job_alone(made: Made) -> None:
    jobs = made()
    job = _start(jobs)
    _begun(jobs, job)
    os.kill(jobs._process[0].pid, 9)
    ended = _until(jobs, job, *ENDED)
    assert ended.state == "failed" and "ended from outside" in (ended.failure or "") and jobs.files(job.id)
    assert _until(jobs, _start(jobs, n=1), *ENDED).state == "done"


def test_an_answer_that_is_no_json_fails_its_job_alone(made: Made) -> None:
    jobs = made()
    odd, next_ = _start(jobs, words="odd"), _start(jobs, n=1, pause=0.0)
    failed = _until(jobs, odd, "failed")
    assert failed.kind == "fault" and "TypeError" in failed.failure
    assert _until(jobs, next_, "done")


def test_a_record_that_cannot_be_read_costs_no_pictures(made: Made, tmp_path: Path) -> None:
    for name, record in (("newer", '{"id": "newer", "more": 1}'), ("broken", "{")):
        (tmp_path / "jobs" / name / "files").mkdir(parents=True)
        (tmp_path / "jobs" / name / "files" / "000.png").touch()
        (tmp_path / "jobs" / name / "job.json").write_text(record)
    (tmp_path / "jobs" / "upload" / "uploads").mkdir(parents=True)
    assert made().all() == []
    assert sorted(path.parent.parent.name for path in (tmp_path / "jobs").rglob("000.png")) == ["broken", "newer"]
    assert not (tmp_path / "jobs" / "upload").exists()


def test_a_job_that_ends_every_server_is_given_up(made: Made, tmp_path: Path) -> None:
    jobs = made()
    job = _start(jobs)
    _begun(jobs, job)
    for _ in range(RESTARTS):
        jobs.close()
        jobs = made()
        _until(jobs, job, "running")
    jobs.close()
    jobs = made()
    given_up = jobs.get(job.id)
    assert given_up.state == "failed" and "given up" in (given_up.failure or "")


def test_only_one_server_works_in_a_folder(made: Made) -> None:
    made()
    with pytest.raises(InputError, match="Another server"):
        made()


def test_a_full_disk_refuses_a_job_and_stops_no_other(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = made()
    running = _start(jobs, n=10)
    _begun(jobs, running)

    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("visavis.app.serve.jobs.write_whole", full)
    with pytest.raises(InputError, match="No space left"):
        _start(jobs)
    assert _until(jobs, running, *ENDED).state == "failed"  # its answer could not be written
    monkeypatch.setattr("visavis.app.serve.jobs.write_whole", files.write_whole)
    assert _until(jobs, _start(jobs, n=1), *ENDED).state == "done"


def test_a_cancelled_job_that_cannot_be_written_down_does_not_run_later(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = made()
    running, waiting = _start(jobs, n=3), _start(jobs)

    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("visavis.app.serve.jobs.write_whole", full)
        assert jobs.cancel(waiting.id).state == "cancelled"
    jobs.close()
    assert [one.id for one in made().all()] == [running.id]


def test_uploads_of_ended_jobs_go_also_where_the_server_was_killed_before(made: Made, tmp_path: Path) -> None:
    jobs = made()
    job = _start(jobs, photo=True, n=1)
    _until(jobs, job, "done")
    jobs.close()
    left = tmp_path / "jobs" / job.id / UPLOADS
    left.mkdir()
    (left / "face.jpg").write_bytes(b"face")
    assert made().get(job.id).state == "done" and not left.exists()


def test_forgetting_takes_uploads_and_the_jobs_of_that_person(home: Path, fill: Callable[..., Path]) -> None:
    here = album_called(str(home / "album.db"))

    def job(id: str, person: int | None, album: str = here) -> Path:
        folder = home / "jobs" / "serve" / id / "files"
        folder.mkdir(parents=True)
        (folder.parent / "job.json").write_text(json.dumps({"state": "done", "album": album}))
        record = {"consent": [{"state": "given", "person": person}]}
        (folder / "00000.json").write_text(json.dumps(record))
        (folder / "00000.png").write_bytes(b"face")
        return folder

    with Album() as album:
        album.add(fill(("obama", "obama2", "biden")))
        gone, other = album.people()[:2]
        folders = {person: job(f"job-{person}", person) for person in (gone.id, other.id, None)}
        elsewhere, merged = job("elsewhere", gone.id, "/b.db"), job("merged", 1000)
        upload = home / "tmp" / "page" / "some" / "upload.jpg"
        upload.parent.mkdir(parents=True)
        upload.write_bytes(b"face")
        album.forget(gone.called)
    assert not upload.exists() and not folders[gone.id].exists() and not merged.exists()
    assert folders[other.id].exists() and folders[None].exists() and elsewhere.exists()


def test_forgetting_ends_the_jobs_that_hold_photos(made: Made, home: Path, fill: Callable[..., Path]) -> None:
    """Nobody knows yet whom their pictures will show. Their process cannot bring them back."""
    jobs = made(folder=jobs_folder())
    running, waiting = _start(jobs, photo=True), _start(jobs, photo=True)
    other = _start(jobs, n=1)
    _begun(jobs, running)
    with Album() as album:
        album.add(fill(("obama", "obama2")))
        album.forget(album.people()[0].called)
        assert [one.id for one in jobs.all()] == [other.id]
        for id in (running.id, waiting.id):
            with pytest.raises(KeyError):
                jobs.get(id)
        assert _until(jobs, other, *ENDED).state == "done"  # long before the first would have been
    assert [path.name for path in jobs_folder().iterdir() if path.is_dir()] == [other.id]
    jobs.close()
    jobs = made(folder=jobs_folder())
    assert {path.name for path in jobs_folder().iterdir()} == {other.id, "lock"}


def test_whoever_waits_while_somebody_is_forgotten_is_asked_to_send_again(
    made: Made, home: Path, small: dict[str, Path]
) -> None:
    desk = Desk(Roots({}), made())
    photos = [Upload(f"{n}.jpg", small["obama"].open("rb")) for n in range(40)]
    begun = desk.begun(registry.tasks()["look"], {}, {"photos": photos})
    while not list((home / "tmp").glob("serve-*/uploads/photos-39/*")):
        time.sleep(0.01)
    empty()
    with pytest.raises(Busy, match="send it again"):
        begun.result()


def test_what_is_too_old_goes_and_nothing_stays_when_the_server_ends(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"):
        monkeypatch.setenv(name, "")  # put back afterwards
    monkeypatch.setattr(command, "PAUSE", 0.05)
    page = home / "tmp" / "page"
    jobs = {f"job-{age}": (datetime.now(UTC) - timedelta(hours=age)).isoformat() for age in (23, 25)}
    for id, ended in jobs.items():
        (jobs_folder() / id).mkdir(parents=True)
        record = {"id": id, "task": "look", "inputs": {}, "options": {}, "state": "done", "ended": ended}
        (jobs_folder() / id / "job.json").write_text(json.dumps(record))
    with command.application((), Rules(), page=False):
        for name, age in (("new", 3500), ("old", 3700)):
            (page / name).write_bytes(b"face")
            os.utime(page / name, (time.time() - age,) * 2)
        until = time.monotonic() + 10
        while (page / "old").exists() or (jobs_folder() / "job-25").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        assert (page / "new").exists() and (jobs_folder() / "job-23").exists()
    assert not page.exists()


def test_short_tasks_that_would_wait_too_long_are_refused(
    made: Made, home: Path, small: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_THREADS", "1")
    desk = Desk(Roots({}), made(), waiting=1)
    uploads = [[Upload("a.jpg", small["obama"].open("rb"))] for _ in range(3)]
    look = registry.tasks()["look"]
    begun = [desk.begun(look, {}, {"photos": uploads[number]}) for number in range(2)]
    with pytest.raises(Busy, match="try again later"):
        desk.begun(look, {}, {"photos": uploads[2]})
    assert [len(one.result()["photos"]) for one in begun] == [1, 1]
    assert desk.begun(look, {}, {"photos": uploads[2]}).result()["photos"]


def test_a_short_task_that_takes_long_is_ended_whether_its_client_waits_or_not(
    made: Made, home: Path, small: dict[str, Path]
) -> None:
    photos = [Upload(f"{n}.jpg", small["obama"].open("rb")) for n in range(40)]
    desk = Desk(Roots({}), made(), seconds=0.1)
    with pytest.raises(InputError, match="This takes longer"):
        desk.short(registry.tasks()["look"], {}, {"photos": photos})


@pytest.mark.parametrize("pause", [30, 0.03])
def test_a_client_that_sends_nothing_more_or_hardly_anything_is_not_waited_for(pause: float) -> None:
    heard: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            pass
        heard.append(message["type"])

    async def slow() -> Any:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        pass

    scope = {"type": "http", "path": "/", "method": "POST", "headers": [(b"host", b"localhost")]}
    asyncio.run(asyncio.wait_for(Guard(app, Rules(patience=0.1))(scope, slow, send), 10))
    assert heard == ["http.disconnect"]


@pytest.mark.parametrize("said", [(b"content-length", b"100"), (b"transfer-encoding", b"chunked")])
def test_bodies_in_flight_have_an_end_together(said: tuple[bytes, bytes]) -> None:
    """Each lies in memory or on the disk until it is answered."""
    answers: list[int] = []

    async def asked() -> None:
        free = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await free.wait()
            await Response()(scope, receive, send)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            answers.extend([message["status"]] if "status" in message else [])

        guard = Guard(app, Rules(most=100))
        scope = {"type": "http", "path": "/", "method": "POST", "headers": [(b"host", b"localhost"), said]}
        waiting = [asyncio.create_task(guard(scope, receive, send)) for _ in range(TOGETHER)]
        await asyncio.sleep(0)
        await guard(scope, receive, send)
        assert answers == [503]
        free.set()
        await asyncio.gather(*waiting)
        await guard(scope, receive, send)

    asyncio.run(asked())
    assert answers == [503] + [200] * (TOGETHER + 1)
