# SPDX-License-Identifier: Apache-2.0
"""What does a person see while the quickstart runs?"""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any


def size(count: int) -> str:
    """A number of bytes for people."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def step(text: str) -> None:
    """A new part of the story."""
    print(f"== {text}", flush=True)


def note(text: str) -> None:
    """A detail of the current part."""
    print(f"   {text}", flush=True)


class Meter:
    """A line of progress: rewritten in place on a terminal, a line every two seconds elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._shown_at = 0.0

    def show(self, status: str, progress: Mapping[str, Any]) -> None:
        """``progress`` as the API gives it; may be empty."""
        now = time.monotonic()
        if not self._terminal and now - self._shown_at < 2:
            return
        self._shown_at = now
        print(*self._frame(_progress_text(status, progress)), sep="", end="", flush=True)

    def end(self) -> None:
        """Clear the line."""
        if self._terminal:
            print("\r\033[K", end="", flush=True)

    def _frame(self, text: str) -> tuple[str, str, str]:
        return ("\r\033[K   ", text[:110], "") if self._terminal else ("   ", text, "\n")


def _progress_text(status: str, progress: Mapping[str, Any]) -> str:
    done, total = progress.get("bytes_done") or 0, progress.get("bytes_total") or 0
    parts = [status]
    if total:
        parts.append(f"{size(done)} of {size(total)} ({min(100, 100 * done // total)} %)")
    if progress.get("eta_seconds") is not None:
        parts.append(f"{progress['eta_seconds']} s left")
    parts += [str(progress[key]).partition("#")[0] for key in ("phase", "resource") if progress.get(key)]
    return ", ".join(parts)


def table(rows: Sequence[Sequence[str]]) -> None:
    """Rows of equal length; the first one is the head. Columns of numbers stand on the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [cell.rjust(width) if cell[:1].isdigit() and number else cell.ljust(width)
                 for cell, width in zip(row, widths, strict=True)]  # fmt: skip
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
