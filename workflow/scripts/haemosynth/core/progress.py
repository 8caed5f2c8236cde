"""Progress of long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield from `items` and show how far it is, on standard error."""
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    yield from tqdm(
        items, desc=description, total=total, file=sys.stderr, mininterval=0.5 if terminal else 15.0, ascii=not terminal
    )
