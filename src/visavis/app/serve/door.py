"""What of Gradio's own routes the page needs: all others are not there, and no form names a file that was not sent.

Gradio serves and takes more than this page uses: files by path or URL, sessions of others, its own API. What a client
says of a file in a form it would copy, or fetch, before any component sees it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visavis.app.serve.leftovers import size, sweep

MOST = 2**20  # bytes of a filled-in form, whose photos are sent apart
PAGE = {"/", "/config", "/theme.css", "/favicon.ico", "/manifest.json"}
PARTS = ("/api/", "/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/")
JOIN, UPLOAD = "/gradio_api/queue/join", "/gradio_api/upload"
NEEDED = {JOIN, UPLOAD} | {
    f"/gradio_api/{name}" for name in ("queue/data", "upload_progress", "startup-events", "cancel", "reset", "app_id")
}


class Door:
    """ASGI middleware before the application with the page. folder: where what was sent lies; room: bytes there above
    which nothing more is taken until it is removed."""

    def __init__(self, app: ASGIApp, folder: Path, room: int) -> None:
        self.app, self.folder, self.room = app, folder.resolve(), room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            path = scope["path"]
            if not (path in PAGE or path in NEEDED or path.startswith(PARTS)) or "deep_link" in parse_qs(
                scope["query_string"].decode("latin-1"), keep_blank_values=True
            ):
                await JSONResponse({"error": "There is nothing here."}, 404)(scope, receive, send)
                return
            if path == UPLOAD and _held(self.folder) > self.room:
                # Clients read the answer only when they have sent all, which the guard has bounded.
                while (await receive()).get("more_body"):
                    pass
                said = "Too many photos lie here already; they are removed an hour after they were sent."
                await JSONResponse({"error": said}, 503, {"retry-after": "600"})(scope, receive, send)
                return
            if path == JOIN:
                body = self._form(await _whole(receive))
                if body is None:
                    said = "A form names photos only that were sent before, and is no longer than 1 MB."
                    await JSONResponse({"error": said}, 403)(scope, receive, send)
                    return
                receive = _again(body, receive)
        await self.app(scope, receive, send)

    def _form(self, body: bytes | None) -> bytes | None:
        """A form as it was understood here, so that nobody behind reads it otherwise; None for one that is refused."""
        try:
            said = json.loads(body or b"")
            return json.dumps(said).encode() if self._own(said) else None
        except (ValueError, OSError, RecursionError):
            return None

    def _own(self, part: Any) -> bool:
        """Whether every file that is named lies in the folder."""
        if isinstance(part, list):
            return all(map(self._own, part))
        if not isinstance(part, dict):
            return True
        path = part.get("path", str(self.folder))
        # Resolved, a URL with enough ".." in it is a relative path into the folder.
        own = isinstance(path, str) and Path(path).is_absolute() and Path(path).resolve().is_relative_to(self.folder)
        return own and all(map(self._own, part.values()))


def _held(folder: Path) -> int:
    sweep()
    return size(folder)


async def _whole(receive: Receive) -> bytes | None:
    """The body of a request; None for one that is too long or ends early."""
    body = b""
    while len(body) <= MOST:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body
    return None


def _again(body: bytes, receive: Receive) -> Receive:
    told = False

    async def heard() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return heard
