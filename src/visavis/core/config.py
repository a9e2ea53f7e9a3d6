"""Typed configs: a frozen dataclass whose fields are settings, changed by key=value text from a command line."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from visavis.core.errors import InputError

T = TypeVar("T")
WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def changed(config: T, settings: Sequence[str]) -> T:
    """The config with `key=value` applied; keys of nested configs are joined by dots.

    Raises InputError for an unknown key (naming the nearest) and for text that is no value of the field's type.
    """
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"--set takes KEY=VALUE, not {setting!r}.")
        config = _with(config, key.strip().split("."), text.strip(), key.strip())
    return config


def within(config: Any, **ranges: tuple[float, float]) -> None:
    """For the `__post_init__` of a config: raises InputError for a setting outside its range (both ends allowed)."""
    for name, (low, high) in ranges.items():
        value = getattr(config, name)
        if not low <= value <= high:
            said = f"{low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
            raise InputError(f"{name} is {said}, not {value:g}.")


def plain(config: Any) -> dict[str, Any]:
    """The config as JSON can hold it."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(config).items()}


def restored(default: T, values: dict[str, Any]) -> T:
    """The config that `plain` made these values of; what they do not name stays as in `default`."""
    made: Any = {}
    for field in dataclasses.fields(default):  # type: ignore[arg-type]
        if field.name in values:
            old, new = getattr(default, field.name), values[field.name]
            is_config = dataclasses.is_dataclass(old)
            made[field.name] = restored(old, new) if is_config else tuple(new) if isinstance(new, list) else new
    return dataclasses.replace(default, **made)  # type: ignore[type-var]


def differences(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """(old, new) of every key that differs; keys of nested configs are joined by dots."""
    one, other = flat(old), flat(new)
    return {k: (one.get(k), other.get(k)) for k in sorted(one.keys() | other.keys()) if one.get(k) != other.get(k)}


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}"""
    made: dict[str, Any] = {}
    for key, value in values.items():
        inner = flat(value) if isinstance(value, dict) else None
        made |= {key: value} if inner is None else {f"{key}.{name}": v for name, v in inner.items()}
    return made


def nearest(word: str, words: Sequence[str]) -> str:
    """The word that somebody may have meant, as the end of a sentence; else all of them."""
    close = words if len(words) == 1 else difflib.get_close_matches(word, words, 1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(words)}."


def _with(config: Any, path: list[str], text: str, key: str) -> Any:
    hints = get_type_hints(type(config))
    names = [field.name for field in dataclasses.fields(config)]
    if path[0] not in names:
        inside = [f"{n}.{path[0]}" for n in names if path[0] in getattr(getattr(config, n), "__dataclass_fields__", {})]
        raise InputError(f"There is no setting {key!r}: {nearest(path[0], inside or names)}")
    value = getattr(config, path[0])
    if dataclasses.is_dataclass(value) and len(path) > 1:
        return dataclasses.replace(config, **{path[0]: _with(value, path[1:], text, key)})
    if len(path) > 1 or dataclasses.is_dataclass(value):
        raise InputError(f"{key} is no single setting.")
    return dataclasses.replace(config, **{path[0]: _value(text, hints[path[0]], key)})


def _value(text: str, hint: Any, key: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if text.lower() in ("none", "") and type(None) in args:
            return None
        return _value(text, next(a for a in args if a is not type(None)), key)
    if origin is Literal:
        if text not in args:
            raise InputError(f"{key} is {' or '.join(args)}, not {text!r}.")
        return text
    if origin is tuple:
        return tuple(_value(part, args[0], key) for part in text.split(",") if part)
    try:
        return WORDS[text.lower()] if hint is bool else hint(text)
    except (KeyError, ValueError) as error:
        kind = {int: "a whole number", float: "a number", bool: "yes or no"}.get(hint, str(hint))
        raise InputError(f"{key} is {kind}, not {text!r}.") from error
