"""Files that are there whole or not at all, and files that one process appends lines to."""

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.resources.abc import Traversable
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from wse_sim.errors import FileError, SpecError
from wse_sim.file_kinds import require_opened_file

MOST_BYTES = 512 << 20  # of a file that is read whole
_DEVICES = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))
_PART = re.compile(r"\..*\.(\d+)\.part")  # of a file that a process writes, by its id


def user_cache() -> Path:
    """The folder in which this program keeps what it can make again: $XDG_CACHE_HOME/wse-sim, or ~/.cache/wse-sim."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path("~/.cache").expanduser()) / "wse-sim"


def write_atomically(path: Path, content: bytes | Iterable[bytes | memoryview]) -> None:
    """Write a file so that a crash or a power cut leaves the old one or the new one, never a part.

    When this returns, the file is on the disk, under its name: what is written after it is never there without it.
    It takes the place of a link, so that none leads out of a folder; a pipe or a device is written into.

    Parameters
    ----------
    content :
        All of it, or its pieces in order.

    Raises
    ------
    SpecError
        When it cannot be written.
    """
    pieces = [content] if isinstance(content, bytes) else content
    if _is_written_into(path):
        try:
            # Without waiting for somebody to read from a pipe, who may never come.
            number = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.set_blocking(number, True)
            with os.fdopen(number, "wb") as file:
                file.writelines(pieces)
        except OSError as error:
            raise cannot_write(path, error) from None
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            raise cannot_write(path, error) from None
        raise


def _is_written_into(path: Path) -> bool:
    """Whether no file is to take its place: it is a pipe or a device, or leads to a stream of this process."""
    is_other = path.exists() and not (path.is_symlink() or path.is_file() or path.is_dir())
    return is_other or path.parent in _DEVICES


def sync_folder(folder: Path) -> None:
    """Wait until the names of the files in a folder are on the disk.

    Raises
    ------
    OSError
        When the disk fails; not where a file system knows of no such thing, or the folder may not be read.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def cannot_write(path: Path, error: OSError) -> FileError:
    """The error that says so, and why."""
    return FileError(f"{path}: cannot be written: {error.strerror or error}")


def require_place(path: Path) -> None:
    """Raise SpecError where no file can be written at a path; a command calls it before it works for long."""
    if not path.parent.is_dir():
        raise cannot_write(path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise cannot_write(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def require_place_for_folder(path: Path) -> None:
    """Raise SpecError where `make_folder` could not make the folder, or what it needs above it."""
    with _making(path):
        if path.exists():
            return
        above = next(folder for folder in path.parents if folder.exists())
        if not above.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(above, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def is_in_folder(name: str) -> bool:
    """Whether what is called so lies in the folder itself, wherever that is: the name is no path, and leads nowhere."""
    return name not in ("", ".", "..") and not {"/", "\0"} & set(name)


def remove_torn(folder: Path) -> None:
    """Remove what processes that are gone left half-written in a folder."""
    for part in folder.glob(".*.part"):
        found = _PART.fullmatch(part.name)
        if found is not None and (int(found[1]) == os.getpid() or not is_running(int(found[1]))):
            with suppress(OSError):  # another process may be as tidy
                part.unlink()


def is_running(process_id: int) -> bool:
    """Whether a process of this machine has the id."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        return True
    except OverflowError:
        return False
    return True


def read_bytes(path: Traversable, *, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a file.

    Parameters
    ----------
    most_bytes :
        That are taken into memory.

    Raises
    ------
    SpecError
        When it cannot be read, is none but a pipe or a device, or is larger.
    """
    try:
        if not isinstance(path, Path):
            return path.read_bytes()
        with open_file(path) as file:
            content = file.read(most_bytes + 1)
    except SpecError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise SpecError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > most_bytes:
        raise SpecError(f"{path}: has more than {most_bytes:,} bytes, which is the most that is read of such a file")
    return content


def open_file(path: Path) -> BufferedReader:
    """A file to be read, which is one: a pipe would be waited for, and a device has no end.

    Raises
    ------
    OSError
        When it cannot be opened.
    SpecError
        When it is something else.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    require_opened_file(number, f"{path}: cannot be read")
    return os.fdopen(number, "rb")


def json_text(content: Mapping[str, Any]) -> str:
    """The lines of a JSON object, as it is printed and written; what has no JSON form is our mistake and fails."""
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all.

    Raises
    ------
    SpecError
        When it cannot be written.
    """
    write_atomically(path, json_text(content).encode())


def open_locked(path: Path, *, busy: str) -> IO[bytes]:
    """A file to append lines to, locked against a second process until it is closed.

    Parameters
    ----------
    busy :
        What to say where another process has it.

    Raises
    ------
    SpecError
        When it cannot be written, or another process has it.
    """
    try:
        file = open_to_append(path)
    except OSError as error:
        raise SpecError(f"{path}: cannot be written: {error.strerror or error}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise SpecError(busy) from None
    return file


def open_to_append(path: Path) -> IO[bytes]:
    """A file to append to and to read, made where it is missing; not one that a link leads to.

    A folder that somebody else has made might have links to files of the user's in the place of its own.

    Raises
    ------
    OSError
        When it cannot be written, or is a link.
    SpecError
        When it is something else, such as a pipe.
    """

    def opener(name: str, flags: int) -> int:
        number = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        require_opened_file(number, f"{path}: cannot be written")
        return number

    return open(path, "a+b", opener=opener)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a file that one process alone can hold, waiting for the one that does; it stays when it is let go.

    Raises
    ------
    SpecError
        When it cannot be written.
    """
    try:
        file = path.open("ab")
    except OSError as error:
        raise cannot_write(path, error) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def turn_in(folder: Path) -> Iterator[None]:
    """Hold a folder that one process works in at a time, waiting for the one that does; made if need be.

    A worker whose caller was killed works on until it notices: whoever goes on with its work waits here for its end,
    however that comes. The lock is on the folder itself, no file of it stays, and an empty folder is gone afterwards.

    Raises
    ------
    SpecError
        When the folder cannot be made.
    """
    make_folder(folder)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system over a network may know no locks of folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        with suppress(OSError):  # not empty, as a rule
            folder.rmdir()
        os.close(descriptor)


def whole_lines(file: IO[bytes]) -> list[bytes]:
    """The lines of such a file; what a crash cut short is removed, or it would become the beginning of the next one."""
    file.seek(0)
    content = file.read()
    file.truncate(content.rfind(b"\n") + 1)
    return content.split(b"\n")[:-1]


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, unless it is there; their names are on the disk when this returns.

    Raises
    ------
    SpecError
        When it cannot be made.
    """
    with _making(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            sync_folder(folder.parent)


@contextmanager
def _making(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(f"{path}: the folder cannot be made: {error.strerror}") from None


def require_folder(path: Path) -> None:
    """Raise SpecError when there is no such folder."""
    if not path.is_dir():
        raise SpecError(f"{path}: there is no such folder")
