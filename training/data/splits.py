"""What is held out: about a tenth, the same tenth whenever the data are read."""

import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from training.data.source import Places
from wse_sim.randomness import splitmix64

_HELD_OUT_OF_256 = 26  # about a tenth of the documents: fewer are too few to stand for the rest
_MOST_PARTS = 64
_LEAST_PART = 1 << 16
# Documents that can be split as documents: one and more of so many are held out, but for a chance of 1e-9.
FEWEST_DOCUMENTS = 200
_HELD_OUT_NAMES = frozenset({"val", "valid", "validation", "eval", "heldout"})
_LEFT_OUT_NAMES = frozenset({"test"})


def is_held_out(document: bytes | memoryview) -> bool:
    """By content, not by name or place: a document that was copied elsewhere falls on the same side."""
    return blake2b(document, digest_size=1).digest()[0] < _HELD_OUT_OF_256


def held_out_documents(n: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n,): which of numbered documents are held out, where to hash their content would be to read them all."""
    return (splitmix64(0, np.arange(n, dtype=np.uint64)) >> np.uint64(56)) < _HELD_OUT_OF_256


def split_places(n: int, least: int = _LEAST_PART) -> tuple[Places, Places]:
    """Those to train on and those held out of `n` tokens or samples in a row, as (n_stretches, 2) first, how many.

    The row is cut into up to 64 equal parts, of `least` or more; the last tenth of each is held out.
    """
    n_parts = min(_MOST_PARTS, max(1, n // least))
    edges = np.arange(n_parts + 1, dtype=np.int64) * n // n_parts
    lengths = np.diff(edges)
    n_val = -(-lengths // 10)
    train, val = (np.stack([edges[:-1], lengths - n_val], 1), np.stack([edges[1:] - n_val, n_val], 1))
    return train, val


def split_by_name(paths: Iterable[Path], root: Path) -> tuple[list[Path], list[Path]]:
    """Files to train on, and those that their names or folders call validation; those called test are left out.

    Where no file would be left to train on, names say nothing and all are.
    """
    paths = list(paths)
    words = {path: set(re.split(r"[^a-z]+", path.relative_to(root).as_posix().lower())) for path in paths}
    val = [path for path in paths if words[path] & _HELD_OUT_NAMES]
    train = [path for path in paths if not words[path] & (_HELD_OUT_NAMES | _LEFT_OUT_NAMES)]
    return (train, val) if train else (paths, [])
