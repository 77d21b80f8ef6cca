"""Columns of text or of token ids: Arrow, Parquet, and data sets that Hugging Face's library saved to a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from training.data.extras import extra
from training.data.source import Integers
from wse_sim.errors import SpecError
from wse_sim.files import is_in_folder, read_bytes

ARROW, PARQUET = ".arrow", ".parquet"
SUFFIXES = (ARROW, PARQUET)
IDS = "input_ids"
_MOST_ID = 2**32 - 1
_SAVED, _SAVED_SPLITS = "state.json", "dataset_dict.json"


class Column(NamedTuple):
    """The one that documents are read from."""

    name: str
    is_ids: bool


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` of Hugging Face's `datasets` wrote it."""
    return (folder / _SAVED).is_file() or (folder / _SAVED_SPLITS).is_file()


def saved_files(folder: Path) -> list[Path]:
    """Files of a saved data set, or of all its splits, in the order that it names them.

    Raises
    ------
    SpecError
        When it does not name them.
    """
    try:
        if (folder / _SAVED_SPLITS).is_file():
            splits = msgspec.json.decode(read_bytes(folder / _SAVED_SPLITS))["splits"]
            return [path for split in splits for path in saved_files(_inside(folder, split))]
        state = msgspec.json.decode(read_bytes(folder / _SAVED))
        return [_inside(folder, file["filename"]) for file in state["_data_files"]]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as error:
        raise SpecError(
            f"data {folder}: is no whole data set of Hugging Face's: its files are not named ({error})"
        ) from None


def _inside(folder: Path, name: Any) -> Path:
    """What is called so in a folder; SpecError where the name leads elsewhere."""
    if not isinstance(name, str) or not is_in_folder(name):
        raise SpecError(f"data {folder}: its files are named, but {name!r} is none in this folder")
    return folder / name


def column_of(path: Path, field: str) -> Column:
    """The column `field` of text, or else `input_ids`.

    Raises
    ------
    SpecError
        When there is neither, or it holds something else.
    """
    types = extra("pyarrow.types", f"data {path}")
    with _Table(path) as table:
        name = field if field in table.names else IDS
        if name not in table.names:
            there = ", ".join(map(repr, table.names))
            raise SpecError(
                f"data {path}: has no column {field!r} and none {IDS!r}; there are {there}: name the one with the "
                "text, --text-field"
            )
        kind = table.schema.field(table.names.index(name)).type
        if types.is_string(kind) or types.is_large_string(kind):
            return Column(name, is_ids=False)
        is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        if is_list and types.is_integer(kind.value_type):
            return Column(name, is_ids=True)
        raise SpecError(
            f"data {path}: the column {name!r} holds {kind}; text, or lists of whole numbers, would be right"
        )


def column_documents(path: Path, column: Column) -> Iterator[bytes | Integers]:
    """The documents of a column: text in UTF-8, or ids; empty ones are passed over.

    Raises
    ------
    SpecError
        When the file cannot be read.
    """
    with _Table(path) as table:
        for array in table.arrays(column.name):
            if column.is_ids:
                yield from (_ids(row) for row in array if row.is_valid and len(row.values))
            else:
                yield from (text.encode() for text in array.to_pylist() if text)


def _ids(row: Any) -> Integers:
    ids: Integers = row.values.to_numpy(zero_copy_only=False)
    return ids


def largest_id(path: Path, column: Column) -> int:
    """Of a column of ids; -1 where there is none; SpecError where one is negative."""
    compute = extra("pyarrow.compute", f"data {path}")
    largest = -1
    with _Table(path) as table:
        for array in table.arrays(column.name):
            flat = array.flatten()
            if flat.null_count:
                raise SpecError(f"data {path}: in the column {column.name!r} an id is missing")
            ends = compute.min_max(flat).as_py()
            if ends["min"] is None:
                continue
            if ends["min"] < 0:
                raise SpecError(f"data {path}: the column {column.name!r} has the id {ends['min']}; ids are 0 or more")
            if ends["max"] > _MOST_ID:
                raise SpecError(
                    f"data {path}: the column {column.name!r} has the id {ends['max']}; ids are {_MOST_ID} or less"
                )
            largest = max(largest, ends["max"])
    return largest


class _Table:
    """A file, opened as what it is."""

    def __init__(self, path: Path) -> None:
        pyarrow = extra("pyarrow", f"data {path}")
        self._path = path
        self._map: Any = None
        self._damage = (pyarrow.ArrowException, OSError, ValueError)  # the last of texts that are not UTF-8
        parquet = extra("pyarrow.parquet", f"data {path}") if path.suffix == PARQUET else None
        try:
            self._file: Any = self._stream_or_file(pyarrow) if parquet is None else parquet.ParquetFile(path)
            self.schema = self._file.schema if parquet is None else self._file.schema_arrow
            self.names: list[str] = self.schema.names
        except self._damage as error:
            raise SpecError(f"data {path}: is no Arrow or Parquet file that can be read ({error})") from None

    def _stream_or_file(self, pyarrow: Any) -> Any:
        self._map = pyarrow.memory_map(str(self._path))
        try:
            return pyarrow.ipc.open_stream(self._map)
        except pyarrow.ArrowInvalid:
            self._map.seek(0)
            return pyarrow.ipc.open_file(self._map)

    def arrays(self, name: str) -> Iterator[Any]:
        """A column, a batch of rows at a time."""
        try:
            for batch in self._batches(name):
                batch.validate(full=True)  # or what is damaged would be looked for outside the file
                yield batch.column(batch.schema.names.index(name))
        except self._damage as error:
            raise SpecError(f"data {self._path}: cannot be read to its end ({error})") from None

    def _batches(self, name: str) -> Iterator[Any]:
        if self._path.suffix == PARQUET:
            yield from self._file.iter_batches(columns=[name])
        elif hasattr(self._file, "num_record_batches"):
            yield from map(self._file.get_batch, range(self._file.num_record_batches))
        else:
            yield from self._file

    def __enter__(self) -> "_Table":
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self._file, "close"):
            self._file.close()
        if self._map is not None:
            self._map.close()
