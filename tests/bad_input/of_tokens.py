"""Files of tokens: nanoGPT's and llm.c's `.bin` with their side-cars, `.npy`, Megatron's index."""

import io
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.bad_input.case import Group, Made
from tests.conftest import TINY

TRAIN = "train --model m.toml --mode dense --steps 1 --batch-size 8 --num-gpus 1 --seq-len 32 --out run --data "
_TOKENS = np.arange(100_000, dtype="<u2") % 300


def cases() -> list[Group]:
    return [_bins(), _side_cars(), _npys(), _indexes()]


def trained_on(name: str, data: str) -> Callable[..., None]:
    """Adds cases that train the tiny model on `data`."""
    group = Group(name, TRAIN + data)

    def add(name: str, files: dict[str, Made], *says: str, **more: Any) -> None:
        group.case(name, {"m.toml": TINY} | files, *says, **more)

    add.group = group  # type: ignore[attr-defined]
    return add


def _bins() -> Group:
    add = trained_on("token file", "t.bin")
    llm_c = np.zeros(256, "<i4")
    llm_c[:3] = 20240520, 1, len(_TOKENS)
    for name, made, says in (
        ("empty", b"", "token"),
        ("one byte", b"\0", "whole number"),
        ("of odd length", _TOKENS.tobytes()[:-1], "whole number"),
        ("one token", b"\1\0", "token"),
        ("ten tokens", _TOKENS[:10].tobytes(), "token"),
        ("ids beyond the vocabulary", (_TOKENS + 300).tobytes(), "vocabulary"),
        ("one id beyond the vocabulary in each place", np.full(100_000, 65535, "<u2").tobytes(), "65535"),
        ("llm.c: version 9", np.array([20240520, 9, 5], "<i4").tobytes() + _TOKENS.tobytes(), "version"),
        ("llm.c: the header alone", llm_c.tobytes(), "cut short"),
        ("llm.c: cut within the header", llm_c.tobytes()[:100], "cut short|header"),
        ("llm.c: fewer tokens than it says", llm_c.tobytes() + _TOKENS.tobytes()[:-2], "cut short"),
        (
            "llm.c: -1 tokens",
            np.where(np.arange(256) == 2, -1, llm_c).astype("<i4").tobytes() + _TOKENS.tobytes(),
            "t.bin",
        ),
        (
            "llm.c: 2^31 - 1 tokens",
            np.where(np.arange(256) == 2, 2**31 - 1, llm_c).astype("<i4").tobytes() + _TOKENS.tobytes(),
            "cut short",
        ),
        ("text", b"Once upon a time, there was a text. " * 3000, "vocabulary"),
    ):
        add(name, {"t.bin": made}, "t.bin", says)
    add("not there", {}, "t.bin", "no such file")
    for suffix, says in (
        (".pkl", "pickle"),
        (".pt", "pickle"),
        (".zip", "archive"),
        (".tar", "archive"),
        (".mds", "MosaicML"),
        (".zst", "compressed"),
        (".pbin", "pickle"),
    ):
        add(f"named {suffix}", {f"t{suffix}": b"\x80\x04."}, f"t{suffix}", says, command=TRAIN + f"t{suffix}")
    add(
        "files of several formats",
        {"d/t.bin": _TOKENS.tobytes(), "d/t.jsonl": "{}\n"},
        "d",
        "several",
        command=TRAIN + "d",
    )
    add(
        "files of several formats, by a pattern",
        {"t.bin": _TOKENS.tobytes(), "t.h5": b""},
        "t.*",
        "several",
        command=TRAIN + "'t.*'",
    )
    add("a tokenizer for tokens", {"t.bin": _TOKENS.tobytes()}, "t.bin", "tokenizer", more="--tokenizer bpe:300")
    add(
        "sequences longer than the file",
        {"t.bin": _TOKENS[:40].tobytes()},
        "t.bin",
        "sequences|tokens",
        more="--seq-len 64",
    )
    return add.group  # type: ignore[attr-defined,no-any-return]


