"""Files of text as bytes: the sources of the standard library, or the user's own."""

import os
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.data.source import END_BYTE, Corpus, Fingerprint, in_memory
from training.data.splits import is_held_out
from wse_sim.errors import SpecError

STDLIB = "stdlib"

# Tests of the library repeat themselves and some distributions leave them out; packages are the user's, not Python's.
_LEFT_OUT = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"})
_FEW_FILES = 20
_BLOCK_BYTES = 4096
_LONGEST_CHARACTER = 4  # bytes of UTF-8
_SEPARATOR = bytes([END_BYTE])

Bytes = npt.NDArray[np.uint8]


def standard_library() -> list[Path]:
    """The sources of the running interpreter's standard library, by name."""
    return text_files(standard_library_folder(), ".py")


def standard_library_folder() -> Path:
    """Where they are."""
    return Path(sysconfig.get_path("stdlib"))


def text_files(root: Path, suffix: str = "") -> list[Path]:
    """The file itself, or those in a folder, by name; without tests, packages and caches of Python's."""
    if root.is_file():
        return [root]
    paths: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = set(folders) - _LEFT_OUT  # packages may be many times as much as the library
        paths += (Path(folder, name) for name in names if name.endswith(suffix))
    return sorted(filter(Path.is_file, paths), key=lambda path: path.relative_to(root).as_posix())


def corpus_of_text(paths: Sequence[Path], root: Path, source: str) -> Corpus:
    """The files as bytes, a zero byte between any two.

    Raises
    ------
    SpecError
        When a file cannot be read, or there is nothing in them.
    """
    names, contents = read_files(paths, root)
    if not contents:
        raise SpecError(f"data {source!r}: no file with text in it was found under {root}")
    digest = sha256()
    for name, content in zip(names, contents, strict=True):
        digest.update(name.encode() + _SEPARATOR + len(content).to_bytes(8, "little") + content)
    pieces = list(pieces_of(contents, len(contents)))
    n_bytes = sum(map(len, contents))
    return Corpus(
        train=in_memory(_joined(piece for piece in pieces if not is_held_out(piece)), name=f"data {source!r}"),
        val=in_memory(_joined(piece for piece in pieces if is_held_out(piece)), name=f"data {source!r}"),
        fingerprint=Fingerprint(source=source, n_files=len(contents), n_bytes=n_bytes, sha256=digest.hexdigest()),
    )


def read_files(paths: Sequence[Path], root: Path) -> tuple[list[str], list[bytes]]:
    """Relative names and contents of the files that are not empty."""
    base = root.parent if root.is_file() else root
    try:
        read = [(path.relative_to(base).as_posix(), path.read_bytes()) for path in paths]
    except OSError as error:
        raise SpecError(f"data {error.filename}: cannot be read: {error.strerror}") from None
    return [name for name, content in read if content], [content for _, content in read if content]


def pieces_of(contents: Iterable[bytes], n_files: int, *, keeps_characters: bool = False) -> Iterator[bytes]:
    """What is split: the files; few files cannot be split as files, and are cut into blocks.

    Parameters
    ----------
    n_files :
        There are in all.
    keeps_characters :
        Cut before a character of UTF-8 that a block ends in, not within it.
    """
    if n_files >= _FEW_FILES:
        yield from contents
        return
    for content in contents:
        yield from blocks(content, keeps_characters=keeps_characters)


def blocks(content: bytes, *, keeps_characters: bool) -> Iterator[bytes]:
    """A text in pieces of 4096 bytes, or of up to three less."""
    start = 0
    while start < len(content):
        stop = start + _BLOCK_BYTES
        least = stop - _LONGEST_CHARACTER
        while keeps_characters and least < stop < len(content) and _continues(content[stop]):
            stop -= 1
        yield content[start:stop]
        start = stop


def _continues(byte: int) -> bool:
    """Whether it is a later byte of a character of UTF-8."""
    return byte & 0b1100_0000 == 0b1000_0000


def _joined(pieces: Iterable[bytes]) -> Bytes:
    return np.frombuffer(_SEPARATOR.join(pieces), dtype=np.uint8)
