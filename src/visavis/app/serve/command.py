"""`visavis serve`: the tasks over REST and on a page, for this machine or, with a token, for others."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from visavis.app import forms
from visavis.app.say import say
from visavis.app.serve.leftovers import empty, jobs_folder, page_folder, sweep
from visavis.core.errors import InputError, missing_extra
from visavis.core.settings import private_folder

MAX_PIXELS = 64_000_000  # of an upload, unless VISAVIS_MAX_PIXELS says otherwise
HELD = 10  # largest requests of which the page keeps the uploads
PAUSE = 60.0  # seconds between two looks at what is too old
TOKEN = "VISAVIS_TOKEN"


def serve(
    host: Annotated[str, typer.Option(help="address to listen on; beyond loopback a token is asked for")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 7860,
    root: Annotated[
        list[str] | None, typer.Option(metavar="DIR", help="offer the photos below it; may be repeated")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="another name of this machine that clients use")
    ] = None,
    page: Annotated[bool, typer.Option(" /--no-page", help="REST only")] = True,
    max_upload: Annotated[int, typer.Option(min=1, metavar="MB", help="largest request")] = 100,
    job_minutes: Annotated[float, typer.Option(min=0.01, help="longest job")] = 60,
    album: forms.Album = None,
    threads: forms.Threads = None,
    device: forms.Device = None,
    licence: forms.Licence = None,
) -> None:
    """Serve all tasks over REST (/api/docs) and on a page. A token for others comes from VISAVIS_TOKEN or is made."""
    forms.set_common(threads, device, licence, album)
    os.environ.setdefault("VISAVIS_MAX_PIXELS", str(MAX_PIXELS))
    token = os.environ.get(TOKEN, "")
    if not token.isascii():
        raise InputError(f"{TOKEN} takes letters, digits and signs of ASCII: no others can be sent in a header.")
    if not token and not all(map(_is_loopback, (host, *(name or ())))):
        token = secrets.token_urlsafe(24)
        say(f"token: {token}")
    try:
        from visavis.app.serve.guard import Rules
        from visavis.app.serve.wire import server
    except ModuleNotFoundError as error:
        raise missing_extra("serve", "The server") from error
    rules = Rules((host, *(name or ())), token, max_upload * 2**20)
    with _listening(host, port) as listening, application(root or (), rules, page, job_minutes) as app:
        where = f"[{host}]" if ":" in host else host
        say(f"http://{where}:{listening.getsockname()[1]}/  (Ctrl-C ends)")
        if host in ("0.0.0.0", "::") and not name:
            say("Clients elsewhere are answered under names that --name says: --name ADDRESS-OF-THIS-MACHINE.")
        server(app).run(sockets=[listening])


@contextlib.contextmanager
def application(roots: Sequence[str], rules: Any, page: bool = True, job_minutes: float = 60) -> Iterator[Any]:
    """The ASGI application, with its own temporary folder that is emptied before and after. Raises InputError for a
    root that is none and where another server works with the same home."""
    from visavis.app.serve.desk import Desk
    from visavis.app.serve.guard import Guard
    from visavis.app.serve.jobs import Jobs
    from visavis.app.serve.rest import rest
    from visavis.app.serve.roots import Roots

    offered = Roots.of(roots)
    os.environ["HF_HUB_OFFLINE"] = "1"  # of working processes, too
    jobs = Jobs(jobs_folder(), minutes=job_minutes)
    try:
        with _own_tmp(), _tidied(jobs), contextlib.closing(Desk(offered, jobs)) as desk:
            app: Any = rest(desk)
            if page:
                from visavis.app.serve.door import Door
                from visavis.app.serve.page import mounted

                app = Door(mounted(app, desk, rules.most), page_folder(), HELD * rules.most)
            yield Guard(app, rules)
    finally:
        jobs.close()


@contextlib.contextmanager
def _own_tmp() -> Iterator[None]:
    """Uploads in the making lie below VISAVIS_HOME, and nowhere when the server has ended; nobody is told of use."""
    folder = page_folder()
    empty()
    private_folder(folder)
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    os.environ |= {"GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False"}
    try:
        yield
    finally:
        tempfile.tempdir = before
        empty()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _tidied(jobs: Any) -> Iterator[None]:
    """What is too old goes while the server runs."""
    ended = threading.Event()

    def tidy() -> None:
        while not ended.wait(PAUSE):
            sweep()
            jobs.expire()

    thread = threading.Thread(target=tidy, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listening(host: str, port: int) -> socket.socket:
    """Raises InputError where the address is taken or is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only of sockets that say TCP does asyncio send each answer at once.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(512)
    except OSError as error:
        made.close()
        raise InputError(f"{host}:{port} cannot be listened on ({error.strerror}); try --port 0.") from error
    return made
