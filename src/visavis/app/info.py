"""`visavis info`: what this installation is and where everything lies."""

from __future__ import annotations

import platform
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, distributions, version
from typing import Any

from visavis.app.say import say_json, table
from visavis.core.errors import InputError
from visavis.core.settings import settings, without_password

SHOWN = ("visavis", "visavis-weights", "numpy", "onnxruntime", "ai-edge-litert", "onnx", "pillow", "pi-heif")
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


def show(as_json: bool) -> None:
    """Prints settings, versions and the devices of the runtime; two onnxruntimes at once are an InputError."""
    facts = collect()
    if as_json:
        say_json({"schema": "visavis.info/1", **facts})
        return
    table(("what", "value"), [(key, str(value)) for group in facts.values() for key, value in group.items()])


def collect() -> dict[str, dict[str, Any]]:
    installed = {str(d.metadata["Name"]).lower() for d in distributions() if d.metadata["Name"]}
    both = [name for name in RUNTIMES if name in installed]
    if len(both) > 1:
        raise InputError(
            "onnxruntime and onnxruntime-gpu are both installed and break each other: pip uninstall one (docs/gpu.md)."
        )
    import onnxruntime

    now = settings()
    return {
        "settings": {f.name: _plain(getattr(now, f.name)) for f in fields(now)},
        "versions": {name: _version(name) for name in SHOWN},
        "machine": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "providers": ", ".join(onnxruntime.get_available_providers()),
        },
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | bool | None) else without_password(str(value))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
