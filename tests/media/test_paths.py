"""Paths as systems take them and messages show them."""

from __future__ import annotations

import pytest

from visavis.media.paths import openable, shown


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("C:\\a.jpg", "C:\\a.jpg"),
        ("C:\\" + "x" * 240 + "\\a.jpg", "\\\\?\\C:\\" + "x" * 240 + "\\a.jpg"),
        ("C:/x/../" + "y" * 250, "\\\\?\\C:\\" + "y" * 250),
        ("\\\\server\\share\\" + "y" * 250, "\\\\?\\UNC\\server\\share\\" + "y" * 250),
        ("\\\\?\\C:\\" + "y" * 250, "\\\\?\\C:\\" + "y" * 250),
    ],
)
def test_long_paths_of_windows_get_their_prefix(path: str, expected: str) -> None:
    assert openable(path, "nt") == expected


def test_other_systems_take_every_path_as_it_is() -> None:
    assert openable("x" * 300, "posix") == "x" * 300


def test_no_control_character_or_broken_byte_reaches_a_message() -> None:
    assert shown("é 张 👩‍👩‍👧.jpg") == "é 张 👩‍👩‍👧.jpg"
    assert shown("a\x1b[31m\nb\udcff.jpg") == "a�[31m�b�.jpg"
