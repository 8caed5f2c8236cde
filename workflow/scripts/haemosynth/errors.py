"""The one exception that means: the user can mend this."""


class InputError(ValueError):
    """A mistake in the user's data or settings, told in one line.

    The message names the file, the column and the patient or row where they are known,
    says what was expected and what to do. Scripts print it without a traceback.
    """
