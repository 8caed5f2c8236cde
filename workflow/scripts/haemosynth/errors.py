"""The one exception that means: the user can mend this."""

from collections.abc import Sequence
from difflib import get_close_matches


class InputError(ValueError):
    """A mistake in the user's data or settings, told in one line.

    The message names the file, the column and the patient or row where they are known,
    says what was expected and what to do. Scripts print it without a traceback.
    """


def suggestion(word: str, known: Sequence[str]) -> str:
    """The end of an error line: the nearest known word, or all of them."""
    near = get_close_matches(str(word), [str(k) for k in known], n=1)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(map(str, known))}"
