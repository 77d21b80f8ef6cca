"""Columns of text or of ids: Arrow, Parquet, and data sets that were saved to a folder."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bad_input.case import Group


def cases() -> Group:
    group = Group("Arrow", "prepare t.arrow --out tokens")
    for name, made, says in (
        ("empty", b"", "Arrow"),
        ("no Arrow", b"not arrow at all", "Arrow"),
        ("a file's magic alone", b"ARROW1\0\0", "Arrow"),
        ("cut within the schema", arrow(_good, changed=lambda content: content[:50]), "Arrow"),
        ("cut within the rows", arrow(_good, changed=lambda content: content[:3000]), "read"),
        ("a file cut short", arrow(_good, stream=False, changed=lambda content: content[:-40]), "Arrow|read"),
        ("a head of 2^31 - 1 bytes", b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(64), "Arrow"),
        ("bits flipped in the schema", arrow(_good, changed=_flipped(16, 60)), "t.arrow"),
        ("bits flipped in the rows' head", arrow(_good, changed=_flipped(260, 330)), "t.arrow"),
        ("no column", arrow(lambda pa: pa.table({})), "--text-field"),
        ("another column", arrow(lambda pa: pa.table({"body": ["a"]})), "--text-field"),
        ("numbers", arrow(lambda pa: pa.table({"text": [1, 2]})), "int64"),
        ("ids of floats", arrow(lambda pa: pa.table({"input_ids": [[0.5]]})), "double"),
        ("ids below 0", arrow(lambda pa: pa.table({"input_ids": [[-1, 5]]})), "-1"),
        (
            "ids without an id",
            arrow(lambda pa: pa.table({"input_ids": pa.array([[]] * 5, pa.list_(pa.int32()))})),
            "too few|of text|id",
        ),
        ("ids that are missing", arrow(lambda pa: pa.table({"input_ids": [[1, None, 3]] * 300})), "id"),
        ("ids beyond 2^32", arrow(lambda pa: pa.table({"input_ids": [[2**40]] * 300})), "id"),
        ("no rows", arrow(lambda pa: pa.table({"text": pa.array([], pa.string())})), "too few|of text"),
        (
            "texts that are missing",
            arrow(lambda pa: pa.table({"text": pa.array([None] * 9, pa.string())})),
            "too few|of text",
        ),
        (
            "not UTF-8",
            arrow(
                lambda pa: pa.table(
                    {
                        "text": pa.Array.from_buffers(
                            pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
                        )
                    }
                )
            ),
            "t.arrow",
        ),
    ):
        group.case(name, {"t.arrow": made}, "t.arrow", says)
    for name, made, says in (
        ("Parquet: empty", b"", "Parquet"),
        ("Parquet: no Parquet", b"PAR1 but not really PAR1", "Parquet"),
        ("Parquet: cut short", parquet_file(_good, lambda content: content[:-20]), "Parquet"),
        ("Parquet: cut in front", parquet_file(_good, lambda content: content[100:]), "read"),
        (
            "Parquet: a foot of 2^31 bytes",
            parquet_file(_good, lambda content: content[:-8] + b"\xff\xff\xff\x7fPAR1"),
            "Parquet",
        ),
        ("Parquet: bits flipped", parquet_file(_good, _flipped(4, 60)), "t.parquet"),
        (
            "Parquet: a name not in UTF-8",
            parquet_file(_good, lambda content: content.replace(b"text", b"te\xfft")),
            "t.parquet",
        ),
        ("Parquet: numbers", parquet_file(lambda pa: pa.table({"text": [1.5]})), "double"),
    ):
        group.case(name, {"t.parquet": made}, "t.parquet", says, command="prepare t.parquet --out tokens")
    group.case(
        "two files, two columns",
        {"d/a.arrow": arrow(_good), "d/b.arrow": arrow(lambda pa: pa.table({"input_ids": [[1]]}))},
        "d",
        "some files",
        command="prepare d --out tokens",
    )
    for name, state, says in (
        ("data set: no files named", "{}", "named"),
        ("data set: no JSON", "{", "named"),
        ("data set: a list", "[]", "named"),
        ("data set: a file above", '{"_data_files": [{"filename": "../t.arrow"}]}', "folder"),
        ("data set: a file from the root", '{"_data_files": [{"filename": "/etc/passwd"}]}', "folder"),
        ("data set: a number for a name", '{"_data_files": [{"filename": 5}]}', "named"),
        ("data set: a file that is not there", '{"_data_files": [{"filename": "x.arrow"}]}', "x.arrow"),
        ("data set: a name with NUL", '{"_data_files": [{"filename": "a\\u0000.arrow"}]}', "named|folder"),
    ):
        group.case(name, {"d/state.json": state, "t.arrow": arrow(_good)}, "d", says, command="prepare d --out tokens")
    group.case(
        "data set: splits above",
        {"d/dataset_dict.json": '{"splits": [".."]}', "state.json": '{"_data_files": []}'},
        "d",
        "folder",
        command="prepare d --out tokens",
    )
    group.case(
        "data set: splits of themselves",
        {"d/dataset_dict.json": '{"splits": ["."]}'},
        "d",
        "folder",
        command="prepare d --out tokens",
    )
    group.case("data set: no files", {"d/state.json": '{"_data_files": []}'}, "d", command="prepare d --out tokens")
    return group


def arrow(
    columns: Callable[[Any], Any], *, stream: bool = True, changed: Callable[[bytes], bytes] = bytes
) -> Callable[[Path], None]:
    """A file of Arrow's with these columns."""

    def make(path: Path) -> None:
        import pyarrow

        table = columns(pyarrow)
        sink = io.BytesIO()
        with (pyarrow.ipc.new_stream if stream else pyarrow.ipc.new_file)(sink, table.schema) as writer:
            writer.write_table(table)
        path.write_bytes(changed(sink.getvalue()))

    return make


def parquet_file(columns: Callable[[Any], Any], changed: Callable[[bytes], bytes] = bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        import pyarrow
        from pyarrow import parquet

        sink = io.BytesIO()
        parquet.write_table(columns(pyarrow), sink)
        path.write_bytes(changed(sink.getvalue()))

    return make


def _good(pa: Any) -> Any:
    return pa.table({"text": ["Once upon a time there was a text. " * 8] * 300})


def _flipped(first: int, last: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:first] + bytes(byte ^ 0xA5 for byte in content[first:last]) + content[last:]