def _side_cars() -> Group:
    add = trained_on("side-car", "t.bin")
    good = {"dtype": "uint16", "vocab_size": 300}
    for name, said, says in (
        ("empty", "", "t.json"),
        ("a list", "[]", "t.json"),
        ("cut short", '{"dtype": "uin', "t.json"),
        ("no dtype", "{}", "dtype"),
        ("a dtype of no kind", '{"dtype": "float16"}', "dtype"),
        ("a key too many", json.dumps(good | {"colour": 1}), "colour"),
        ("another dtype", json.dumps(good | {"dtype": "uint64"}), "t.bin"),
        ("int32 of uint16", json.dumps(good | {"dtype": "int32"}), "id|vocabulary"),
        ("as many tokens as there are not", json.dumps(good | {"n_tokens": 7}), "7"),
        ("-1 tokens", json.dumps(good | {"n_tokens": -1}), "n_tokens|-1"),
        ("no vocabulary", json.dumps(good | {"vocab_size": 0}), "vocab"),
        ("a vocabulary below 0", json.dumps(good | {"vocab_size": -5}), "vocab"),
        ("a vocabulary smaller than the ids", json.dumps(good | {"vocab_size": 20}), "vocabulary"),
        ("a vocabulary larger than the model's", json.dumps(good | {"vocab_size": 10**6}), "vocab"),
        ("a vocabulary of 10^30", json.dumps(good | {"vocab_size": 10**30}), "vocab"),
        ("0 bytes", json.dumps(good | {"n_bytes": 0}), "n_bytes"),
        ("-1 bytes", json.dumps(good | {"n_bytes": -1}), "n_bytes"),
        ("not UTF-8", b'{"dtype": "\xff"}', "t.json"),
        ("objects in objects", '{"a":' * 100_000, "t.json"),
    ):
        add(name, {"t.bin": _TOKENS.tobytes(), "t.json": said}, "t.bin|t.json", says)
    add(
        "shards of two tokenizers",
        {
            f"d/{name}": made
            for name, made in (
                ("a.bin", _TOKENS.tobytes()),
                ("a.json", json.dumps(good)),
                ("b.bin", _TOKENS.tobytes()),
                ("b.json", json.dumps(good | {"tokenizer": "x"})),
            )
        },
        "b.bin",
        "the same",
        command=TRAIN + "d",
    )
    return add.group  # type: ignore[attr-defined,no-any-return]


def _npys() -> Group:
    add = trained_on(".npy", "t.npy")

    def npy(array: Any) -> bytes:
        file = io.BytesIO()
        np.save(file, array, allow_pickle=True)
        return file.getvalue()

    def headed(header: str, version: bytes = b"\1\0") -> bytes:
        text = header.encode()
        return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + _TOKENS.tobytes()

    for name, made, says in (
        ("no header", _TOKENS.tobytes(), "header"),
        ("objects", npy(np.array([{}, []], object)), "object"),
        ("floats", npy(np.zeros(10)), "float64"),
        ("two dimensions", npy(np.zeros((4, 4), "u2")), "shape"),
        ("complex", npy(np.zeros(4, complex)), "complex"),
        ("empty", npy(np.zeros(0, "u2")), "token"),
        ("cut within the header", npy(_TOKENS)[:40], "t.npy"),
        ("cut within the tokens", npy(_TOKENS)[:-10], "cut short"),
        ("a header of code", headed("__import__('os').system('touch here')"), "t.npy"),
        ("a header of brackets", headed("[" * 30_000), "t.npy"),
        ("a header without an end", headed("{'descr': (L"), "t.npy"),
        ("version 9", headed("{}", b"\x09\0"), "t.npy"),
        ("a shape of -1", headed("{'descr': '<u2', 'fortran_order': False, 'shape': (-1,)}"), "t.npy"),
        (
            "a shape of 2^62",
            headed("{'descr': '<u2', 'fortran_order': False, 'shape': (4611686018427387904,)}"),
            "cut short",
        ),
        ("a shape that is true", headed("{'descr': '<u2', 'fortran_order': False, 'shape': (True,)}"), "t.npy"),
        ("a dtype of fields", headed("{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (4,)}"), "t.npy"),
        ("a key too many", headed("{'descr': '<u2', 'fortran_order': False, 'shape': (4,), 'x': 1}"), "t.npy"),
        ("big-endian beyond the vocabulary", npy(np.full(100_000, 9000, ">u2")), "9000"),
    ):
        add(name, {"t.npy": made}, "t.npy", says)
    return add.group  # type: ignore[attr-defined,no-any-return]


