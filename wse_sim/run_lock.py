"""One process at a time works in a run's folder: a lock that ends with its process, however that ends."""

import errno
import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from wse_sim.errors import FileError
from wse_sim.files import cannot_write, open_file, open_to_append

LOCK_FILE = ".lock"
_TRIES, _BETWEEN_S = 10, 0.02  # who looks whether a run goes on holds its lock for a moment
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # of a file system


@contextmanager
def run_lock(folder: Path) -> Iterator[bool]:
    """Hold a run's folder, which is there; False where its file system has no locks.

    The file is gone afterwards. That of a process that was killed stays, and binds nobody: the system has let go of it.

    Raises
    ------
    FileError
        When another process holds it, which is named, or it cannot be written.
    SpecError
        When what is in its place is no file.
    """
    path = folder / LOCK_FILE
    has_locks, file = True, None
    try:
        file = _taken(path)
    except OSError as error:
        has_locks = error.errno not in _NO_LOCKS
        if has_locks:
            raise cannot_write(path, error) from None
    if not has_locks:
        yield False
        return
    if file is None:
        raise _busy(folder, _words(path))
    with file:
        try:
            yield True
        finally:
            with suppress(OSError):  # a folder that may not be written any more
                path.unlink()


def holder(folder: Path) -> str | None:
    """The process that is at work in a run's folder, in words; None where there is none.

    Raises
    ------
    SpecError
        When what is in the place of the lock is no file.
    """
    path = folder / LOCK_FILE
    try:
        with open_file(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _words(path)
    except OSError:
        return None
    return None


def require_idle(folder: Path) -> None:
    """Raise SpecError when another process is at work in a run's folder, and as `holder`."""
    at_work = holder(folder)
    if at_work is not None:
        raise _busy(folder, at_work)


def _busy(folder: Path, at_work: str) -> FileError:
    return FileError(
        f"{folder}: {at_work} is at work in this folder: wait until it ends, or stop it; "
        "for another run, name another folder"
    )


def _taken(path: Path) -> IO[bytes] | None:
    """The file, locked, with this process's name in it; None where another process has it."""
    for _ in range(_TRIES):
        file = open_to_append(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path):  # or who held it has removed it since
                file.truncate(0)
                file.write(f"process {os.getpid()} on {platform.node()}\n".encode())
                file.flush()
                return file
        except BlockingIOError:
            time.sleep(_BETWEEN_S)
        except BaseException:
            file.close()
            raise
        file.close()
    return None


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _words(path: Path) -> str:
    """What the holder has written, unless it is only just about to."""
    try:
        return path.read_text(encoding="utf-8").strip() or "another process"
    except (OSError, UnicodeDecodeError):
        return "another process"
