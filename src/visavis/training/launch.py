"""Starts a training by its name: the same call on a laptop, on a GPU and in each process of `accelerate launch`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

from visavis.core.config import changed, nearest
from visavis.core.errors import InputError, missing_extra
from visavis.training.runs import run_folder

RECIPES = ("judge", "attributes", "parser")


def recipe(name: str) -> ModuleType:
    """The module of a recipe: CONFIG, train(config, folder, minutes, resume, trackers), ship(config, folder)."""
    if name not in RECIPES:
        raise InputError(f"There is no training {name!r}: {nearest(name, RECIPES)}")
    try:
        return importlib.import_module(f"visavis.training.recipes.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("visavis"):
            raise
        raise missing_extra("ml", "Training") from error


def configured(module: ModuleType, data: str | None, settings: Sequence[str]) -> Any:
    """The recipe's config with the data set and settings that were asked for."""
    config = changed(module.CONFIG, settings)
    if data is not None:
        if "data" not in {field.name for field in fields(config)}:
            raise InputError("This training makes its own data; leave --data out.")
        config = changed(config, [f"data={data}"])
    return config


def start(
    name: str,
    *,
    data: str | None = None,
    minutes: float = 60,
    resume: bool = False,
    settings: Sequence[str] = (),
    run: str | None = None,
    trackers: str = "",
) -> tuple[Any, Path]:
    """Trains and gives the result (loop.Result) and the run's folder. run: name of the folder, else the recipe's."""
    module = recipe(name)
    folder = run_folder(run or name)
    config = configured(module, data, settings)
    return module.train(config, folder, minutes=minutes, resume=resume, trackers=trackers), folder


def ship(name: str, *, settings: Sequence[str] = (), run: str | None = None) -> Path:
    """Puts the best weights of a run into the distribution visavis-weights (a source checkout)."""
    module, folder = recipe(name), run_folder(run or name)
    if not (folder / "best.safetensors").exists():
        raise InputError(f"{folder} holds no weights yet: train first.")
    shipped: Path = module.ship(configured(module, None, settings), folder)
    return shipped