def index(**changes: Any) -> bytes:
    """Megatron's index of ten sequences of a hundred tokens, with changes."""
    said: dict[str, Any] = {
        "magic": b"MMIDIDX\0\0",
        "version": 1,
        "code": 8,
        "n": 10,
        "n_entries": 11,
        "lengths": [100] * 10,
        "pointers": [200 * k for k in range(10)],
        "documents": range(11),
    } | changes
    head = struct.pack("<9sQBQQ", said["magic"], said["version"], said["code"], said["n"], said["n_entries"])
    tables = (
        np.array([*said[key]], dtype).tobytes()
        for key, dtype in (("lengths", "<i4"), ("pointers", "<i8"), ("documents", "<i8"))
    )
    return head + b"".join(tables)


def _indexes() -> Group:
    add = trained_on("Megatron index", "t.idx")
    for name, made, says in (
        ("empty", b"", "MMIDIDX"),
        ("another magic", index(magic=b"TNTIDX\0\0\0"), "MMIDIDX"),
        ("cut within the header", index()[:20], "cut short"),
        ("cut within the tables", index()[:-8], "cut short"),
        ("version 2", index(version=2), "version"),
        ("version 2^64 - 1", index(version=2**64 - 1), "version"),
        ("floats", index(code=6), "kind"),
        ("a kind of no kind", index(code=99), "kind"),
        ("2^63 sequences", index(n=2**63), "cut short"),
        ("2^64 - 1 documents", index(n_entries=2**64 - 1), "cut short"),
        ("no document", index(n_entries=0, documents=[]), "damaged"),
        ("a length below 0", index(lengths=[-100] + [100] * 9), "damaged"),
        ("lengths beyond the file", index(lengths=[2**31 - 1] * 10), "cut short"),
        ("a place below 0", index(pointers=[-200, *[0] * 9]), "damaged"),
        ("a place within a token", index(pointers=[1, *[0] * 9]), "damaged"),
        ("a place behind the file", index(pointers=[2**62, *[0] * 9]), "cut short"),
        ("places that overflow", index(pointers=[2**63 - 2, *[0] * 9], lengths=[2**31 - 1] * 10), "cut short|damaged"),
        ("documents that fall", index(documents=[0, 9, 3, *range(4, 11), 10][:11]), "damaged"),
        ("documents that begin late", index(documents=range(1, 12)), "damaged"),
        ("documents beyond the sequences", index(documents=[0, *range(1, 10), 99]), "damaged"),
        ("no tokens", index(lengths=[0] * 10), "token"),
        ("int64 of uint16", index(code=5, pointers=[800 * k for k in range(10)]), "cut short"),
        ("no sequence", index(n=0, n_entries=1, lengths=[], pointers=[], documents=[0]), "token"),
    ):
        add(name, {"t.idx": made, "t.bin": _TOKENS[:1000].tobytes()}, "t.", says)
    add("no tokens beside it", {"t.idx": index()}, "t.bin", "No such file")
    add("ids beyond the vocabulary", {"t.idx": index(), "t.bin": np.full(1000, 999, "<u2").tobytes()}, "999")
    add(
        "a side-car of another dtype",
        {"t.idx": index(), "t.bin": _TOKENS[:1000].tobytes(), "t.json": '{"dtype": "uint8"}'},
        "t.json",
        "dtype",
    )
    return add.group  # type: ignore[attr-defined,no-any-return]
