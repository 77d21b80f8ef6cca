"""What a path holds: files of one format, told by their names."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Literal

from training.data.arrow import SUFFIXES as OF_TABLES
from training.data.arrow import is_saved_dataset, saved_files
from training.data.hdf5 import SUFFIXES as OF_HDF5
from training.data.jsonl import SUFFIXES as OF_JSON
from training.data.megatron import INDEX
from training.data.text import STDLIB, standard_library, standard_library_folder, text_files
from wse_sim.errors import SpecError
from wse_sim.file_kinds import require_file_or_folder

Format = Literal["text", "json", "columns", "tokens", "megatron", "hdf5"]

_TOKENS = (".bin", ".npy")
_OF_SUFFIX: dict[Format, tuple[str, ...]] = {
    "json": OF_JSON,
    "columns": OF_TABLES,
    "hdf5": OF_HDF5,
    "megatron": (INDEX,),
    "tokens": _TOKENS,
}
_NANO_GPT = ("train.bin", "val.bin")
# Beside files of data, these describe them; in other company they are text themselves.
_DESCRIPTIONS = frozenset({".json", ".md", ".yaml", ".yml"})
_REFUSED = {
    ".pkl": "is a pickle, which runs whatever code it holds when it is read",
    ".pickle": "is a pickle, which runs whatever code it holds when it is read",
    ".pt": "is a pickle of PyTorch's, which may run code when it is read",
    ".pbin": "is Modalities' format, which holds a pickle",
    ".mds": "is a shard of MosaicML's streaming",
    ".zst": "is compressed, and its name does not say what is in it",
    ".gz": "is compressed, and its name does not say what is in it",
    ".zip": "is an archive",
    ".tar": "is an archive",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Files of one format, in order; names are relative to `root`."""

    format: Format
    paths: Sequence[Path]
    root: Path


def find(data: str) -> Found:
    """What is at a path, or at those that a pattern with `*` matches.

    Raises
    ------
    SpecError
        When nothing is there, or it is of no format that is read.
    """
    if data == STDLIB:
        return Found(format="text", paths=standard_library(), root=standard_library_folder())
    path = Path(os.path.expanduser(data))  # a user whom nobody knows stays as it is
    if data and path.is_dir():  # not the current folder, for a variable of the shell that is not set
        return _in_folder(path, data)
    if path.is_file():
        return _files([path], path, data)
    if (index := Path(f"{path}{INDEX}")).is_file():
        return Found(format="megatron", paths=[index], root=index.parent)
    if has_magic(data):
        found = _matching(path)
        if not found:
            raise SpecError(f"data {data!r}: no file has such a name")
        return _files(found, _above(found), data)
    require_file_or_folder(path, f"data {data!r}: cannot be read")
    raise SpecError(f"data {data!r}: there is no such file or folder; {STDLIB!r} needs none")


def _matching(pattern: Path) -> list[Path]:
    """Files that a pattern matches; `**` goes into folders and not into links to them, which may go round for ever."""
    parts = pattern.parts
    if "**" not in parts:
        return sorted(path for path in map(Path, glob(str(pattern))) if path.is_file())
    n_above = parts.index("**")
    below = str(Path(*parts[n_above:]))
    found = {path for root in glob(str(Path(*parts[:n_above]))) for path in Path(root).glob(below) if path.is_file()}
    return sorted(path for path in found if not any(name.startswith(".") for name in path.parts[n_above:]))


def _files(paths: list[Path], root: Path, data: str) -> Found:
    """Files that the user named, all of one format; where tokens have an index, it is Megatron's."""
    indexed = [path.with_suffix(INDEX) for path in paths]
    if all(path.suffix in (".bin", INDEX) for path in paths) and all(index.is_file() for index in indexed):
        return Found(format="megatron", paths=list(dict.fromkeys(indexed)), root=_above(indexed))
    for path in paths:
        if path.suffix in _REFUSED and _format(path) is None:
            raise SpecError(
                f"data {path}: {_REFUSED[path.suffix]}; text, .jsonl, .jsonl.zst, .bin, .npy, .idx, .h5, .arrow or "
                ".parquet would be right"
            )
    formats = {_format(path) or "text" for path in paths}
    if len(formats) > 1:
        raise SpecError(
            f"data {data!r}: names files of several formats ({', '.join(sorted(formats))}): one would be right"
        )
    (of_all,) = formats
    return Found(format=of_all, paths=paths, root=root if of_all == "text" else _above(paths))


def _in_folder(folder: Path, data: str) -> Found:
    if is_saved_dataset(folder):
        return Found(format="columns", paths=saved_files(folder), root=folder)
    if (folder / _NANO_GPT[0]).is_file() and not list(folder.glob(f"*{INDEX}")):
        return Found(
            format="tokens", paths=[path for name in _NANO_GPT if (path := folder / name).is_file()], root=folder
        )
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder))
    known = {path: _format(path) for path in paths}
    indexed = {path.with_suffix(".bin") for path, of in known.items() if of == "megatron"}
    formats = {of for path, of in known.items() if of is not None and path not in indexed}
    is_text = any(of is None and path.suffix not in _DESCRIPTIONS for path, of in known.items())
    if is_text or not formats:
        return Found(format="text", paths=text_files(folder), root=folder)
    if len(formats) > 1:
        raise SpecError(
            f"data {data!r}: holds files of several formats ({', '.join(sorted(formats))}): name those of one with *"
        )
    (of_all,) = formats
    return Found(format=of_all, paths=[path for path, of in known.items() if of == of_all], root=folder)


def _format(path: Path) -> Format | None:
    """By its name; None where that says nothing."""
    return next((of for of, suffixes in _OF_SUFFIX.items() if path.name.lower().endswith(suffixes)), None)


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(name.startswith(".") for name in path.relative_to(folder).parts)


def _above(paths: Sequence[Path]) -> Path:
    """The lowest folder that all of them are in."""
    first, *others = (path.parent for path in paths)
    return next(folder for folder in (first, *first.parents) if all(other.is_relative_to(folder) for other in others))
