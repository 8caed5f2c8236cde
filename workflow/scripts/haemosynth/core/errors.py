"""The one exception for mistakes in data and settings, which the user can correct."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches


class InputError(ValueError):
    """A mistake in the user's data or settings, reported in one line.

    The message names the file, the column and the patient or row where they are known,
    says what was expected and what to do. Scripts print it without a traceback.
    """

    @property
    def lines(self) -> tuple[str, ...]:
        """A line for every mistake."""
        return (str(self),)


class InputErrors(InputError):
    """Several mistakes that were found together: as text it is the first of them."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(lines[0])
        self.every = tuple(lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """A line for every mistake."""
        return self.every


class Mistakes:
    """Mistakes that are gathered, so that the user hears of all of them and not of the first alone.

    What is done under `with mistakes.keep():` may fail with an InputError; what follows goes on. `tell` raises what
    was gathered.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the InputErrors of what is done here."""
        try:
            yield
        except InputError as error:
            self.add(error.lines)

    def add(self, lines: Iterable[str]) -> None:
        """Take lines in that are not among them yet."""
        self.lines += [line for line in dict.fromkeys(lines) if line not in self.lines]

    def tell(self) -> None:
        """Raise an InputError that holds every mistake, where there is one."""
        if len(self.lines) == 1:
            raise InputError(self.lines[0])
        if self.lines:
            raise InputErrors(self.lines)


def suggestion(word: str, known: Sequence[str]) -> str:
    """The end of an error line: the nearest known word, or all of them."""
    near = get_close_matches(str(word), [str(k) for k in known], n=1)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(map(str, known))}"
