"""REST from the task declarations: POST /api/VERB/REST takes what a task declares, and /api/openapi.json says so."""

from __future__ import annotations

import asyncio
import html
import inspect
import json
import mimetypes
import time
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.metadata import version
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, File, Form, HTTPException, Path, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteError

from visavis.app.serve import fields
from visavis.app.serve.desk import Desk, Upload
from visavis.app.serve.fields import Field
from visavis.app.serve.jobs import ENDS, Busy, Job
from visavis.app.serve.leftovers import ENDED
from visavis.app.systems import facts
from visavis.core import registry
from visavis.core.errors import InputError, RefusedError, VisavisError
from visavis.core.files import FULL
from visavis.core.task import Task

LONGEST = 2000  # characters of a text
MOST_NUMBER = 2**53
# Kinds of files that a browser shows; others could be pages with scripts and are for saving alone.
SHOWN = {"image/png", "image/jpeg", "image/webp", "image/gif", "application/json", "text/plain"}
BEAT = 15.0  # seconds after which an unchanged job is told again, so that a gone client is noticed

Job_ = Annotated[str, Path(description="of a job", max_length=64)]


class Error(BaseModel):
    """Why nothing was done."""

    error: str


_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": text}
    for status, text in {
        400: "input that a client can mend",
        401: "token missing or wrong",
        403: "refused: consent, licence, or a page of another origin",
        404: "not there",
        409: "not now",
        413: "too large",
        422: "input of another form",
        503: "too many wait; try again later",
        507: "the disk of the server is full",
    }.items()
}


def rest(desk: Desk) -> FastAPI:
    """The application: every task that a client can ask for, jobs, systems."""
    app = FastAPI(
        title="visavis",
        version=version("visavis"),
        summary="Faces whose identity matters: who is on this photo, and is it the same person?",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses=_ERRORS,
    )
    router = APIRouter(prefix="/api")
    for task in fields.tasks(desk.roots):
        _add(router, desk, task)
    _add_jobs(router, desk)
    _add_systems(router)

    @router.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(_docs(desk))

    app.include_router(router)

    @app.api_route("/api/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    def nothing(rest: str) -> None:
        raise HTTPException(404, "There is nothing here; /api/docs lists what there is.")

    for kind, handler in (
        (VisavisError, _said),
        (RequestValidationError, _misformed),
        (StarletteError, _http),
        (Exception, _fault),
    ):
        app.add_exception_handler(kind, handler)

    return app


def _add(router: APIRouter, desk: Desk, task: Task) -> None:
    known = fields.fields(task)

    async def endpoint(request: Request, **values: Any) -> Any:
        given, uploads = dict[str, Any](), dict[str, list[Upload]]()
        sent = await request.form()
        for field in known:
            value = values.pop(field.name, None)
            if value is None and field.name in sent and not field.optional and field.kind == "text":
                value = [] if field.many else ""  # FastAPI takes what is empty for what was not sent
            if field.kind in ("photo", "photo or folder"):
                several = value if isinstance(value, list) else [value] if value is not None else []
                uploads[field.name] = [Upload(one.filename or "photo", one.file) for one in several]
            elif value is not None:
                given[field.name] = value
        given.update({name: value for name, value in values.items() if value is not None})
        if task.long:
            job = await run_in_threadpool(desk.long, task, given, uploads)
            return JSONResponse(desk.told(job), 202, {"location": f"/api/jobs/{job.id}"})
        return await asyncio.wrap_future(desk.begun(task, given, uploads))

    parameters = [made for field in known for made in _parameters(field, bool(desk.roots.folders))]
    asked = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)
    endpoint.__signature__ = inspect.Signature([asked, *parameters])  # type: ignore[attr-defined]
    path = "/" + task.name.replace(".", "/")
    router.add_api_route(
        path,
        endpoint,
        methods=["POST"],
        name=task.name,
        summary=task.help,
        status_code=202 if task.long else 200,
        response_model=None,
        tags=[task.name.partition(".")[0]],
    )


def _parameters(field: Field, offered: bool) -> list[inspect.Parameter]:
    """Of an endpoint; folders only where some are offered."""
    text, made = _help(field), list[inspect.Parameter]()
    if field.kind in ("photo", "photo or folder"):
        lone = not field.many
        hint: Any = UploadFile if lone else list[UploadFile]
        optional = field.optional or field.kind == "photo or folder"
        made.append(_keyword(field.name, hint | None if optional else hint, File(description=text), optional))
        if field.kind == "photo or folder" and offered:
            info = Form(description=f"{text}: below the offered folders", max_length=LONGEST)
            made.append(_keyword(f"{field.name}_folder", list[str] | None, info, True))
        return made
    if field.kind == "folder" and not offered:
        return []
    limits: dict[str, Any] = {}
    if field.kind in ("whole number", "number"):
        limits = {
            "ge": -MOST_NUMBER if field.form.low is None else field.form.low,
            "le": MOST_NUMBER if field.form.high is None else field.form.high,
        }
        if field.kind == "number":
            limits["allow_inf_nan"] = False
    elif field.kind != "yes or no" and field.kind != "choice":
        limits = {"max_length": LONGEST}
    kinds: dict[str, Any] = {"whole number": int, "number": float, "yes or no": bool}
    hint = kinds.get(field.kind, str)
    if field.kind == "choice":
        hint = Literal[field.choices]
    if field.many:
        # Limits hold for each.
        hint, limits = list[Annotated[hint, Form(**limits)]] if limits else list[hint], {}
    if not field.optional and not (field.kind == "text" and not field.many):
        return [_keyword(field.name, hint, Form(description=text, **limits), False)]
    return [_keyword(field.name, hint | None, Form(description=text, **limits), True)]


