"""Lines of JSON, compressed or not, and what makes tokens of them."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

from tests.bad_input.case import Group

_LINES = "".join(json.dumps({"text": f"Once upon a time there was text number {n}. " * 4}) + "\n" for n in range(300))


# The library does not raise at this one, it panics.
_SHORT_MERGE = {
    "type": "BPE",
    "continuing_subword_prefix": "##",
    "vocab": {"a": 0, "b": 1, "ab": 2},
    "merges": [["a", "b"]],
}


def cases() -> list[Group]:
    return [_lines(), _packed(), _tokenizers()]


def _lines() -> Group:
    group = Group("JSON lines", "prepare t.jsonl --out tokens")
    for name, made, says in (
        ("empty", "", "too few|of text"),
        ("empty lines", "\n\n\n", "too few|of text"),
        ("no JSON", "text\n", "line 1"),
        ("cut short", _LINES[:-9], "line 300"),
        ("a list", "[]\n", "line 1"),
        ("a number", "5\n", "line 1"),
        ("no text", '{"content": "x"}\n', "--text-field"),
        ("no field", "{}\n", "--text-field"),
        ("a number for a text", '{"text": 5}\n', "no text"),
        ("nothing for a text", '{"text": null}\n', "no text"),
        ("a list for a text", '{"text": ["a"]}\n', "no text"),
        ("not UTF-8", b'{"text": "\xff"}\n', "line 1"),
        ("half a character", '{"text": "\\ud800"}\n' + _LINES, "line 1"),
        ("UTF-16", _LINES.encode("utf-16"), "line 1"),
        ("a byte order mark alone", b"\xef\xbb\xbf", "line 1"),
        ("lists in lists", "[" * 200_000 + "\n", "line 1"),
        ("objects in a field", '{"text": "x", "meta": ' + '{"a":' * 100_000 + "\n", "line 1"),
        ("a number of 100,000 digits", '{"text": ' + "9" * 100_000 + "}\n", "line 1"),
        ("binary", bytes(range(256)) * 40, "line 1"),
        ("a line with NUL", b'{"text": "a\0b"}\n', "line 1"),
        ("one document", '{"text": "short"}\n', "too few|of text"),
        ("10,000 fields", json.dumps({f"field {n}": n for n in range(10_000)}) + "\n", "--text-field"),
        ("a field with escape codes", '{"\\u001b[31m\\n": 1}\n', "--text-field"),
    ):
        group.case(name, {"t.jsonl": made}, "t.jsonl", says)
    group.case("a field that is not there", {"t.jsonl": _LINES}, "t.jsonl", "'body'", more="--text-field body")
    group.case("into a file", {"t.jsonl": _LINES, "tokens": "here"}, "tokens", "exists|folder")
    group.case(
        "into a file's folder",
        {"t.jsonl": _LINES, "f": ""},
        "f/tokens",
        "directory|folder",
        command="prepare t.jsonl --out f/tokens",
    )
    group.case(
        "tokens, which are ready",
        {"t.bin": b"\0\0" * 5000},
        "t.bin",
        "tokens already",
        command="prepare t.bin --out tokens",
    )
    group.case("not there", {}, "t.jsonl", "no such file")
    group.case("a folder without files", {"d/.hidden": "x"}, "d", "no file|of text", command="prepare d --out tokens")
    group.case("a vocabulary that cannot be trained", {"t.jsonl": _LINES}, "bpe:5", "257", more="--tokenizer bpe:5")
    group.case(
        "trained on",
        {"t.jsonl": '{"text": 5}\n'},
        "t.jsonl",
        "no text",
        command="train --model 111m --budget 60s --data t.jsonl --tokenizer bpe:300 --out run",
    )
    return group


def _packed() -> Group:
    group = Group("compressed lines", "prepare t.jsonl.gz --out tokens")
    whole = gzip.compress(_LINES.encode(), mtime=0)
    for name, made, says in (
        ("gzip: empty", b"", "too few|of text|gzip"),
        ("gzip: no gzip", _LINES, "gzip"),
        ("gzip: its magic alone", b"\x1f\x8b", "gzip"),
        ("gzip: cut short", whole[:-20], "gzip"),
        ("gzip: a checksum that lies", whole[:-8] + bytes(4) + whole[-4:], "gzip"),
        ("gzip: a length that lies", whole[:-4] + bytes(4), "gzip"),
        ("gzip: bits flipped", whole[:60] + bytes(byte ^ 0xFF for byte in whole[60:90]) + whole[90:], "gzip"),
        ("gzip: more behind it", whole + b"and more", "gzip"),
        ("gzip: one line of 3 GB", _gzip_bomb, "line 1"),
        ("gzip: a text of 3 GB", _gzip_text_bomb, "line 1"),
    ):
        group.case(name, {"t.jsonl.gz": made}, "t.jsonl.gz", says)
    for name, made, says in (
        ("zstd: empty", b"", "too few|of text|zstd"),
        ("zstd: no zstd", _LINES, "zstd"),
        ("zstd: its magic alone", b"\x28\xb5\x2f\xfd", "zstd|cut short"),
        ("zstd: cut short", _zstd(lambda content: content[:-20]), "cut short"),
        (
            "zstd: bits flipped",
            _zstd(lambda content: content[:60] + bytes(byte ^ 0xFF for byte in content[60:90]) + content[90:]),
            "zst",
        ),
        ("zstd: more behind it", _zstd(lambda content: content + b"and more"), "zstd"),
        ("zstd: a window of 2 GB", b"\x28\xb5\x2f\xfd\x00\xa8" + b"\1\0\0", "zstd|memory"),
        ("zstd: one line of 1.5 GB", _zstd_bomb, "line 1"),
        ("zstd: gzip", whole, "zstd"),
    ):
        group.case(name, {"t.jsonl.zst": made}, "t.jsonl.zst", says, command="prepare t.jsonl.zst --out tokens")
    return group


def _gzip_bomb(path: Path) -> None:
    """Members of a megabyte of nothing: three gigabytes in three."""
    path.write_bytes(gzip.compress(b'{"text": "', mtime=0) + gzip.compress(bytes(1 << 20), mtime=0) * 3072)


def _gzip_text_bomb(path: Path) -> None:
    path.write_bytes(
        gzip.compress(b'{"text": "', mtime=0)
        + gzip.compress(b"a" * (1 << 20), mtime=0) * 3072
        + gzip.compress(b'"}\n', mtime=0)
    )


def _zstd(changed: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        import zstandard

        path.write_bytes(changed(zstandard.compress(_LINES.encode())))

    return make


def _zstd_bomb(path: Path) -> None:
    import zstandard

    """One frame, so that all of it may come out at once."""
    with zstandard.open(path, "wb") as file:
        for _ in range(96):
            file.write(b"a" * (1 << 24))


def _tokenizers() -> Group:
    group = Group("tokenizer.json", "prepare t.jsonl --out tokens --tokenizer k.json")
    good = {"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}
    for name, made, says in (
        ("empty", "", "reads"),
        ("no JSON", "{", "reads"),
        ("a list", "[]", "reads"),
        ("no model", '{"version": "1.0"}', "reads"),
        ("a model of no kind", json.dumps(good | {"model": {"type": "Magic"}}), "reads"),
        (
            "a merge of what there is not",
            json.dumps(good | {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["x", "y"]]}}),
            "reads",
        ),
        ("an id below 0", json.dumps(good | {"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}), "reads"),
        ("a merge that is shorter than its prefix", json.dumps(good | {"model": _SHORT_MERGE}), "reads"),
        (
            "an id of 2^32",
            json.dumps(good | {"model": {"type": "WordLevel", "vocab": {"a": 2**32}, "unk_token": "a"}}),
            "k.json",
        ),
        (
            "an id of 10^30",
            json.dumps(good | {"model": {"type": "BPE", "vocab": {"a": 10**30}, "merges": []}}),
            "reads",
        ),
        ("no entry", json.dumps(good | {"model": {"type": "BPE", "vocab": {}, "merges": []}}), "k.json|nothing"),
        (
            "no word for what it does not know",
            json.dumps(good | {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"}}),
            "k.json|nothing",
        ),
        ("not UTF-8", b'{"version": "\xff"}', "reads"),
        ("objects in objects", '{"a":' * 100_000, "reads"),
        (
            "a regular expression that is none",
            json.dumps(
                good
                | {
                    "pre_tokenizer": {
                        "type": "Split",
                        "pattern": {"Regex": "("},
                        "behavior": "Isolated",
                        "invert": False,
                    }
                }
            ),
            "reads",
        ),
        ("a folder without files", lambda path: path.mkdir(), "tokenizer.json"),
        ("not there", lambda _: None, "no such file"),
    ):
        group.case(name, {"t.jsonl": _LINES, "k.json": made}, "k.json", says)
    group.case(
        "GPT-2's files, one of them no JSON",
        {"t.jsonl": _LINES, "k.json/vocab.json": "{", "k.json/merges.txt": ""},
        "k.json",
        "reads",
    )
    return group
