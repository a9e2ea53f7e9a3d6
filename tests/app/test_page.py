"""The page as people meet it: a real server, a real browser, a task and a system that other distributions bring."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the page needs the extra [serve]")

from tests.app.toy_task_files import write_toy_task
from tests.conftest import home_at
from tests.run.toy_system_files import CARD, write_toy

from visavis.app.serve import page_systems
from visavis.app.serve.page import SESSIONS
from visavis.bench.claims import Finding
from visavis.bench.figures import figures_of, measured_folder
from visavis.bench.served import FORM, Served, form, served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "<img src=x onerror=window.hacked=1>"
PATIENCE = 120_000  # ms: on a machine that is doing other things, too
TABS = ("Look", "Compare", "Album", "Create", "Systems", "Verify", "More")


@dataclass
class Visitor:
    """Somebody with a browser; all that they asked for."""

    page: Any
    url: str

    def tab(self, name: str) -> None:
        """Also one that a narrow screen puts behind a button."""
        tab = self.page.get_by_role("tab", name=name, exact=True)
        self.page.get_by_role("tab").first.wait_for()
        if tab.count() == 0:
            self.page.get_by_role("button", name="More tabs").click()
            self.page.get_by_role("button", name=name, exact=True).last.click()
        elif tab.get_attribute("aria-selected") != "true":
            tab.click()
        self.page.get_by_role("heading", name=name, exact=True).wait_for()

    def send(self, label: str, *files: Path) -> None:
        block = self.page.locator(".vv-file:visible", has_text=label).first
        block.locator("input[type=file]").set_input_files([str(file) for file in files])
        block.get_by_role("row").nth(len(files) - 1).wait_for()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).locator("visible=true").click()

    def sees(self, text: str) -> Any:
        found = self.page.get_by_text(text).locator("visible=true").first
        found.wait_for()
        return found

    def hears(self, text: str) -> None:
        """From a screen reader, which tells of one part of the page what it says anew."""
        part = self.page.get_by_role("status").filter(has_text=text)
        part.wait_for(state="attached")
        assert part.count() == 1 and part.inner_text() == text

    def is_wide(self) -> bool:
        """Whether the page is wider than the screen."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.fixture(scope="module")
