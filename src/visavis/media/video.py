"""frames: any video as upright RGB photos with their seconds, one at a time; or one sentence says why not."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visavis.core.errors import InputError, missing_extra
from visavis.core.settings import settings
from visavis.core.types import Photo, Pixels
from visavis.media import paths

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

# Not .ts, which is mostly TypeScript.
_ENDS = ("3g2", "3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "webm", "wmv")
SUFFIXES = frozenset(f".{end}" for end in _ENDS)

# Only containers that hold all of themselves: a playlist would open other files and addresses.
_OPTIONS = {"format_whitelist": "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg"}
_SLACK = 1.5e-3  # Matroska rounds its time stamps to milliseconds


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame; seconds: since the start of the video, as a player counts."""

    photo: Photo
    seconds: float


def is_video(path: str | os.PathLike[str]) -> bool:
    """By its suffix alone."""
    return Path(path).suffix.lower() in SUFFIXES


def frames(path: str | os.PathLike[str], every: float = 0.2) -> Iterator[Frame]:
    """The first frame, then each that comes at least `every` seconds after the last one given (0: all).

    Time is that of the frames' own stamps, so variable frame rates are right. Frames are turned upright by the display
    matrix and stretched to square pixels. Memory does not grow with the length of the video. Needs the extra [video].

    Photo.meta: path, seconds, format. Raises InputError in one sentence that names the file: before the first frame
    where it is no video or too large (VISAVIS_MAX_PIXELS), after the last good one where it breaks off.
    """
    if not (every >= 0 and math.isfinite(every)):
        raise InputError(f"The seconds between two frames are 0 or more, not {every}.")
    called = paths.shown(path)
    with _opened(path) as container:
        stream = _video_stream(container, called)
        format, start = container.format.name.split(",")[0], (container.start_time or 0) / 1e6
        last = -math.inf
        for frame, stamp in _decoded(container, stream, called, start):
            if abs(stamp - last) < every - _SLACK:  # far back: a clock that began anew, as in joined recordings
                continue
            last, pixels = stamp, _upright(frame, stream, called)
            pixels.flags.writeable = False
            meta = {"path": os.fspath(path), "seconds": stamp, "format": format}
            yield Frame(Photo(pixels, f"{paths.file_name(path)} at {stamp:.1f} s", meta), stamp)


def taken(path: str | os.PathLike[str]) -> datetime | None:
    """The container's creation time in UTC, without a zone; None where it tells none. InputError as for `frames`."""
    with _opened(path) as container:
        text = container.metadata.get("creation_time", "")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[InputContainer]:
    try:
        import av
    except ImportError as error:
        raise missing_extra("video", "Reading a video") from error
    called = paths.shown(path)
    _refuse_kind(called, paths.status(path).st_mode)
    # A pipe that took the file's place since then would make open() wait: hence O_NONBLOCK.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        # FFmpeg gets the open file, never its name: it takes names like "concat:a" and "http:b" for addresses.
        with open(os.open(paths.openable(path), flags), "rb", buffering=0) as handle:
            found = os.fstat(handle.fileno())
            _refuse_kind(called, found.st_mode)
            if found.st_size == 0:
                raise InputError(f"{called} is empty (0 bytes).")
            av.logging.set_level(None)
            try:
                container = av.open(handle, "r", options=_OPTIONS, metadata_errors="replace", buffer_size=2**20)
            except av.FFmpegError as error:
                raise InputError(f"{called} is no video that can be read, or its index is missing.") from error
            with container:
                yield container
    except av.FFmpegError as error:
        raise InputError(f"{called} is damaged: it cannot be decoded ({error.strerror}).") from error
    except OSError as error:
        raise paths.failure(path, error, "read") from error


def _refuse_kind(called: str, mode: int) -> None:
    if word := paths.kind(mode):
        raise InputError(f"{called} is {word}, not a video.")


def _video_stream(container: InputContainer, called: str) -> VideoStream:
    from av.stream import Disposition

    stream = container.streams.best("video")
    if stream is None or stream.disposition & Disposition.attached_pic:
        raise InputError(f"{called} has no video stream.")
    found: VideoStream = stream  # type: ignore[assignment]
    _check_size(found.width or 0, found.height or 0, called)
    # Not among the container's options: what it then cannot probe loses its display matrix.
    found.codec_context.options = {"max_pixels": str(settings().max_pixels)}
    found.codec_context.thread_type = "AUTO"
    found.codec_context.thread_count = settings().threads
    return found


def _check_size(width: int, height: int, called: str) -> None:
    if width * height > (most := settings().max_pixels):
        raise InputError(f"{called} has frames of {width} x {height} pixels, VISAVIS_MAX_PIXELS allows {most:,}.")


def _decoded(container: InputContainer, stream: VideoStream, called: str, start: float) -> Iterator[tuple[Any, float]]:
    """Every undamaged frame with its seconds; InputError after the last one where more was to come."""
    import av

    tick, step, reached = float(stream.time_base or 1e-3), 1 / float(stream.average_rate or 25), 0.0
    seconds, broken = None, False
    for packet in _packets(container, stream):
        if packet is None:
            broken = True
        elif packet.pts is not None and packet.time_base is not None:
            reached = max(reached, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        images: list[av.VideoFrame] = []
        try:
            if packet is None or packet.stream is stream:
                images = stream.decode(packet)
        except av.FFmpegError:
            # Recordings may begin with packets that refer to frames before them.
            broken = broken or seconds is not None
        for image in images:
            if not image.is_corrupt:
                # Not image.time: those from an emptied decoder have lost their time base.
                seconds = (seconds or 0.0) + step if image.pts is None else round(image.pts * tick - start, 6)
                yield image, seconds
        if broken:
            break
    if seconds is None:
        raise InputError(f"{called} is damaged: no frame of it can be decoded.")
    # Matroska files that were cut end without a word, short of the length that they announce.
    short = container.format.name.startswith("matroska") and (container.duration or 0) / 1e6 - reached > 0.5
    if broken or short:
        raise InputError(f"{called} is damaged or cut off: it could be read up to second {seconds:.1f}.")


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[Any] | None]:
    """The packets of all streams, without what refers to damaged ones; None at the end where more was to come."""
    import av

    damaged = False
    with suppress(av.FFmpegError):
        for packet in container.demux():
            if packet.stream is stream and packet.size:
                damaged = packet.is_corrupt or (damaged and not packet.is_keyframe)
                if damaged:
                    continue
            yield packet
        if not damaged:
            return
    yield None


def _upright(image: Any, stream: VideoStream, called: str) -> Pixels:
    width = max(1, round(image.width * (stream.sample_aspect_ratio or 1)))
    _check_size(width, image.height, called)
    pixels: Pixels = np.asarray(image.to_ndarray(format="rgb24", width=width, height=image.height), np.uint8)
    if (matrix := image.side_data.get("DISPLAYMATRIX")) is not None:
        # x' = a x + c y, y' = b x + d y, y down; stored in columns of three.
        a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
        if abs(a) + abs(d) < abs(b) + abs(c):
            pixels, a, d = pixels.transpose(1, 0, 2), c, b
        pixels = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(pixels)
