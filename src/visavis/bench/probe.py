"""What must be measured in a process of its own: peak memory and growth. `python -m visavis.bench.probe` is started
by bench/speed.py with a request on the command line and answers with one line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visavis.core.errors import VisavisError

WARM_UP, LOOKS = 100, 2000


def ask(what: str, photos: Sequence[Path]) -> dict[str, Any]:
    """Runs `what` over photo files in a fresh process; seconds count from its start, imports and models included."""
    command = [sys.executable, "-m", "visavis.bench.probe", what, *map(str, photos)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise VisavisError(f"The probe {what} failed: {done.stderr.strip()[-300:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def look(photos: Sequence[str]) -> dict[str, Any]:
    """Whole path over the photos: faces found, seconds, peak memory."""
    import visavis

    started = time.perf_counter()
    faces = [face.embedding for photo in photos for face in visavis.look(photo)]
    return {"faces": len(faces), "seconds": time.perf_counter() - started, "megabytes": _peak()}


def growth(photos: Sequence[str]) -> dict[str, Any]:
    """Growth of the memory in use over 2,000 looks after 100 of warm-up."""
    import psutil

    import visavis

    process = psutil.Process()
    before = 0.0
    for count in range(WARM_UP + LOOKS):
        if count == WARM_UP:
            before = process.memory_info().rss
        for face in visavis.look(photos[count % len(photos)]):
            _ = face.embedding
    return {"megabytes": (process.memory_info().rss - before) / 2**20}


def _peak() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its peak begins with that of the process that started this one.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    import psutil

    info = psutil.Process().memory_info()
    return float(getattr(info, "peak_wset", info.rss) / 2**20)


if __name__ == "__main__":
    began = time.perf_counter()
    result = {"look": look, "growth": growth}[sys.argv[1]](sys.argv[2:])
    sys.stdout.write(json.dumps({**result, "total_seconds": time.perf_counter() - began}))
