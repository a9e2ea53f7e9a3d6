"""C2PA manifests in real files: signed here, read back, broken by a changed byte, another's elsewhere."""

from __future__ import annotations

import contextlib
import io
import signal
import stat
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visavis.core.errors import InputError
from visavis.media.write import write_jpeg, write_png
from visavis.run import provenance

pytest.importorskip("c2pa", reason="c2pa-python is missing: pip install '.[ml]'")

FACTS = {
    "system": "toy",
    "base": "nano",
    "weights": {"toy.safetensors": "ab" * 32},
    "seed": 7,
    "prompt": "Ana smiling",
    "photos": ["me.jpg"],
    "embedding": [0.1, 0.2],
}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "made.png"
    write_png(path, np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8))
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_what_is_signed_is_read_back_and_the_pixels_stay(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"é 张{suffix}"
    pixels = np.random.default_rng(1).integers(0, 256, (32, 40, 3), np.uint8)
    (write_png if suffix == ".png" else write_jpeg)(path, pixels)
    before = np.asarray(Image.open(path))
    assert provenance.read(path) is None
    provenance.sign(path, FACTS)
    assert np.array_equal(np.asarray(Image.open(path)), before)
    found = provenance.read(path)
    assert found is not None and found.state == "own" and found.ai_made and not found.problems
    assert found.generator.startswith("visavis ") and "visavis" in found.signer
    assert found.facts == {key: FACTS[key] for key in ("system", "base", "weights", "seed")}


def test_nothing_that_tells_who_is_on_it_is_signed_into_it(picture: Path) -> None:
    provenance.sign(picture, FACTS)
    data = picture.read_bytes()
    assert not any(word in data for word in (b"Ana", b"me.jpg", b"embedding", b"home"))


def test_a_base_is_signed_by_its_name_not_by_where_it_lies(picture: Path) -> None:
    provenance.sign(picture, {**FACTS, "base": "/srv/jane.doe/sd15"})
    found = provenance.read(picture)
    assert found is not None and found.facts["base"] == "sd15" and b"jane.doe" not in picture.read_bytes()


def test_source_types_say_made_or_edited(picture: Path) -> None:
    provenance.sign(picture, FACTS)
    assert provenance.MADE.encode() in picture.read_bytes()
    provenance.sign(picture, FACTS, edited=True)
    data = picture.read_bytes()
    assert provenance.EDITED.encode() in data and provenance.MADE.encode() not in data
    found = provenance.read(picture)
    assert found is not None and found.state == "own" and found.ai_made


def test_the_key_is_the_owners_alone_and_stays(own_home: Path, picture: Path) -> None:
    provenance.sign(picture, FACTS)
    file = own_home / "keys" / "c2pa.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    before = file.read_bytes()
    provenance.sign(picture, FACTS)
    assert file.read_bytes() == before
    assert {path.name for path in file.parent.iterdir()} == {"c2pa.pem", "c2pa.lock"}


def test_another_installation_finds_it_valid_and_not_its_own(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provenance.sign(picture, FACTS)
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "other"))
    for _ in range(2):  # without a key, then with its own
        found = provenance.read(picture)
        assert found is not None and found.state == "valid" and found.ai_made
        write_png(tmp_path / "own.png", np.zeros((8, 8, 3), np.uint8))
        provenance.sign(tmp_path / "own.png", {})


def test_a_changed_pixel_breaks_it(picture: Path) -> None:
    provenance.sign(picture, FACTS)
    data = bytearray(picture.read_bytes())
    data[-60] ^= 1
    picture.write_bytes(data)
    found = provenance.read(picture)
    assert found is not None and found.state == "broken" and found.problems


def test_a_damaged_manifest_is_broken_wherever_it_is_hit(picture: Path) -> None:
    provenance.sign(picture, FACTS)
    whole = picture.read_bytes()
    start, end = whole.index(b"jumb"), whole.rindex(b"c2pa.signature")
    for at in range(start + 8, end, 97):
        data = bytearray(whole)
        data[at] ^= 0x55
        picture.write_bytes(data)
        found = provenance.read(picture)
        assert found is None or found.state == "broken", at


