"""Starts a training by its name: the same call on a laptop, on a GPU and in each process of `accelerate launch`."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from visavis.core import registry
from visavis.core.catalogue import strictest
from visavis.core.config import changed, nearest, plain, restored
from visavis.core.errors import InputError, absent
from visavis.training.runs import run_folder

if TYPE_CHECKING:
    from visavis.training.precision import Precision

# What needs the bases lies in their room, above this one, and are only named here.
RECIPES = {
    "judge": "visavis.bases.autoencoder.judge",
    "attributes": "visavis.training.recipes.attributes",
    "parser": "visavis.training.recipes.parser",
    "autoencoder": "visavis.bases.autoencoder.train",
    "nano": "visavis.bases.nano.train",
}


def recipe(name: str) -> ModuleType:
    """The module of a recipe: CONFIG, build(config), made_up(config), plan(config) -> loop.Plan, the losses
    of a batch as `step` or, where that keeps something, `Step(config)`, terms(config),
    ship(config, folder, terms), and perhaps pinned(config): what else must be the same when a run is resumed.

    Raises InputError for another name, and where the extra [ml] is missing.
    """
    if name not in RECIPES:
        systems = [card.slug for card in registry.cards().values() if card.trains]
        if name in systems:
            return cast(ModuleType, registry.part(name, "train"))
        raise InputError(f"There is no training {name!r}: {nearest(name, [*RECIPES, *systems])}")
    try:
        return importlib.import_module(RECIPES[name])
    except ModuleNotFoundError as error:
        raise absent(error, "Training") from error


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
    from accelerate import PartialState

    from visavis.training.loop import fit

    _on_this_machine()
    folder = run_folder(run or name)
    config = configured(module, data, settings)
    began = _beginning(module, config) if config.start and not (folder / "last.json").exists() else None
    with PartialState().main_process_first():  # it looks at new photos; the others find them in the cache
        plan = module.plan(config)
    if began:
        _begin(plan.modules, Path(config.start))
    result = fit(
        plan.step,
        plan.modules,
        plan.optimizers,
        plan.batches,
        plan.schedule,
        plan.hooks,
        folder=folder,
        config=_recorded(folder, module, config, began),
        minutes=minutes,
        resume=resume,
        trackers=trackers,
    )
    return result, folder


def prepared(name: str, settings: Sequence[str] = ()) -> Precision:
    """Looks at the data of a training, so that several may begin at once, and says which precision is faster here."""
    module = recipe(name)
    from visavis.training import precision

    _on_this_machine()
    plan = module.plan(configured(module, None, settings))
    return precision.choose(plan.step, plan.modules, plan.batches(0, 0, 1), 1)


def _on_this_machine() -> None:
    """The threads and the device that were asked for; without a wish accelerate takes a GPU where there is one."""
    import torch
    from accelerate import PartialState

    from visavis.training.precision import asked_threads

    asked_threads()
    asked = os.environ.get("VISAVIS_DEVICE")
    if asked == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no GPU here; leave it out, or install torch's CUDA build.")
    # Other processes wait while the first one looks at new photos.
    PartialState(cpu=asked == "cpu", timeout=timedelta(days=1))


def ship(name: str, run: str | None = None) -> Path:
    """Puts the best weights of a run into the distribution visavis-weights (a source checkout), under the terms of
    everything that the run was trained on or began from. Raises InputError where there are none yet."""
    module, folder = recipe(name), run_folder(run or name)
    if not (folder / "best.safetensors").exists():
        raise InputError(f"{folder} holds no weights yet: train first.")
    from visavis.training.checkpoint import origin

    _on_this_machine()
    facts = origin(folder / "best.safetensors")
    shipped: Path = module.ship(restored(module.CONFIG, facts), folder, facts["terms"])
    return shipped


def _beginning(module: ModuleType, config: Any) -> dict[str, Any]:
    """The recorded config of the weights to begin from. A copy that judges and one for losses stay apart."""
    from visavis.training.checkpoint import origin

    facts = origin(Path(config.start))
    if facts.get("judge", False) != getattr(config, "judge", False):
        raise InputError(f"{config.start} is the other copy: what judges and what stands in losses share no weights.")
    return facts


def _begin(modules: dict[str, Any], path: Path) -> None:
    """What that run had no need of begins anew: a critic, a head, the further rows of a head that answers more, an
    aligner. What a module names as its `own` (numbers of its data) stays as it was made."""
    from visavis.training.checkpoint import ASIDE, unpacked, widened

    known = {key: unpacked(path, key) for key in modules}
    try:
        for key, state in known.items():
            if state or not any(known.values()):
                before = modules[key].state_dict()
                aside = {name for name in before.keys() ^ state.keys() if name.startswith(ASIDE)}
                state = {name: value for name, value in state.items() if name not in aside}
                own = {name: before[name] for name in (*getattr(modules[key], "own", ()), *(aside & before.keys()))}
                modules[key].load_state_dict(widened(state | own, before))
    except RuntimeError as error:
        raise InputError(f"{path} holds another network {key!r} than this training has.") from error


def _recorded(folder: Path, module: ModuleType, config: Any, began: dict[str, Any] | None) -> dict[str, Any]:
    """What is written of a run: its config, and the terms that its weights have."""
    known = folder / "run.json"
    if began is None and known.exists() and config.start:
        terms = json.loads(known.read_text())["config"]["terms"]  # the file that it began from may be gone
    else:
        terms = strictest(module.terms(config), *([began["terms"]] if began else []))
    pinned = module.pinned(config) if hasattr(module, "pinned") else {}
    return {**plain(config), **pinned, "terms": terms}