def home(networks: tuple[Path, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the fixture of this name, for all tests of this file."""
    return home_at(tmp_path_factory.mktemp("page") / "home", networks)


@pytest.fixture(scope="module")
def server(home: Path, small: dict[str, Path]) -> Iterator[Served]:
    """Offers a folder of four photos of one man and two of another, one of them with a hostile name."""
    photos = home.parent / "Photos"
    photos.mkdir()
    for name in ("obama", "obama2", "again", "biden"):
        shutil.copy(small[name], photos)
    (photos / f"{HOSTILE}.jpg").write_bytes(small["obama3"].read_bytes())
    (photos / "biden2.jpg").write_bytes(small["biden"].read_bytes() + b"\0")
    (photos / "link.jpg").symlink_to(small["sky"])
    write_toy_task(home.parent / "task")
    write_toy(home.parent / "system", CARD.replace("claim=", 'dial="strength", claim='))
    toys = (str(home.parent / "task"), str(home.parent / "system"), os.environ.get("PYTHONPATH"))
    with served(home, "--root", photos, PYTHONPATH=os.pathsep.join(filter(None, toys))) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: the page is not opened in a browser")
    sync = pytest.importorskip("playwright.sync_api", reason="no playwright: the page is not opened in a browser")
    with sync.sync_playwright() as play:
        made = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


@pytest.fixture
def visitor(server: Served, browser: Any) -> Iterator[Visitor]:
    """Whatever they do: nothing is asked of another machine, no script breaks, no name becomes a script."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    asked, broken = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto(server.url)
    yield Visitor(page, server.url)
    assert page.evaluate("window.hacked === undefined")
    page.close()
    assert asked and [url for url in asked if not url.startswith((f"{server.url}/", "data:", "blob:"))] == []
    assert not broken


def test_every_tab_fits_a_phone_and_says_what_it_is(visitor: Visitor) -> None:
    assert visitor.page.locator("html").get_attribute("lang") == "en"
    for width in (1280, 390):
        visitor.page.set_viewport_size({"width": width, "height": 844})
        for name in TABS:
            visitor.tab(name)
            assert not visitor.is_wide(), (name, width)
            unnamed = visitor.page.evaluate(
                "[...document.querySelectorAll('input, textarea, button')].filter(one => one.checkVisibility() && "
                "!one.labels?.length && !one.ariaLabel && !one.title && !one.textContent.trim()).map(o => o.outerHTML)"
            )
            assert unnamed == [], name


def test_look_draws_boxes_and_says_words(visitor: Visitor, small: dict[str, Path], tmp_path: Path) -> None:
    hostile = tmp_path / f"{HOSTILE}.jpg"
    shutil.copy(small["biden"], hostile)
    visitor.send("Photos", small["obama"], hostile, small["sky"])
    visitor.press("Look")
    visitor.sees("2 faces on 3 photos.")
    for name in ("obama.jpg", hostile.name):
        drawn = visitor.page.get_by_role("img", name=f"{name} with 1 face marked", exact=True)
        drawn.scroll_into_view_if_needed()
        visitor.page.wait_for_function("one => one.naturalWidth > 300", arg=drawn.element_handle())
        table = visitor.page.get_by_role("table", name=f"{name}: 1 face, numbered as on the photo", exact=True)
        assert "looks about" in table.inner_text() and "eyes open" in table.inner_text()
    visitor.page.get_by_label("Photos: folders").locator("visible=true").fill("Photos")
    visitor.press("Look")
    visitor.sees("8 faces on 10 photos.")
    visitor.hears("8 faces on 10 photos.")
    visitor.page.get_by_role("alert").filter(has_text="Photos/link.jpg was not read").wait_for()
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    assert not visitor.is_wide()


def test_compare_says_the_verdict_and_how_often_it_errs(visitor: Visitor, small: dict[str, Path]) -> None:
    visitor.tab("Compare")
    visitor.send("A: a photo", small["obama"])
    visitor.send("B: another photo", small["sky"])
    visitor.press("Compare")
    alert = visitor.page.get_by_role("alert").filter(has_text="No face was found on sky.jpg")
    alert.wait_for()
    visitor.page.locator(".vv-file:visible", has_text="B: another").get_by_role("button", name="Clear").click()
    visitor.send("B: another photo", small["obama2"])
    visitor.press("Compare")
    visitor.page.get_by_role("heading", name="Same person").wait_for()
    assert "in the worst measured group" in visitor.sees("strangers scores this high").inner_text()
    assert visitor.page.get_by_role("img", name="obama2.jpg with 1 face marked").is_visible()
    assert not visitor.page.get_by_role("alert").filter(has_text="sky").is_visible()


@pytest.mark.signed
def test_portraits_come_with_likeness_terms_and_a_dial(
    visitor: Visitor, small: dict[str, Path], tmp_path: Path
) -> None:
    visitor.tab("Create")
    visitor.send("Person", small["obama"])
    visitor.page.get_by_label("Prompt how they look").fill("a dragon")
    visitor.sees("left out, the prompt decides: arc2face")
    visitor.page.get_by_label("System").click()
    visitor.page.get_by_role("option", name="toy", exact=True).click()
    visitor.sees("The nearest to a person is the photo itself.")
    assert visitor.page.get_by_label("slider for Likeness against prompt (strength)").input_value() == "1"
    visitor.press("Create")
    visitor.page.get_by_role("alert").filter(has_text="toy knows no dragons.").wait_for()
    visitor.page.get_by_label("Prompt how they look").fill("")
    visitor.press("Create")
    visitor.sees("Done.")
    made = visitor.page.locator(".vv-made figure:visible")
    assert made.count() == 6
    said = made.first.inner_text()
    assert "Likeness " in said and "copy-paste" in said and "Terms of the weights: permissive" in said
    kept = tmp_path / "made.png"
    where = visitor.url + "/" + made.first.locator("a").get_attribute("href")
    kept.write_bytes(visitor.page.request.get(where).body())
    kept.with_suffix(".json").write_bytes(visitor.page.request.get(where.replace(".png", ".json")).body())
    visitor.tab("Verify")
    visitor.send("Files", kept, small["biden"])
    visitor.press("Verify")
    visitor.sees("Its record was not sent along: choose made.json with it")
    visitor.page.locator(".vv-file:visible", has_text="Files").get_by_role("button", name="Clear").click()
    visitor.send("Files", kept, small["biden"], kept.with_suffix(".json"))
    visitor.press("Verify")
    visitor.sees("made.json beside it belongs to exactly this file.")
    visitor.page.get_by_role("heading", name="AI made or edited this picture").wait_for()
    visitor.sees("signed by this installation")
    visitor.page.get_by_role("heading", name="Nothing says that AI took part").wait_for()


def test_a_task_of_another_distribution_has_its_form_and_is_cancelled(
    visitor: Visitor, home: Path, small: dict[str, Path]
) -> None:
    visitor.tab("More")
    visitor.press("Toy count ▼" if visitor.page.get_by_text("Toy count ▼").count() else "Toy count")
    visitor.send("Photos", small["sky"])
    visitor.page.get_by_label("Words said with it").fill(HOSTILE)
    visitor.page.get_by_role("button", name="More to choose").locator("visible=true").click()
    visitor.page.get_by_label("Pause").locator("visible=true").first.fill("0.1")
    visitor.page.get_by_role("spinbutton", name="How far", exact=True).locator("visible=true").fill("500")
    go = visitor.page.get_by_role("button", name="Toy count", exact=True).last
    go.click()
    visitor.sees("counting")
    visitor.hears("counting")
    visitor.press("Cancel")
    visitor.sees("Cancelled; what was finished is kept.")
    visitor.hears("Cancelled; what was finished is kept.")
    visitor.page.get_by_role("spinbutton", name="How far", exact=True).locator("visible=true").fill("2")
    go.click()
    visitor.sees("Done.")
    visitor.hears("Done.")
    link = visitor.page.get_by_role("link", name="001.txt")
    assert link.is_visible() and visitor.sees(HOSTILE)
    made = home / "jobs" / "serve" / str(link.get_attribute("href")).split("/")[2]
    assert made.is_dir()
    visitor.press("Remove what was made")
    visitor.sees("It is removed.")
    assert not made.exists()
    visitor.page.get_by_role("spinbutton", name="How far", exact=True).locator("visible=true").fill("500")
    go.click()
    visitor.sees("counting")
    visitor.page.reload()
    visitor.tab("More")
    visitor.press("Toy count ▼" if visitor.page.get_by_text("Toy count ▼").count() else "Toy count")
    visitor.sees("counting")
    visitor.press("Cancel")
    visitor.sees("Cancelled; what was finished is kept.")


def test_the_album_by_hand_and_by_keyboard(visitor: Visitor, home: Path, small: dict[str, Path]) -> None:
    visitor.tab("Album")
    visitor.page.get_by_label("Photos or folders").fill("Photos")
    visitor.press("Add")
    visitor.sees("6 added; 6 new faces.")
    man, other = visitor.page.get_by_label(": 4 photos"), visitor.page.get_by_label(": 2 photos")
    visitor.page.get_by_label(": 2 photos, such as biden").wait_for()
    man.focus()
    visitor.page.keyboard.press("Space")
    visitor.page.get_by_label("Name", exact=True).fill(HOSTILE)
    visitor.page.keyboard.press("Enter")
    visitor.sees(f"is {HOSTILE} now: 4 faces on 4 photos.")
    visitor.send("Photo: a photo of whom to find", small["obama"])
    visitor.press("Find")
    visitor.page.get_by_role("heading", name=f"Found: {HOSTILE}").wait_for()
    man.check()
    other.check()
    visitor.press("Merge: one person")
    visitor.page.get_by_label(f"{HOSTILE}: 6 photos").wait_for()
    visitor.press("Undo the last step")
    man.check()
    other.check()
    visitor.press("Not the same: keep apart")
    visitor.sees("are kept apart.")
    man.check()
    visitor.page.get_by_label(f"Photos/{HOSTILE}.jpg").check()
    visitor.press("These are no faces")
    visitor.sees("1 rejected.")
    visitor.page.get_by_label(f"{HOSTILE}: 3 photos").wait_for()
    visitor.press("Undo the last step")
    man.check()
    visitor.page.get_by_label(f"Photos/{HOSTILE}.jpg").wait_for()
    visitor.page.get_by_label("Photos/again.jpg").check()
    visitor.press("Not the same: split")
    visitor.sees(f"1 face of {HOSTILE} moved to #")
    visitor.page.get_by_label(f"{HOSTILE}: 3 photos").check()
    visitor.press("Forget")
    visitor.page.get_by_role("alert").filter(has_text="Say first that you are sure").wait_for()
    visitor.page.get_by_label("Forget this person for good").check()
    visitor.press("Forget")
    visitor.page.get_by_role("heading", name=f"{HOSTILE} is forgotten").wait_for()
    assert "traces of a vector or picture found: 0." in visitor.sees("Read byte by byte").inner_text()
    visitor.page.get_by_label(f"{HOSTILE}: 3 photos").wait_for(state="detached")
    for name in ("Somebody", "Somebody else"):  # this session was forgotten, too; then others take its place
        other.check()
        visitor.page.get_by_label("Name", exact=True).fill(name)
        visitor.press("Name this person")
        visitor.sees(f"is {name} now: 2 faces on 2 photos.")
        _visit(visitor.url, SESSIONS + 1)
    elsewhere = visitor.page.context.browser.new_page()
    old = Visitor(elsewhere, visitor.url)
    elsewhere.set_default_timeout(PATIENCE)
    elsewhere.goto(visitor.url)
    old.tab("Album")
    elsewhere.get_by_label("Somebody else: 2 photos").wait_for()
    visitor.press("Undo the last step")
    visitor.page.get_by_label("Somebody: 2 photos").check()
    visitor.page.get_by_label("Forget this person for good").check()
    visitor.press("Forget")
    visitor.page.get_by_role("heading", name="is forgotten").wait_for()
    elsewhere.get_by_label("Somebody else: 2 photos").check()
    elsewhere.get_by_role("alert").filter(has_text="Nobody in this album is called").wait_for()
    elsewhere.get_by_label("Somebody else: 2 photos").wait_for(state="detached")
    elsewhere.close()
    assert not [path for path in (home / "tmp" / "page").rglob("*") if path.is_file()]
    assert str(home) not in visitor.page.locator("body").inner_text()


@pytest.mark.signed
def test_who_gave_no_consent_is_not_made_on_the_page(visitor: Visitor, server: Served, small: dict[str, Path]) -> None:
    assert server.post("/api/person/add", ("name", "Barack"), ("photos", "Photos/obama.jpg")).status == 200
    visitor.tab("Create")
    visitor.send("Person", small["again"])
    visitor.press("Create")
    alert = visitor.page.get_by_role("alert").filter(has_text="has given no consent. A new one is recorded under More")
    alert.wait_for()
    assert "visavis person" not in alert.inner_text()


def _visit(url: str, times: int) -> None:
    """Sessions of other browsers, each of which asks for something."""
    server = Served(url, None)  # type: ignore[arg-type]
    event = next(one["id"] for one in server.ask("/config").json["dependencies"] if not one["inputs"])
    for number in range(times):
        form = {"data": [], "fn_index": event, "session_hash": f"visitor-{number}"}
        body = json.dumps(form).encode()
        assert server.ask("/gradio_api/queue/join", body, "POST", content_type="application/json").status == 200
        told = server.ask(f"/gradio_api/queue/data?session_hash=visitor-{number}").body
        assert b'"success":true' in told


def test_whoever_follows_a_job_keeps_nobody_else_from_the_page(server: Served, small: dict[str, Path]) -> None:
    slow = (("photos", small["sky"]), ("words", "w"), ("n", "60"), ("pause", "10"))
    job = server.post("/api/toy/count", *slow).json["id"]
    again = next(one["id"] for one in server.ask("/config").json["dependencies"] if one["targets"][0][1] == "load")
    form = json.dumps({"data": [job], "fn_index": again, "session_hash": "follower"}).encode()
    for _ in range(50):
        assert server.ask("/gradio_api/queue/join", form, "POST", content_type="application/json").status == 200
    _visit(server.url, 1)
    assert server.ask(f"/api/jobs/{job}/cancel", method="POST").json["state"] in ("waiting", "running")
    server.ended(job)


def test_systems_are_cards_with_their_claims(visitor: Visitor) -> None:
    visitor.tab("Systems")
    card = visitor.page.get_by_role("article", name="toy")
    card.wait_for()
    assert "Is a copy a copy?" in card.inner_text() and "not measured yet" in card.inner_text()
    measured = visitor.page.get_by_role("article", name="arc2face")
    likeness = figures_of("create", measured_folder())["arc2face.likeness"].value
    measured.get_by_role("img", name="Effect on likeness").wait_for()
    measured.get_by_text("Facts, and what can be turned").click()
    assert f"Measured likeness\n{likeness:.3g}" in measured.inner_text()


def test_claims_are_read_where_the_package_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "checkout" / "src").mkdir(parents=True)
    assert measured_folder(tmp_path / "checkout" / "src" / "visavis") is None
    (tmp_path / "checkout" / "pyproject.toml").touch()
    assert measured_folder(tmp_path / "checkout" / "src" / "visavis") == tmp_path / "checkout" / "results"
    shown = page_systems.cards()
    monkeypatch.chdir(tmp_path)
    assert page_systems.cards() == shown and ("<svg" in shown or "not measured yet" in shown)


def test_a_claim_is_a_bar_with_its_interval() -> None:
    made = page_systems.plot(Finding("a", "null", -0.02, -0.1, 0.06, "copy_paste"))
    assert "Effect on copy paste -0.020, 95 % interval -0.100 to +0.060" in made and made.count("<rect") == 1


FILE = "gradio.FileData"


def _joined(server: Served, path: Any, number: int) -> int:
    """The status of an event of the page, all of whose inputs name a file."""
    event = [event for event in server.ask("/config").json["dependencies"] if event["inputs"]][number]
    one = {"path": path, "orig_name": "x.jpg", "meta": {"_type": FILE}}
    form = json.dumps({"data": [one] * len(event["inputs"]), "fn_index": event["id"], "session_hash": "stranger"})
    return server.ask("/gradio_api/queue/join", form.encode(), "POST", content_type="application/json").status


@pytest.mark.parametrize("path", ["/etc/hostname", "https://example.org/a.jpg", "page/../../album.db", "\0", ["/etc"]])
def test_a_form_names_no_file_of_the_machine_and_no_address(server: Served, home: Path, path: Any) -> None:
    for number in range(3):
        assert _joined(server, path, number) == 403
        assert _joined(server, f"https://example.org{'/..' * 20}{home}/tmp/page/x.jpg", number) == 403
    for body in (b"nonsense", b"[" * 100_000, bytes(2**21)):
        sent = server.ask("/gradio_api/queue/join", body, "POST", content_type="application/json")
        assert sent.status == 403
    nested = {"data": [[{"a": {"path": "/etc/hostname"}}]], "fn_index": 0, "session_hash": "stranger"}
    told = server.ask("/gradio_api/queue/join", json.dumps(nested).encode(), "POST", content_type="application/json")
    assert told.status == 403
    assert not list((home / "tmp" / "page").rglob("hostname"))


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/hostname",
        "/file=/etc/hostname",
        "/gradio_api/file=https://example.org/",
        "/gradio_api/proxy=https://example.org/",
        "/gradio_api/deep_link?session_hash=stranger",
        "/config?deep_link=a",
        "/?deep%5Flink=a",
        "/gradio_api/run/predict",
        "/gradio_api/call/predict",
        "/gradio_api/info",
        "/gradio_api/component_server",
        "/monitoring",
    ],
)
def test_of_gradio_only_what_the_page_needs_is_there(server: Served, path: str) -> None:
    assert server.ask(path).status == 404
    assert server.ask(path, b"{}", "POST").status == 404


