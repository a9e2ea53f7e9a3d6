"""Who may ask at all: a Host that is this machine's, an Origin that is the Host, a token beyond loopback, and no body
without end. Stands before everything else, so that no route can forget it.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DRAINED = 4  # times the largest body
TOGETHER = 10  # largest bodies that are in flight at once
SLOWEST = 2**14  # bytes a second of a body
KEPT = ("/assets/", "/static/", "/svelte/")  # of the page, and of nobody: browsers may keep them
COOKIE = "visavis_token"
LOGIN = "/login"
HEADERS = {
    # Gradio's page needs inline scripts; nothing may come from or go to another machine.
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_LOGIN_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>visavis</title>
<meta name="viewport" content="width=device-width"><style>body{font:1rem system-ui;margin:3rem auto;max-width:24rem}
input,button{font:inherit;padding:.5rem;width:100%;box-sizing:border-box;margin:.3rem 0}</style><h1>visavis</h1>
{said}<form method="post" action="/login">
<label>Token of this server<input name="token" type="password" required autofocus></label>
<button>Enter</button></form>"""


@dataclass(frozen=True)
class Rules:
    """names: hosts that this server is called beside loopback's; token: "" where everybody on this machine may ask;
    most: bytes of a body; patience: seconds without a byte of it, and what all waiting for it may exceed SLOWEST by."""

    names: Collection[str] = ()
    token: str = ""
    most: int = 100 * 2**20
    patience: float = 30


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules
        self.names = {*LOOPBACK, *(name.lower() for name in rules.names)}
        # Browsers send a cookie to every port of a host: another server there must not see the token itself.
        self.cookie = hmac.digest(rules.token.encode(), COOKIE.encode(), "sha256").hex()
        self.taken = 0  # bytes of the bodies in flight, as far as they are said

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        size, send = _size(scope, self.rules.most), _with_headers(send, scope["path"])
        refusal = await self._refusal(scope, receive) or await self._full(size, receive)
        if refusal is not None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await refusal(scope, receive, send)
            return
        self.taken += size
        try:
            await self.app(scope, _Body(receive, self.rules), send)
        finally:
            self.taken -= size

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == "host"]
        if len(hosts) != 1 or _name(hosts[0]) not in self.names:
            return _error(421, "This server is not called so; see --host and --name.")
        origins = [value for name, value in headers if name == "origin"]
        sites = {name: value for name, value in headers if name.startswith("sec-fetch-")}
        elsewhere = sites.get("sec-fetch-site") in ("cross-site", "same-site")
        if any(_place(origin) != hosts[0].lower() for origin in origins) or (
            elsewhere and sites.get("sec-fetch-mode") != "navigate"
        ):
            return _error(403, "Asked by a page of another origin.")
        lengths = [value for name, value in headers if name == "content-length"]
        if any(not length.isdecimal() or int(length) > self.rules.most for length in lengths):
            await self._drained(receive, lengths)
            return _error(413, f"More than {self.rules.most // 2**20} MB.")
        if not self.rules.token:
            return None
        if scope["type"] == "http" and scope["path"] == LOGIN and scope["method"] == "POST":
            return await self._login(scope, receive)
        bearer, cookie = _given(headers)
        if self._is_token(bearer) or hmac.compare_digest(cookie.encode(), self.cookie.encode()):
            return None
        page = scope["type"] == "http" and any(name == "accept" and "text/html" in value for name, value in headers)
        return _login_page() if page else _error(401, "The token is missing or wrong.")

    async def _full(self, size: int, receive: Receive) -> Response | None:
        if self.taken + size <= TOGETHER * self.rules.most:
            return None
        await self._drained(receive, [str(size)])
        return _error(503, "Others are sending much just now; try again later.", {"retry-after": "10"})

    async def _drained(self, receive: Receive, lengths: Sequence[str]) -> None:
        # Clients read the answer only when they have sent all; of what has no reasonable end they hear nothing.
        if all(length.isdecimal() and int(length) <= DRAINED * self.rules.most for length in lengths):
            body = _Body(receive, replace(self.rules, most=DRAINED * self.rules.most))
            while not body.ended and (await body())["type"] == "http.request":
                pass

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.rules.token.encode())

    async def _login(self, scope: Scope, receive: Receive) -> Response:
        heard, body = _Body(receive, self.rules), b""
        while len(body) < 4096 and not heard.ended:
            message = await heard()
            if message["type"] != "http.request":
                return _error(408, "The token did not come.")
            body += message.get("body", b"")
        (given,) = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[:1]
        if not self._is_token(given):
            await asyncio.sleep(0.5)
            return _login_page('<p role="alert">This token is wrong.</p>')
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, self.cookie, httponly=True, samesite="strict", secure=scope.get("scheme") == "https")
        return answer


def _login_page(said: str = "") -> Response:
    return HTMLResponse(_LOGIN_PAGE.replace("{said}", said), 401)


class _Body:
    """Counts what comes and does not wait for ever."""

    def __init__(self, receive: Receive, rules: Rules) -> None:
        self.receive, self.rules, self.got, self.ended = receive, rules, 0, False
        self.waited = 0.0  # seconds: what is done with the body in between is not the client's fault

    async def __call__(self) -> Message:
        if self.ended:  # from here on it is awaited whether the client leaves
            return await self.receive()
        begun, left = time.monotonic(), self.rules.patience + self.got / SLOWEST - self.waited
        try:
            message = await asyncio.wait_for(self.receive(), min(self.rules.patience, left))
        except TimeoutError:
            return {"type": "http.disconnect"}
        self.waited += time.monotonic() - begun
        self.got += len(message.get("body", b""))
        self.ended = not message.get("more_body", False)
        # A client that sends more than it said or without saying how much is cut off as if it had gone.
        return message if self.got <= self.rules.most else {"type": "http.disconnect"}


def _size(scope: Scope, most: int) -> int:
    """Of a body, as its client says; the largest where it does not."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    return most if b"transfer-encoding" in headers or not length.isdigit() else int(length)


def _with_headers(send: Send, path: str) -> Send:
    # Photos of people must not outlive their removal here in somebody's browser.
    more = HEADERS if path.startswith(KEPT) else {**HEADERS, "cache-control": "no-store"}
    ours = {name.encode(): value.encode() for name, value in more.items()}

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            theirs = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in ours]
            message["headers"] = [*theirs, *ours.items()]
        await send(message)

    return sent


def _name(host: str) -> str | None:
    """Without the port; None for what is no host."""
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018  (raises for what is none)
    except ValueError:
        return None
    return parts.hostname if "@" not in host else None


def _place(origin: str) -> str | None:
    """Host and port of an origin; None for what is none, as "null"."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _given(headers: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """(token of the header, cookie), "" for what is not there."""
    said = [value for name, value in headers if name == "authorization" and value.lower().startswith("bearer ")]
    found = (cookie_parser(value).get(COOKIE) for name, value in headers if name == "cookie")
    return next((value[7:].strip() for value in said), ""), next(filter(None, found), "")


def _error(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": sentence}, status, headers)
