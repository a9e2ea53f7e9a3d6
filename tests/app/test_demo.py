"""The main job: it finds that the portraits of one man are one person, and the page opens in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from visavis.app.cli import run
from visavis.app.demo import demo, group
from visavis.faces.analyse import find_faces
from visavis.faces.score import match

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, portraits: dict[str, Path]) -> Path:
    return demo(None, tmp_path_factory.mktemp("demo"))


def test_portraits_of_one_man_are_one_person(portraits: dict[str, Path]) -> None:
    names = list(portraits)
    faces = [find_faces(portraits[name])[0] for name in names]
    matches = {(i, j): match(faces[i], faces[j]) for j in range(len(faces)) for i in range(j)}
    groups = [{names[i] for i in members} for members in group(faces, matches)]
    assert {"biden"} in groups
    assert {"obama", "obama2", "obama3"} <= max(groups, key=len)


def test_two_faces_of_one_photo_are_never_joined(portraits: dict[str, Path]) -> None:
    face = find_faces(portraits["biden"])[0]
    same_photo = [face, face]
    assert group(same_photo, {(0, 1): match(face, face)}) == [[0], [1]]


def test_a_folder_with_a_bad_file_and_a_hostile_name(
    portraits: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(portraits["biden"], folder / "<b>&'quoted\".jpg")
    (folder / "empty.jpg").write_bytes(b"")
    assert run(["demo", str(folder), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "index.html").read_text()
    assert "<b>&" not in text and "&lt;b&gt;&amp;" in text
    assert "empty.jpg" in text and "There is only one person." in text
    (folder / "<b>&'quoted\".jpg").unlink()
    assert run(["demo", str(folder), "--out", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


@pytest.fixture
def browser_page() -> Iterator[object]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: the page is not opened in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page(viewport={"width": 1100, "height": 900})
        browser.close()


def test_the_page_in_a_browser(page: Path, browser_page: object) -> None:
    requests: list[str] = []
    problems: list[str] = []
    browser_page.on("request", lambda request: requests.append(request.url))  # type: ignore[attr-defined]
    browser_page.on("pageerror", lambda error: problems.append(str(error)))  # type: ignore[attr-defined]
    browser_page.goto(page.as_uri())  # type: ignore[attr-defined]
    shown = browser_page.evaluate(  # type: ignore[attr-defined]
        "[...document.images].map(i => [i.complete, i.naturalWidth])"
    )
    assert len(shown) >= 8 and all(complete and width > 0 for complete, width in shown)
    assert not problems
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert browser_page.locator(".same h3").first.inner_text().endswith("of one person")  # type: ignore[attr-defined]
    wide = browser_page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # type: ignore[attr-defined]
    assert wide
