"""Documents in lines of JSON, plain or compressed: `.jsonl`, `.jsonl.zst` (the Pile, SlimPajama), `.jsonl.gz`."""

import gzip
import importlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from training.data.extras import extra
from wse_sim.errors import SpecError

_LINES = (".jsonl", ".ndjson")
SUFFIXES = (*(lines + packed for lines in _LINES for packed in ("", ".zst", ".gz")), ".json.zst", ".json.gz")
_CHUNK_BYTES = 1 << 20
_MOST_LINE_BYTES = 64 << 20
_PACKED_BYTES = 4 << 10  # of zstd, put in at once: up to 32,768 times as many come out


def json_documents(path: Path, field: str, on_read: Callable[[int], object]) -> Iterator[bytes]:
    """The text of each line, in UTF-8; lines without text are passed over.

    Parameters
    ----------
    field :
        Of a line's object, that holds the text.
    on_read :
        Called with the bytes read of the file so far.

    Raises
    ------
    SpecError
        When the file cannot be read or decompressed, or a line is no JSON or has no such field; names the line.
    """
    decoder = msgspec.json.Decoder()
    for number, line in enumerate(_lines(_chunks(path, on_read), path), start=1):
        if not line.strip():
            continue
        try:
            content = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SpecError(f"data {path}: line {number} is no JSON in UTF-8 ({error})") from None
        if text := _text(content, field, f"data {path}: line {number}"):
            yield text.encode()


def _text(content: object, field: str, where: str) -> str:
    if not isinstance(content, dict):
        raise SpecError(f"{where} is no JSON object; one with the field {field!r} would be right")
    if field not in content:
        there = ", ".join(map(repr, content)) or "none"
        raise SpecError(
            f"{where} has no field {field!r}; its fields are {there}: name the one with the text, --text-field"
        )
    text = content[field]
    if not isinstance(text, str):
        raise SpecError(f"{where}: the field {field!r} is no text but {str(text)[:40]!r}")
    return text


def _lines(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """Each line; a small file may be packed out of one that no memory holds."""
    parts: list[bytes] = []  # of the line that has no end yet
    n_lines = 0
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        parts.append(first)
        if others:
            *whole, last = others
            yield b"".join(parts)
            yield from whole
            n_lines, parts = n_lines + 1 + len(whole), [last]
        if sum(map(len, parts)) > _MOST_LINE_BYTES:
            raise SpecError(
                f"data {path}: line {n_lines + 1} has more than {_MOST_LINE_BYTES:,} bytes: a line for each document "
                "would be right"
            )
    yield b"".join(parts)


def _chunks(path: Path, on_read: Callable[[int], object]) -> Iterator[bytes]:
    """The content of a file, decompressed."""
    try:
        with path.open("rb") as file:
            if path.suffix == ".zst":
                yield from _zstd_chunks(file, path, on_read)
                return
            unpacked: Any = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            while chunk := unpacked.read(_CHUNK_BYTES):
                on_read(file.tell())
                yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SpecError(f"data {path}: is no whole gzip file ({error})") from None
    except OSError as error:
        raise SpecError(f"data {path}: cannot be read: {error.strerror}") from None


def _zstd_chunks(file: IO[bytes], path: Path, on_read: Callable[[int], object]) -> Iterator[bytes]:
    """Frame after frame, to see one that is cut short; a reader of streams would take it for the end."""
    new_frame, damage = _zstd(path)
    frame, is_begun = new_frame(), False
    while chunk := file.read(_CHUNK_BYTES):
        on_read(file.tell())
        while chunk:
            packed, later = chunk[:_PACKED_BYTES], chunk[_PACKED_BYTES:]
            try:
                yield frame.decompress(packed)
            except damage as error:
                raise SpecError(f"data {path}: is damaged, or no zstd file ({error})") from None
            is_begun, chunk = not frame.eof, (frame.unused_data if frame.eof else b"") + later
            if frame.eof:
                frame = new_frame()
    if is_begun:
        raise SpecError(f"data {path}: is cut short: its last zstd frame has no end")


def _zstd(path: Path) -> tuple[Callable[[], Any], type[Exception]]:
    """What makes a decompressor of one frame, and what it raises."""
    try:
        standard = importlib.import_module("compression.zstd")  # from Python 3.14 on
    except ImportError:
        library = extra("zstandard", f"data {path}")
        return library.ZstdDecompressor().decompressobj, library.ZstdError
    return standard.ZstdDecompressor, standard.ZstdError
