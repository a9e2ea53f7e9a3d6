"""`visavis bench serve`: a real server under load, killed, asked nonsense, and watched from a browser."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil

from visavis.app.look import use as look
from visavis.bench.figures import Figure, write
from visavis.bench.served import FORM, Served, form, served
from visavis.bench.variants import write_variants
from visavis.core import weights
from visavis.core.errors import InputError
from visavis.core.progress import track
from visavis.core.settings import scratch, settings
from visavis.core.task import PhotoLike
from visavis.core.tasks import Look

CLIENTS, EACH, REPEATS = (1, 8, 32), 96, 3
UPLOADS, WARM = 2000, 100
KILLS, PHOTOS = 10, 40
EXAMPLES = 40  # requests of schemathesis for each operation and phase


def run() -> None:
    """Writes results/serve.json."""
    started = time.time()
    with scratch("serve-bench-") as name:
        top = Path(name)
        photos = top / "photos"
        photos.mkdir()
        write_variants(photos, PHOTOS)
        bodies = [form(("photos", path)) for path in sorted(photos.iterdir())]
        with served(_home(top / "load"), "--no-page") as server:
            figures = _load(server, photos, bodies)
            figures.append(_memory(server, bodies))
        with served(_home(top / "asked"), "--no-page", "--root", photos) as server:
            figures.append(_nonsense(server, top))
        figures.append(_killed(top, photos))
        with served(_home(top / "page")) as server:
            figures.append(_leaving(server))
    write("serve", figures, seed=0, started=started)


def _home(folder: Path) -> Path:
    """A home of its own with this one's weights and built networks."""
    folder.mkdir()
    weights.fetch(["cohort", "false_match_table", "child"])
    for name in ("weights", "cache"):
        (folder / name).symlink_to(getattr(settings(), name).resolve(), target_is_directory=True)
    return folder