def _keyword(name: str, hint: Any, info: Any, optional: bool) -> inspect.Parameter:
    default = None if optional else inspect.Parameter.empty
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, info])


def _help(field: Field) -> str:
    default = field.default
    said = f"; {default!r} unless given" if default not in (None, "", False, []) and not field.option else ""
    return field.form.help + (f" ({field.form.unit})" if field.form.unit else "") + said


def _add_jobs(router: APIRouter, desk: Desk) -> None:
    def found(id: str, do: Callable[[str], Any] = desk.jobs.get) -> Any:
        try:
            return do(id)
        except KeyError:
            raise HTTPException(404, f"There is no such job. {ENDS}") from None

    @router.get("/jobs", tags=["jobs"], summary="All jobs, oldest first, without what came of them.")
    def jobs() -> dict[str, Any]:
        return {"schema": "visavis.jobs/1", "jobs": [desk.told(job, whole=False) for job in desk.jobs.all()]}

    @router.get("/jobs/{id}", tags=["jobs"], summary="How far a job is, and what came of it.")
    def job(id: Job_) -> dict[str, Any]:
        return desk.told(found(id))

    @router.post("/jobs/{id}/cancel", tags=["jobs"], summary="Stop a job; what it wrote stays.")
    def cancel(id: Job_) -> dict[str, Any]:
        return desk.told(found(id, desk.jobs.cancel))

    @router.delete("/jobs/{id}", tags=["jobs"], summary="Remove an ended job and all that it wrote.", status_code=204)
    def drop(id: Job_) -> Response:
        try:
            found(id, desk.jobs.drop)
        except InputError as error:
            raise HTTPException(409, str(error)) from error
        return Response(status_code=204)

    @router.get("/jobs/{id}/events", tags=["jobs"], summary="The job again whenever it changes, until it has ended.")
    async def events(id: Job_, request: Request) -> StreamingResponse:
        return StreamingResponse(_events(desk, found(id), request), media_type="text/event-stream")

    @router.get("/jobs/{id}/files/{name:path}", tags=["jobs"], summary="A file that a job wrote.")
    def file(id: Job_, name: Annotated[str, Path(max_length=LONGEST)]) -> FileResponse:
        found(id)
        # Looked up among what is there, so that no name leads elsewhere.
        path = desk.jobs.files(id).get(name)
        if path is None:
            raise HTTPException(404, "The job wrote no such file.")
        kind = mimetypes.guess_type(path.name)[0]
        if kind in SHOWN:
            return FileResponse(path, media_type=kind)
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)


async def _events(desk: Desk, job: Job, request: Request) -> AsyncIterator[str]:
    while True:
        yield f"data: {json.dumps(desk.told(job), ensure_ascii=False)}\n\n"
        told, before = time.monotonic(), job
        while job == before:
            if job.state in ENDED or await request.is_disconnected():
                return
            if time.monotonic() - told > BEAT:
                break
            await asyncio.sleep(0.2)
            try:
                job = desk.jobs.get(job.id)
            except KeyError:
                yield f"data: {json.dumps({'id': job.id, 'state': 'removed', 'error': ENDS})}\n\n"
                return


def _add_systems(router: APIRouter) -> None:
    @router.get("/systems", tags=["systems"], summary="The systems and what their papers claim.")
    def systems() -> dict[str, Any]:
        return {"schema": "visavis.systems/1", "systems": [facts(card) for card in registry.cards().values()]}

    @router.get("/systems/{slug}", tags=["systems"], summary="The card of a system.")
    def system(slug: Annotated[str, Path(max_length=64)]) -> dict[str, Any]:
        if slug not in registry.cards():
            raise HTTPException(404, "There is no such system.")
        return facts(registry.cards()[slug])


def _answer(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers)


def _said(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Busy):
        return _answer(503, str(error), {"retry-after": "10"})
    return _answer(
        403 if isinstance(error, RefusedError) else 400 if isinstance(error, InputError) else 500, str(error)
    )


def _misformed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    return _answer(422, f"{where}: {first['msg']}.")


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteError)
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in FULL:  # large bodies are written while they come
        return _answer(507, "There is no space left here for what was sent.")
    return _answer(error.status_code, str(error.detail), error.headers)


def _fault(request: Request, error: Exception) -> JSONResponse:
    return _answer(500, f"This is a fault of visavis, not yours: {type(error).__name__}.")


def _docs(desk: Desk) -> str:
    """A plain page of all tasks: the usual ones would be fetched from another machine."""
    rows = []
    for task in fields.tasks(desk.roots):
        listed = "".join(
            f"<dt><code>{html.escape(field.name)}</code> {html.escape(field.kind)}{', several' if field.many else ''}"
            f"{f' (folders as {field.name}_folder)' if field.kind == 'photo or folder' else ''}"
            f"{'' if field.optional else ', required'}</dt><dd>{html.escape(_help(field))}</dd>"
            for field in fields.fields(task)
        )
        path = "/api/" + task.name.replace(".", "/")
        rows.append(f"<h2><code>POST {path}</code></h2><p>{html.escape(task.help)}</p><dl>{listed}</dl>")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>visavis: REST</title><meta name="viewport" '
        'content="width=device-width"><style>body{font:1rem/1.5 system-ui;margin:2rem auto;max-width:48rem;'
        "padding:0 1rem}dd{margin:0 0 .5rem 1.5rem}</style><h1>visavis over REST</h1><p>Fields are those of a form "
        "(multipart/form-data). Long tasks answer 202 with a job: <code>GET /api/jobs/ID</code>, and below it "
        "<code>/events</code>, <code>/files/NAME</code>, <code>POST /api/jobs/ID/cancel</code>. "
        '<a href="/api/openapi.json">OpenAPI</a></p>' + "".join(rows)
    )