def test_gradio_checks_paths_itself_too(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing before it."""
    from starlette.testclient import TestClient

    from visavis.app.serve.desk import Desk
    from visavis.app.serve.jobs import Jobs
    from visavis.app.serve.page import mounted
    from visavis.app.serve.rest import rest
    from visavis.app.serve.roots import Roots

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "page"))
    secret = Path("/etc/passwd")
    jobs = Jobs(tmp_path / "jobs")
    try:
        desk = Desk(Roots({}), jobs)
        with TestClient(mounted(rest(desk), desk)) as client:
            config = client.get("/config").json()
            files = {part["id"] for part in config["components"] if part["type"] == "file"}
            event = next(event for event in config["dependencies"] if files & set(event["inputs"]))
            one = {"path": str(secret), "orig_name": "x.jpg", "meta": {"_type": FILE}}
            data = [[one] if id in files else None for id in event["inputs"]]
            body = {"data": data, "fn_index": event["id"], "session_hash": "stranger"}
            assert client.post("/gradio_api/queue/join", json=body).status_code == 200
            told = client.get("/gradio_api/queue/data?session_hash=stranger").text
            assert client.get(f"/gradio_api/file={secret}").status_code == 403
        assert "process_completed" in told and '"success":false' in told.replace(" ", "")
        assert not [path for path in tmp_path.rglob("*") if path.name == secret.name]
    finally:
        jobs.close()


def test_whoever_is_forgotten_is_in_no_session_any_more(home: Path, small: dict[str, Path], tmp_path: Path) -> None:
    """Gradio keeps the last answers of a browser, and with them the photos that were drawn."""
    shutil.copytree(home, tmp_path / "home")
    script = tmp_path / "forget.py"
    script.write_text(SESSION)
    env = {**os.environ, "VISAVIS_HOME": str(tmp_path / "home"), "VISAVIS_ALBUM": str(tmp_path / "album.db")}
    done = subprocess.run([sys.executable, script, small["biden"]], env=env, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.split() == ["1", "True", "0", "False"], done.stderr


SESSION = """
import sys
import time
from starlette.testclient import TestClient
from visavis.app.library import Album
from visavis.app.serve.desk import Desk
from visavis.app.serve.jobs import Jobs
from visavis.app.serve.leftovers import jobs_folder
from visavis.app.serve.page import mounted
from visavis.app.serve.rest import rest
from visavis.app.serve.roots import Roots
from visavis.core import registry

with Album() as album:
    album.person("Joe", photos=[sys.argv[1]])
jobs = Jobs(jobs_folder())
desk = Desk(Roots({}), jobs)
app = mounted(rest(desk), desk)
(part,) = (one.app for one in app.routes if hasattr(getattr(one, "app", None), "state_holder"))
with TestClient(app) as client:
    event = next(one["id"] for one in client.get("/config").json()["dependencies"] if not one["inputs"])
    client.post("/gradio_api/queue/join", json={"data": [], "fn_index": event, "session_hash": "somebody"})
    client.get("/gradio_api/queue/data?session_hash=somebody")
    sessions = len(part.state_holder.session_data)
    client.post("/gradio_api/queue/join", json={"data": [], "fn_index": event, "session_hash": "left"})
    answers = part.get_blocks()._queue.pending_messages_per_session["left"]
    while "process_completed" not in str(answers):
        time.sleep(0.05)
    print(sessions, not answers.empty())
    desk.short(registry.tasks()["forget"], {"called": "Joe"}, {})
    print(len(part.state_holder.session_data), not answers.empty())
jobs.close()
"""


def test_the_server_tells_nobody_that_it_runs(home: Path, tmp_path: Path) -> None:
    """A proxy hears of every connection that it or Gradio would begin."""
    shutil.copytree(home, tmp_path / "home")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(3)
        where = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        proxies = {name: where for upper in names for name in (upper, upper.lower())}
        with served(tmp_path / "home", NO_PROXY="", no_proxy="", **proxies) as made:
            assert made.ask("/config").json["analytics_enabled"] is False
            with pytest.raises(TimeoutError):
                proxy.accept()


def test_uploads_without_end_are_not_taken(home: Path, tmp_path: Path, small: dict[str, Path]) -> None:
    shutil.copytree(home, tmp_path / "home")
    with served(tmp_path / "home", "--max-upload", "1") as made:
        photo = ("files", ("sky.jpg", small["sky"].read_bytes() + bytes(900_000)))
        taken = [made.post("/gradio_api/upload", (photo[0], (f"{n}.jpg", photo[1][1] + bytes([n])))) for n in range(14)]
        statuses = [answer.status for answer in taken]
        assert statuses[:5] == [200] * 5 and statuses[-1] == 503 and "removed an hour after" in taken[-1].json["error"]
        for path in (tmp_path / "home" / "tmp" / "page").rglob("*"):
            os.utime(path, (0, 0))
        assert made.post("/gradio_api/upload", photo).status == 200


def test_an_upload_that_ended_in_the_middle_goes_with_the_others(home: Path, tmp_path: Path) -> None:
    """Gradio forgets of it."""
    shutil.copytree(home, tmp_path / "home")
    with served(tmp_path / "home") as made:
        head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
        body = form(("files", ("face.jpg", bytes(200_000))))
        with socket.create_connection(("127.0.0.1", int(made.url.rpartition(":")[2]))) as gone:
            gone.sendall(head.encode() + b"Content-Length: 400000\r\n\r\n" + body[:150_000])
            left: list[Path] = []
            while not left:
                left = [path for path in (tmp_path / "home" / "tmp" / "page").rglob("*") if path.is_file()]
                time.sleep(0.05)
        os.utime(left[0], (0, 0))
        time.sleep(1)
        assert made.post("/gradio_api/upload", ("files", ("a.jpg", b"a"))).status == 200
        assert not left[0].exists()


def test_without_a_folder_the_album_is_there_and_a_token_opens_the_page(
    home: Path, browser: Any, tmp_path: Path
) -> None:
    shutil.copytree(home, tmp_path / "home")
    with served(tmp_path / "home", "--host", "0.0.0.0", VISAVIS_TOKEN="sesame") as made:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(made.url)
        page.get_by_label("Token of this server").fill("open")
        page.get_by_role("button", name="Enter").click()
        page.get_by_role("alert").filter(has_text="This token is wrong.").wait_for()
        page.get_by_label("Token of this server").fill("sesame")
        page.get_by_role("button", name="Enter").click()
        visitor = Visitor(page, made.url)
        visitor.tab("Album")
        visitor.sees("No folder of photos is offered here")
        page.close()