def signed_by_hand(picture: Path, manifest: dict[str, Any], elsewhere: str = "") -> bytes:
    """The picture signed with a manifest that visavis would not write."""
    import c2pa

    key, chain = provenance._key()
    info = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain.encode(), key.encode(), None)
    out = io.BytesIO()
    created = {"action": "c2pa.created", "digitalSourceType": provenance.SOURCE + "digitalCapture"}
    actions = {"label": provenance.ACTIONS, "data": {"actions": [created]}}
    manifest = {**manifest, "assertions": [actions, *manifest.get("assertions", [])]}
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest) as builder:
        if elsewhere:
            builder.set_no_embed()
            builder.set_remote_url(elsewhere)
        builder.sign(signer, "image/png", io.BytesIO(picture.read_bytes()), out)
    return out.getvalue()


@pytest.mark.parametrize("data", [[1, 2], "text", None, {"system": "x"}])
def test_a_strangers_manifest_may_hold_anything(picture: Path, data: Any) -> None:
    agent = {"name": "evil\x1b[31m" + 300 * "x", "version": "1"}
    odd = {"label": provenance.LABEL, "data": data}
    picture.write_bytes(signed_by_hand(picture, {"claim_generator_info": [agent], "assertions": [odd]}))
    found = provenance.read(picture)
    assert found is not None and found.state == "own" and not found.ai_made
    assert found.facts == (data if isinstance(data, dict) else {})
    assert "\x1b" not in found.generator and len(found.generator) <= 200


def test_a_manifest_that_a_file_names_elsewhere_is_not_fetched(picture: Path) -> None:
    import c2pa

    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        data = signed_by_hand(picture, {}, f"http://127.0.0.1:{server.server_port}/manifest.c2pa")
        picture.write_bytes(data)
        assert b"manifest.c2pa" in data
        with pytest.raises(InputError, match=r"lies at http://127.*; visavis fetches nothing"):
            provenance.read(picture)
        assert not asked
        with contextlib.suppress(c2pa.C2paError):  # the library left to itself does ask
            c2pa.Reader("image/png", io.BytesIO(data))
        server.shutdown()
    assert asked == ["/manifest.c2pa"]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.webp", None, "neither PNG nor JPEG"),
        ("a.png", b"no picture at all", "neither PNG nor JPEG"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "cannot be signed"),
        ("a.png", b"", "is empty"),
    ],
)
def test_what_cannot_be_signed_is_said_and_left_alone(tmp_path: Path, name: str, data: bytes | None, says: str) -> None:
    path = tmp_path / name
    if data is None:
        Image.new("RGB", (8, 8)).save(path)
    else:
        path.write_bytes(data)
    before = path.read_bytes()
    with pytest.raises(InputError, match=says):
        provenance.sign(path, FACTS)
    assert path.read_bytes() == before
    with pytest.raises(InputError, match="does not exist"):
        provenance.sign(tmp_path / "nowhere.png", FACTS)


@pytest.mark.parametrize("inside", ["seek_callback", "write_callback"])
def test_ctrl_c_inside_the_library_is_neither_lost_nor_harmful(picture: Path, inside: str) -> None:
    """What Python raises where the library calls it back is dropped there, and the file that it writes is damaged."""
    pressed = []

    def press(frame: Any, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == inside and not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.setprofile(press)
    try:
        with pytest.raises(KeyboardInterrupt):
            provenance.sign(picture, FACTS)
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGINT, before)
    assert pressed
    assert provenance.read(picture) is None
    provenance.sign(picture, FACTS)


def test_a_damaged_key_is_named(own_home: Path, picture: Path) -> None:
    provenance.sign(picture, FACTS)
    (own_home / "keys" / "c2pa.pem").write_text("rubbish")
    for act in (lambda: provenance.sign(picture, FACTS), lambda: provenance.read(picture)):
        with pytest.raises(InputError, match=r"c2pa\.pem is damaged: remove it"):
            act()


def test_without_the_library_the_extra_is_named(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(InputError, match=r"needs the extra \[ml\]"):
        provenance.sign(picture, FACTS)
