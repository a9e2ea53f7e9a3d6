"""run on jobs of every kind: in this process and in helpers, cancelled, with bad items, with a helper killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from visavis.core.errors import InputError, VisavisError
from visavis.run.jobs import FEW, run


def double(item: int) -> tuple[int, int]:
    """Twice the item, and the process that made it; 13 is refused."""
    if item == 13:
        raise InputError("13 is no number to work with.")
    return 2 * item, os.getpid()


def killed_at_20(item: int) -> tuple[int, int]:
    if item == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return double(item)


def endless_after_10(item: int) -> tuple[int, int]:
    if item > 10:
        time.sleep(600)
    return double(item)


def slow(item: int) -> tuple[int, int]:
    time.sleep(0.05)
    return double(item)


class Numbers:
    label = "numbers"

    def __init__(self, numbers: Iterable[int], work: Callable[[int], tuple[int, int]] = double) -> None:
        self.numbers = numbers
        self.work = work
        self.begun = 0
        self.inside = False
        self.kept: dict[int, int] = {}
        self.processes: set[int] = set()
        self.errors: dict[int, str] = {}

    def items(self) -> Iterator[int]:
        for number in self.numbers:
            self.begun += 1
            yield number

    def keep(self, item: int, made: tuple[int, int]) -> None:
        assert not self.inside and item not in self.kept
        self.inside = True
        time.sleep(0.001)
        self.kept[item] = made[0]
        self.processes.add(made[1])
        self.inside = False

    def failed(self, item: int, error: VisavisError) -> None:
        assert item not in self.errors
        self.errors[item] = str(error)


def helpers_are_gone() -> bool:
    deadline = time.monotonic() + 20
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not multiprocessing.active_children()


@pytest.mark.parametrize("processes", [1, 2])
def test_every_item_is_done_once_and_a_bad_one_stops_no_other(processes: int) -> None:
    job = Numbers(range(60))
    assert run(job, processes=processes)
    assert job.kept == {number: 2 * number for number in range(60) if number != 13}
    assert job.errors == {13: "13 is no number to work with."}
    assert (os.getpid() in job.processes) == (processes == 1)
    assert helpers_are_gone()


def test_few_items_are_done_here_and_more_in_helpers() -> None:
    few, more = Numbers(range(FEW - 1), slow), Numbers(range(FEW), slow)
    assert run(few, processes=2) and run(more, processes=2)
    assert few.processes == {os.getpid()}
    assert os.getpid() not in more.processes and len(more.kept) == FEW


def test_no_item_is_a_finished_job() -> None:
    job = Numbers([])
    assert run(job, processes=2) and not job.kept


@pytest.mark.parametrize("processes", [1, 2])
def test_cancelled_in_between_keeps_what_was_kept_and_takes_no_more(processes: int) -> None:
    job = Numbers(range(100, 1_000_100))
    assert run(job, processes=processes, cancelled=lambda: len(job.kept) == 20) is False
    assert len(job.kept) == 20
    assert helpers_are_gone()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_million_items_are_never_held(processes: int) -> None:
    job = Numbers(range(100, 1_000_100))
    ahead: list[int] = []

    def cancelled() -> bool:
        ahead.append(job.begun - len(job.kept))
        return len(job.kept) == 100

    run(job, processes=processes, cancelled=cancelled)
    assert len(ahead) == 100 and max(ahead) <= max(FEW, 4 * processes)


@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_while_keeping_leaves_no_helper(processes: int) -> None:
    class Interrupted(Numbers):
        def keep(self, item: int, made: tuple[int, int]) -> None:
            super().keep(item, made)
            if len(self.kept) == 12:
                raise KeyboardInterrupt

    job = Interrupted(range(100, 1_000_100), slow)
    with pytest.raises(KeyboardInterrupt):
        run(job, processes=processes)
    assert len(job.kept) == 12 and helpers_are_gone()


def test_who_cancels_does_not_wait_for_what_helpers_are_busy_with(capfd: pytest.CaptureFixture[str]) -> None:
    job = Numbers(range(1000), endless_after_10)
    began = time.monotonic()
    assert run(job, processes=2, cancelled=lambda: len(job.kept) == 10) is False
    assert helpers_are_gone() and time.monotonic() - began < 20
    assert "Traceback" not in capfd.readouterr().err


def test_a_killed_helper_is_one_clear_sentence_and_what_was_kept_stays() -> None:
    job = Numbers(range(1000), killed_at_20)
    with pytest.raises(InputError, match=r"helper process was ended from outside.*--threads 1"):
        run(job, processes=2)
    # At most eight are under way when the helper dies.
    assert 20 not in job.kept and 20 - 8 <= len(job.kept) + len(job.errors) < 40
    assert all(made == 2 * number for number, made in job.kept.items())
    assert helpers_are_gone()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_helpers_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    (tmp_path / "forever.py").write_text(
        "import os, pathlib, time\n"
        "from visavis.run.jobs import run\n"
        "def work(item):\n"
        "    pathlib.Path(f'helper-{os.getpid()}').touch()\n"
        "    time.sleep(0.05)\n"
        "class Job:\n"
        "    label, work = 'forever', staticmethod(work)\n"
        "    def items(self): return iter(range(10**9))\n"
        "    def keep(self, item, made): pass\n"
        "    def failed(self, item, error): raise error\n"
        "if __name__ == '__main__':\n"
        "    run(Job(), processes=2)\n"
    )
    with subprocess.Popen([sys.executable, "forever.py"], cwd=tmp_path) as running:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("helper-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        running.kill()
    helpers = [int(path.name.removeprefix("helper-")) for path in tmp_path.glob("helper-*")]
    assert len(helpers) == 2
    deadline = time.monotonic() + 10
    while any(map(alive, helpers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, helpers))


def alive(process: int) -> bool:
    """A process that ended and that nobody has asked for yet counts as ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
