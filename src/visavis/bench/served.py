"""`visavis serve` in a process of its own, and what a client sends it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EDGE = "----visavis"
FORM = f"multipart/form-data; boundary={EDGE}"
Filled = str | Path | tuple[str, bytes]


def form(*fields: tuple[str, Filled]) -> bytes:
    """The body of a form (content type FORM); a Path or (name, bytes) is an upload."""
    body = b""
    for name, value in fields:
        if isinstance(value, str):
            body += f'--{EDGE}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            continue
        called, content = (value.name, value.read_bytes()) if isinstance(value, Path) else value
        head = f'--{EDGE}\r\ncontent-disposition: form-data; name="{name}"; filename="{called}"\r\n'
        body += head.encode() + b"content-type: application/octet-stream\r\n\r\n" + content + b"\r\n"
    return body + f"--{EDGE}--\r\n".encode()


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    """url without the last slash; process: of the server."""

    url: str
    process: subprocess.Popen[str]

    def ask(self, path: str, data: bytes | None = None, method: str | None = None, **headers: str) -> Answer:
        """Headers by their names with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data, named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return Answer(reply.status, dict(reply.headers), reply.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    def post(self, path: str, *fields: tuple[str, Filled], **headers: str) -> Answer:
        """A form."""
        return self.ask(path, form(*fields), "POST", content_type=FORM, **headers)

    def ended(self, id: str, seconds: float = 60) -> Any:
        """The job once it has ended."""
        until, job = time.monotonic() + seconds, None
        while time.monotonic() < until:
            job = self.ask(f"/api/jobs/{id}").json
            if job["state"] in ("done", "failed", "cancelled"):
                return job
            time.sleep(0.2)
        raise RuntimeError(f"{id} did not end: {job}")


@contextlib.contextmanager
def served(home: Path, *more: str | Path, **env: str) -> Iterator[Served]:
    """`visavis serve` with these arguments and variables, until the end of the block."""
    told = [sys.executable, "-m", "visavis", "serve", "--port", "0", *map(str, more)]
    environment = {**os.environ, "VISAVIS_HOME": str(home), **env}
    process = subprocess.Popen(told, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        found = None
        while found is None:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError(f"the server ended with {process.wait()}")
            found = re.search(r"http://\S+:(\d+)", line)
        yield Served(f"http://127.0.0.1:{found[1]}", process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)
