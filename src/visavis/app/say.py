"""What people read on stdout: plain lines and tables, never wrapped through a path, no markup taken from file names."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def say(text: str = "") -> None:
    # A terminal that cannot show a character of a file name must not stop the work.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, indent: int = 2) -> None:
    """Columns aligned by their widest cell."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        say(" " * indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
