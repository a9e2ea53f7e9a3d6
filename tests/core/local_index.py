"""A package index of our own on this machine: tiny archives, served by files or by HTTP, asked by the real pip."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import visavis
from visavis.core.catalogue import Archive, Member

# Each starts without what this machine's own pip settings say; RUN reports errors as the command line would.
RUN = """
import sys
from visavis.core import weights
from visavis.core.catalogue import Archive, Member
from visavis.core.errors import VisavisError
for archive in {archives}:
    weights.register(archive)
try:
{code}
except VisavisError as error:
    print(type(error).__name__, error)
    sys.exit(error.exit_code)
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def build(
    folder: Path, name: str, contents: dict[str, bytes], kind: str = "wheel", tag: str = "py3-none-any"
) -> Archive:
    """Writes a wheel or a source archive of these files into the folder and returns its catalogue entry."""
    make = _wheel if kind == "wheel" else _sdist
    file, data, prefix = make(name, contents, tag)
    (folder / file).write_bytes(data)
    members = tuple(
        Member(f"{name}_{path.partition('.')[0]}", f"{prefix}/{path}", sha256(body), len(body))
        for path, body in contents.items()
    )
    python, abi, platform = tag.split("-")
    tags = ("3.11", "cp" if python.startswith("cp") else "py", abi, platform)
    return Archive(name, "1.0", file, sha256(data), len(data), "MIT", "permissive", "nothing", members, tags)


def _wheel(name: str, contents: dict[str, bytes], tag: str) -> tuple[str, bytes, str]:
    info = f"{name}-1.0.dist-info"
    files = {f"{name}/{path}": body for path, body in contents.items()}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: torch\n".encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode().rstrip('=')},{len(body)}\n"
        for path, body in files.items()
    )
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as wheel:
        for path, body in files.items():
            wheel.writestr(zipfile.ZipInfo(path), body)
    return f"{name}-1.0-{tag}.whl", out.getvalue(), name


def _sdist(name: str, contents: dict[str, bytes], tag: str) -> tuple[str, bytes, str]:
    """With a build backend of its own, so that the build needs nothing from an index."""
    backend = f"""
import os, pathlib
def prepare_metadata_for_build_wheel(folder, settings=None):
    info = pathlib.Path(folder) / "{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    if "MARK" in os.environ:
        pathlib.Path(os.environ["MARK"]).write_text("ran")
    return info.name
def build_wheel(*_, **__):
    raise SystemExit("nobody asked for a wheel")
"""
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    top = f"{name}-1.0"
    files = {f"{top}/{path}": body for path, body in contents.items()}
    files |= {f"{top}/backend.py": backend.encode(), f"{top}/pyproject.toml": project.encode()}
    files[f"{top}/PKG-INFO"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, body in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return f"{top}.tar.gz", out.getvalue(), top


@dataclass
class Place:
    """A home, a folder of archives that pip finds, and a way to run code in a new process there."""

    top: Path
    archives: list[Archive] = field(default_factory=list)
    index: str = ""

    @property
    def home(self) -> Path:
        return self.top / "home"

    @property
    def weights(self) -> Path:
        return self.home / "weights"

    @property
    def links(self) -> Path:
        return self.top / "links"

    def add(self, name: str, contents: dict[str, bytes], **how: str) -> Archive:
        archive = build(self.links, name, contents, **how)
        self.archives.append(archive)
        return archive

    def put(self, file: str, body: bytes) -> Path:
        """A file in the folder of weights, as a fetch or a person leaves it there."""
        self.weights.mkdir(parents=True, exist_ok=True)
        (self.weights / file).write_bytes(body)
        return self.weights / file

    def change(self, **facts: object) -> None:
        """Other facts for the last archive's entry than the truth."""
        self.archives[-1] = replace(self.archives[-1], **facts)  # type: ignore[arg-type]

    def start(
        self, code: str, before: tuple[str, ...] = (), env: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        lines = "\n".join("    " + line for line in code.splitlines())
        script = RUN.format(archives=repr(self.archives), code=lines)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "VISAVIS_"))}
        source = str(Path(visavis.__file__).parents[1])
        clean |= {
            "VISAVIS_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")]),
            "PIP_CONFIG_FILE": os.devnull,
        }
        clean |= (
            {"PIP_INDEX_URL": self.index} if self.index else {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.links)}
        )
        return subprocess.Popen(
            [*before, sys.executable, "-c", script],
            env=clean | (env or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, before: tuple[str, ...] = (), env: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        with self.start(code, before, env) as process:
            out, err = process.communicate(timeout=120)
            return process.returncode, out.strip(), err.strip()

    def files(self) -> list[str]:
        """What lies in the folder of weights, hidden files too."""
        return sorted(p.name for p in self.weights.iterdir()) if self.weights.is_dir() else []


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "links").mkdir()
    return Place(tmp_path)


@dataclass
class Served:
    """What an HTTP index was asked for; with `stall`, an archive's first half comes and then nothing."""

    downloads: list[str] = field(default_factory=list)
    half: bool = False
    stall: threading.Event | None = None
    begun: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def served(place: Place) -> Iterator[Served]:
    state = Served()

    class Index(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = place.links / self.path.rsplit("/", 1)[-1]
            if self.path.endswith("/"):
                links = "".join(f'<a href="/files/{p.name}">{p.name}</a>' for p in place.links.iterdir())
                self._send(f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), "text/html")
            elif path.is_file():
                state.downloads.append(path.name)
                state.begun.set()
                self._send(path.read_bytes(), "application/octet-stream", cut=state.half or state.stall is not None)
            else:
                self.send_error(404)

        def _send(self, body: bytes, kind: str, cut: bool = False) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.wfile.flush()
            if cut and state.stall is not None:
                state.stall.wait(60)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place.index = f"http://127.0.0.1:{server.server_port}/simple/"
        yield state
        if state.stall is not None:
            state.stall.set()
        server.shutdown()
