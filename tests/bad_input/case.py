"""What a case of bad input is, and what must hold of the program that meets it."""

import os
import re
import shlex
import signal
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

Made = str | bytes | Callable[[Path], object]  # the content of a file, or what makes it at a path

_SMALL_BYTES = 16 << 20
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Input that must be refused.

    Parameters
    ----------
    group :
        What kind of input it is.
    name :
        What is wrong with it; one of its group alone.
    words :
        The command line, called where the files are.
    says :
        What the message holds, in any case: the place first, then the remedy; `a|b` is one of the two.
    files :
        By name. Parents are made.
    """

    group: str
    name: str
    words: tuple[str, ...]
    says: tuple[str, ...]
    files: Mapping[str, Made] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"

    def make(self, folder: Path) -> None:
        """Put its files into an empty folder."""
        for name, made in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if callable(made):
                made(path)
            else:
                path.write_bytes(made.encode() if isinstance(made, str) else made)


class Group:
    """Collects the cases of one kind of input.

    Parameters
    ----------
    command :
        The command line of its cases, where they do not say another.
    """

    def __init__(self, name: str, command: str = "") -> None:
        self.name, self.command, self.cases = name, command, list[Case]()

    def case(
        self, name: str, files: Mapping[str, Made] | None = None, *says: str, command: str | None = None, more: str = ""
    ) -> None:
        """Add one.

        Parameters
        ----------
        more :
            Added to the command.
        """
        words = tuple(shlex.split(f"{self.command if command is None else command} {more}"))
        self.cases.append(Case(group=self.name, name=name, words=words, says=says, files=files or {}))


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Everything below a folder, with what tells whether it was changed; locks alone may come and stay."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.name.endswith(".lock"):
            mode, size = path.lstat().st_mode, path.lstat().st_size
            is_small = stat.S_ISREG(mode) and size <= _SMALL_BYTES and os.access(path, os.R_OK)
            content = crc32(path.read_bytes()) if is_small else 0
            found[str(path.relative_to(folder))] = (mode, 0 if stat.S_ISDIR(mode) else size, content)
    return found


def require_refused(case: Case, exit_code: int, stdout: str, stderr: str) -> None:
    """One line says what is wrong, where, and what would be right; nothing else is printed."""
    lines = stderr.splitlines()
    assert exit_code == 2, f"exit code {exit_code}\n{stdout[-2000:]}\n{stderr[-3000:]}"
    assert not stdout, stdout
    assert "Traceback" not in stderr, stderr
    assert [line for line in lines if line.startswith("error:")] == lines[-1:], stderr
    assert not _CONTROL.search(lines[-1]), repr(lines[-1])
    said = lines[-1].lower()
    missing = [words for words in case.says if not any(word.lower() in said for word in words.split("|"))]
    assert not missing, f"{missing} are not in {lines[-1]}"
    assert len(lines[-1]) < 2000, f"a message of {len(lines[-1])} letters: {lines[-1][:200]}"


class Hangs(BaseException):
    """No error that a program would tell."""


@contextmanager
def not_hanging(limit_s: float) -> Iterator[None]:
    """Ends what waits for ever, as for the other end of a pipe; how long a case takes is the campaign's to say."""

    def end(*_: object) -> None:
        raise Hangs(f"still at it after {limit_s:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
