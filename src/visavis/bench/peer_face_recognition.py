"""The peer's side of the bench: face_recognition and dlib behind JSON lines on stdin and stdout.

Runs in the peer's own Python, which has neither visavis nor its dependencies (numpy comes with face_recognition).
Pictures and vectors travel as .npy files. Each request has a key "do" that names a function below.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np


def info(request: dict[str, Any]) -> dict[str, Any]:
    """Versions and how dlib was compiled: AVX and BLAS change its speed several times."""
    import dlib

    return {
        "dlib": dlib.__version__,
        "face_recognition": _version("face_recognition"),
        "python": sys.version.split()[0],
        "avx": bool(getattr(dlib, "USE_AVX_INSTRUCTIONS", False)),
        "blas": bool(getattr(dlib, "DLIB_USE_BLAS", False)),
        "lapack": bool(getattr(dlib, "DLIB_USE_LAPACK", False)),
        "cuda": bool(dlib.DLIB_USE_CUDA),
    }


def embed(request: dict[str, Any]) -> dict[str, Any]:
    """Vectors of the chips in `chips`, written to `out`; seconds one by one and in one call."""
    encoder = _encoder()
    chips = np.load(request["chips"])
    encoder.compute_face_descriptor(chips[0])
    started = time.perf_counter()
    vectors = [encoder.compute_face_descriptor(chip) for chip in chips]
    single = time.perf_counter() - started
    started = time.perf_counter()
    encoder.compute_face_descriptor(list(chips))
    batch = time.perf_counter() - started
    np.save(request["out"], np.array(vectors))
    return {"single": single, "batch": batch}


def points(request: dict[str, Any]) -> dict[str, Any]:
    """dlib's five points and chip (written to `out`) of the one face of a photo."""
    import dlib
    import face_recognition
    import face_recognition_models

    pixels = face_recognition.load_image_file(request["photo"])
    box = max(dlib.get_frontal_face_detector()(pixels, 1), key=lambda b: b.area())
    shape = dlib.shape_predictor(face_recognition_models.pose_predictor_five_point_model_location())(pixels, box)
    np.save(request["out"], dlib.get_face_chip(pixels, shape, 150, 0.25))
    return {"points": [[part.x, part.y] for part in shape.parts()]}


def photos(request: dict[str, Any]) -> dict[str, Any]:
    """Whole path over photo files as its documentation shows it; the vector of the face nearest the middle of each
    photo goes to `out`, a row of zeros where nobody was found."""
    import face_recognition

    vectors = np.zeros((len(request["photos"]), 128))
    faces = []
    started = time.perf_counter()
    for row, path in enumerate(request["photos"]):
        pixels = face_recognition.load_image_file(path)
        boxes = face_recognition.face_locations(pixels)
        found = face_recognition.face_encodings(pixels, boxes)
        faces.append(len(found))
        if found:
            height, width = pixels.shape[:2]
            away = [abs(left + right - width) + abs(top + bottom - height) for top, right, bottom, left in boxes]
            vectors[row] = found[int(np.argmin(away))]
    seconds = time.perf_counter() - started
    if request.get("out"):
        np.save(request["out"], vectors)
    return {"seconds": seconds, "faces": faces}


def peak(request: dict[str, Any]) -> dict[str, Any]:
    """Peak memory of this process; on Linux getrusage's begins with that of the process that started it."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
        return {"megabytes": int(line.split()[1]) / 1024}
    except FileNotFoundError:
        import resource

        return {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def _encoder() -> Any:
    import dlib
    import face_recognition_models

    return dlib.face_recognition_model_v1(face_recognition_models.face_recognition_model_location())


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def main() -> None:
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {f.__name__: f for f in (info, embed, points, photos, peak)}[request["do"]](request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
