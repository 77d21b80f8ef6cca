"""The errors that a user can mend."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from shlex import quote


class SpecError(ValueError):
    """The user's input is wrong: the message says what, where, and what would be right."""


class FileError(SpecError):
    """A file or folder cannot be written, as on a full disk: with the same input, another try may succeed."""


class LostError(SpecError):
    """Whatever process took a task up was ended from outside, as for want of memory: another try may succeed."""


class AloneError(SpecError):
    """A process is to work with others, and cannot join them: none of these would say so in its place."""


@contextmanager
def errors_at(where: str) -> Iterator[None]:
    """Errors of what is done here begin with the place that they are about, if they do not already."""
    try:
        yield
    except SpecError as error:
        if not str(error).startswith(where):
            error.args = (f"{where}: {error}",)
        raise


def choose(name: str, options: Iterable[str], what: str) -> str:
    """The option called `name`.

    Raises
    ------
    SpecError
        When there is no such option; the message names the nearest one and lists them all.
    """
    names = sorted(options)
    if name in names:
        return name
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise SpecError(f"unknown {what} {name!r}: {hint}known are {', '.join(names)}")


def installs(*libraries: str) -> str:
    """The command that installs libraries into this very environment, even where it has no pip of its own.

    It names the libraries and not our extra: pip looks for the extra of a package on an index, where a clone is not.
    """
    return f"pip --python {quote(sys.executable)} install {' '.join(libraries)}"
