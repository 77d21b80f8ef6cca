"""Digests of files, of all of a small one and of a large one's size and parts."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from wse_sim.errors import SpecError

_MOST_WHOLE_BYTES = 64 << 20
_N_BLOCKS = 64
_BLOCK_BYTES = 64 << 10
_PIECE_BYTES = 1 << 20
_PARTS = f"sizes, and of files above {_MOST_WHOLE_BYTES >> 20} MiB {_N_BLOCKS} blocks of {_BLOCK_BYTES >> 10} KiB"


class Digest(NamedTuple):
    """Of files: over what of them, see `training.data.source.Fingerprint`."""

    sha256: str
    covers: str
    n_bytes: int


def digest_of(paths: Iterable[Path], root: Path) -> Digest:
    """Of names, relative to `root`, sizes and contents, without reading a large file whole.

    Raises
    ------
    SpecError
        When a file cannot be read.
    """
    digest, n_bytes, is_whole = sha256(), 0, True
    for path in paths:
        try:
            size = path.stat().st_size
            digest.update(f"{path.relative_to(root).as_posix()}\0{size}\0".encode())
            with path.open("rb") as file:
                if size <= _MOST_WHOLE_BYTES:
                    while piece := file.read(_PIECE_BYTES):
                        digest.update(piece)
                else:
                    is_whole = False
                    for number in range(_N_BLOCKS):
                        file.seek(number * (size - _BLOCK_BYTES) // (_N_BLOCKS - 1))
                        digest.update(file.read(_BLOCK_BYTES))
        except OSError as error:
            raise SpecError(f"data {path}: cannot be read: {error.strerror}") from None
        n_bytes += size
    return Digest(digest.hexdigest(), "all" if is_whole else _PARTS, n_bytes)
