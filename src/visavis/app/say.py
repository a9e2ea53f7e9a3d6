"""What people and programs read on stdout: plain lines, tables, one JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


class ReaderGone(Exception):
    """Whoever read stdout has closed it (`| head`); a BrokenPipeError would be turned into exit code 1 by typer."""


def say(text: str = "") -> None:
    """One line, as it is: no wrapping, no markup taken from file names."""
    # A terminal that cannot show a character of a file name must not stop the work.
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error


def say_json(document: Any) -> None:
    """One document on one line."""
    say(json.dumps(document, ensure_ascii=False))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, indent: int = 2) -> None:
    """Columns aligned by their widest cell."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        say(" " * indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