def _load(server: Served, photos: Path, bodies: Sequence[bytes]) -> list[Figure]:
    """Requests a second beside the library's photos a second, turn by turn."""
    paths = sorted(photos.iterdir())
    work: list[PhotoLike] = [paths[i % len(paths)] for i in range(EACH)]
    for warm in range(2):
        _asked(server, bodies, 2 + warm, EACH // 4)
        look(Look(photos=work[: EACH // 4]), True)
    rates: dict[str, list[float]] = {}
    waits: dict[int, list[float]] = {clients: [] for clients in CLIENTS}
    for _ in track(range(REPEATS), "load"):
        begun = time.perf_counter()
        look(Look(photos=work), True)
        rates.setdefault("library", []).append(EACH / (time.perf_counter() - begun))
        for clients in CLIENTS:
            begun = time.perf_counter()
            waits[clients] += _asked(server, bodies, clients, EACH)
            rates.setdefault(str(clients), []).append(EACH / (time.perf_counter() - begun))
    made = [_rate("look.library_photos_per_second", rates["library"])]
    for clients in CLIENTS:
        name, ratios = f"look.clients_{clients}", np.array(rates[str(clients)]) / rates["library"]
        ms = 1000 * np.array(waits[clients])
        made += [
            _rate(f"{name}.requests_per_second", rates[str(clients)]),
            Figure(f"{name}.median_ms", float(np.median(ms)), unit="ms", better="lower", n=len(ms)),
            Figure(f"{name}.p99_ms", float(np.percentile(ms, 99)), unit="ms", better="lower", n=len(ms)),
            Figure(
                f"{name}.ratio_to_library",
                float(np.median(ratios)),
                float(ratios.min()),
                float(ratios.max()),
                unit="times",
                n=REPEATS,
            ),
        ]
    return made


def _rate(name: str, values: Sequence[float]) -> Figure:
    return Figure(name, float(np.median(values)), min(values), max(values), unit="a second", n=len(values))


def _asked(server: Served, bodies: Sequence[bytes], clients: int, count: int) -> list[float]:
    """Seconds of each of so many looks, asked by so many clients at once, each over a connection that it keeps."""

    def client(number: int) -> list[float]:
        wire, seconds = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=120), []
        for i in range(number, count, clients):
            begun = time.perf_counter()
            wire.request("POST", "/api/look", bodies[i % len(bodies)], {"content-type": FORM})
            reply = wire.getresponse()
            answer = reply.read()
            if reply.status != 200:
                raise RuntimeError(f"{reply.status}: {answer[:200]!r}")
            seconds.append(time.perf_counter() - begun)
        wire.close()
        return seconds

    with ThreadPoolExecutor(clients) as pool:
        return [one for several in pool.map(client, range(clients)) for one in several]


def _memory(server: Served, bodies: Sequence[bytes]) -> Figure:
    process = psutil.Process(server.process.pid)
    _asked(server, bodies, 8, WARM)
    before = process.memory_info().rss
    _asked(server, bodies, 8, UPLOADS)
    grown = (process.memory_info().rss - before) / 2**20
    return Figure("growth_mb", grown, unit="MB", better="lower", n=UPLOADS)


def _nonsense(server: Served, top: Path) -> Figure:
    """Answers 500, or none at all, to what schemathesis makes of the server's own OpenAPI; 503 says that too many
    wait."""
    program, report = Path(sys.executable).with_name("schemathesis"), top / "asked.har"
    if not program.exists():
        raise InputError("schemathesis is missing: pip install '.[dev]'.")
    options = ["--max-examples", str(EXAMPLES), "--seed", "0", "--checks", "not_a_server_error", "--no-color"]
    options += ["--report", "har", "--report-har-path", str(report), "--request-timeout", "60", "--continue-on-failure"]
    told = [str(program), "run", f"{server.url}/api/openapi.json", *options]
    done = subprocess.run(told, capture_output=True, text=True, cwd=top)
    if not report.exists():
        raise RuntimeError(f"schemathesis made no report: {done.stdout[-500:]} {done.stderr[-500:]}")
    return _errors(json.loads(report.read_text("utf-8"))["log"]["entries"])


def _errors(entries: Sequence[Mapping[str, Any]]) -> Figure:
    answers = [entry["response"]["status"] for entry in entries]
    lost = sum(status in (0, 500) for status in answers)  # 0: the connection ended without one
    return Figure("errors_500", float(lost), unit="answers", better="lower", n=len(answers))


def _killed(top: Path, photos: Path) -> Figure:
    """Jobs that `album.add` ended wrongly, never, or by beginning anew, after kill -9 of the server in the middle."""
    random, went = np.random.default_rng(0), list[bool]()
    for number in track(range(3 * KILLS), "killing the server"):
        home = _home(top / f"killed-{number}")
        with served(home, "--no-page", "--root", photos) as server:
            id = server.post("/api/album/add", ("sources", photos.name)).json["id"]
            while not server.ask(f"/api/jobs/{id}").json["progress"]["done"]:
                time.sleep(0.02)
            time.sleep(random.uniform(0, 1.5))
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            killed = datetime.now(UTC).isoformat()
        with served(home, "--no-page", "--root", photos) as server:
            job = server.ended(id, 300)
        shutil.rmtree(home)
        if job["ended"] > killed:  # else there was no middle any more
            went.append(_went_on(job))
        if len(went) == KILLS:
            break
    return Figure("jobs_lost", float(went.count(False)), unit="jobs", better="lower", n=len(went))


def _went_on(job: Mapping[str, Any]) -> bool:
    """Whether a job was running when its server was killed, did all photos, and none twice that were done before."""
    counts = job["document"]["counts"] if job["state"] == "done" else {}
    return bool(job["restarts"] and sum(counts.values()) == PHOTOS and counts.get("unchanged"))


def _leaving(server: Served) -> Figure:
    """Requests of the page, on all of its tabs, that go to another place than the server."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise InputError("No chromium is here, which opens the page.")
    asked: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"] if os.getuid() == 0 else [])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        tabs = page.get_by_role("tab")
        tabs.first.wait_for(timeout=120_000)
        for number in range(tabs.count()):
            tabs.nth(number).click()
            page.wait_for_timeout(500)
        browser.close()
    own = {urlsplit(server.url).netloc, ""}
    left = [url for url in asked if urlsplit(url).netloc not in own]
    return Figure("requests_leaving", float(len(left)), unit="requests", better="lower", n=len(asked))
