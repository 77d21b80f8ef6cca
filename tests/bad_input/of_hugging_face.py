"""Hugging Face folders: config.json, safetensors, their index, and what an export says of itself."""

import json
import math
import os
import struct
from pathlib import Path
from typing import Any

from tests.bad_input.case import Group, Made
from wse_sim.spec.hugging_face import shape_from_hugging_face
from wse_sim.spec.hugging_face_tensors import hugging_face_tensors

CONFIG: dict[str, Any] = {
    "model_type": "gpt2",
    "n_layer": 1,
    "n_embd": 16,
    "n_head": 2,
    "vocab_size": 256,
    "n_positions": 32,
    "activation_function": "gelu_new",
}
_DTYPE_BYTES = {"F32": 4, "I32": 4, "F64": 8, "U8": 1}
Entry = dict[str, Any]


def table(config: dict[str, Any] = CONFIG) -> dict[str, Entry]:
    """The table of a whole file of the model's tensors."""
    shape = shape_from_hugging_face(config, name="tiny", where="config.json")
    entries: dict[str, Entry] = {}
    end = 0
    for tensor in hugging_face_tensors(shape):
        start, end = end, end + 4 * math.prod(tensor.shape)
        entries[tensor.name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, end]}
    return entries


def file_of(
    entries: object, *, n_bytes: int | None = None, length: int | None = None, fill: bytes = b"\0\0\0\0"
) -> bytes:
    """A safetensors file: its table, and as many bytes as that asks for unless others are given."""
    header = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    if n_bytes is None:
        n_bytes = max((entry["data_offsets"][1] for entry in table().values()), default=0)
    return struct.pack("<Q", len(header) if length is None else length) + header + fill * (n_bytes // len(fill))


def changed(name: str, **fields: Any) -> dict[str, Entry]:
    """The table with other fields of one tensor."""
    entries = table()
    entries[name] = entries[name] | fields
    return entries


def cases() -> list[Group]:
    return [_configs(), _safetensors(), _folders()]


def _configs() -> Group:
    group = Group("config.json", "simulate --batch-size 8 --model hf/config.json")
    for name, made, says in (
        ("empty", "", "JSON"),
        ("cut short", json.dumps(CONFIG)[:40], "JSON"),
        ("a list", "[]", "object"),
        ("a number", "5", "object"),
        ("nothing", "null", "object"),
        ("objects in objects", '{"a":' * 100_000, "JSON"),
        ("not UTF-8", b'{"model_type": "gpt\xff"}', "UTF-8"),
        ("a number of 5,000 digits", json.dumps(CONFIG).replace("16", "9" * 5000), "JSON"),
        ("a number of 30 digits", json.dumps(CONFIG).replace("16", "9" * 30), "JSON"),
        ("NUL behind it", json.dumps(CONFIG) + "\0", "JSON"),
        ("two objects", json.dumps(CONFIG) * 2, "JSON"),
        ("a key twice", json.dumps(CONFIG)[:-1] + ', "n_embd": 32}', "'n_embd' twice"),
        ("half of a letter", json.dumps(CONFIG | {"_name_or_path": "\ud800"}), "half of a letter"),
        ("a name of two lines", json.dumps(CONFIG | {"_name_or_path": "a\nerror: b"}), "one line"),
        ("attention over a second text", json.dumps(CONFIG | {"add_cross_attention": True}), "add_cross_attention"),
        ("no model_type", "{}", "model_type"),
        ("another family", '{"model_type": "mamba"}', "mamba"),
        ("model_type a number", '{"model_type": 2}', "model_type"),
        ("not there", lambda _: None, "No such file"),
    ):
        group.case(name, {"hf/config.json": made}, "config.json", says)
    for key, values in {
        "n_layer": (0, -1, 1.5, "1", None, True, math.nan, 10**18),
        "n_embd": (0, 17, [16], 2**62),
        "n_head": (0, 3, {}),
        "vocab_size": (-1, 1e300),
        "n_positions": (0, "long"),
        "n_inner": (0, -5, "x"),
        "tie_word_embeddings": (1, "yes"),
        "activation_function": (1, None),
    }.items():
        ours = {
            "n_layer": "n_layer",
            "n_embd": "n_embd|d_model",
            "n_head": "n_head",
            "n_positions": "n_positions|seq_len",
            "n_inner": "n_inner|d_ff",
        }
        for value in values:
            group.case(
                f"{key} = {value}",
                {"hf/config.json": json.dumps(CONFIG | {key: value})},
                "config.json",
                ours.get(key, key),
            )
    llama = {
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 128,
    }
    for key, value in (
        ("num_key_value_heads", 0),
        ("num_key_value_heads", -2),
        ("num_key_value_heads", 3),
        ("head_dim", 7),
        ("head_dim", -16),
        ("attention_bias", True),
        ("num_local_experts", 8),
    ):
        group.case(
            f"llama: {key} = {value}",
            {"hf/config.json": json.dumps(llama | {key: value})},
            "config.json",
            key.replace("num_key_value_heads", "key_value|kv_heads").replace("attention_bias", "bias"),
        )
    return group


def _safetensors() -> Group:
    group = Group("safetensors", "train --init-from hf --mode dense --steps 1 --batch-size 8 --seq-len 32 --out run")
    whole, first = file_of(table()), next(iter(table()))
    end = table()[first]["data_offsets"][1]
    twice = json.dumps(table())[:-1] + f', "{first}": ' + json.dumps(table()[first]) + "}"
    wrong: dict[str, tuple[Made, str]] = {
        "empty": (b"", "model.safetensors"),
        "seven bytes": (whole[:7], "safetensors"),
        "its length alone": (whole[:8], "table"),
        "cut within the table": (whole[:200], "table"),
        "cut within a tensor": (whole[:-100], "ends"),
        "a length of 2^64 - 1": (b"\xff" * 8 + whole[8:], "table"),
        "a length of 0": (bytes(8) + whole[8:], "safetensors"),
        "a length that is one short": (file_of(table(), length=len(json.dumps(table())) - 1), "safetensors"),
        "a table of 200 MB": (_sparse(200 << 20), "table"),
        "no JSON": (file_of(b"not a table"), "safetensors"),
        "not UTF-8": (file_of(b'{"\xff": {}}'), "safetensors"),
        "a list": (file_of([]), "table"),
        "objects in objects": (file_of(b'{"a":' * 50_000), "safetensors"),
        "metadata is a list": (file_of({"__metadata__": [1], **table()}), "metadata"),
        "metadata of numbers": (file_of({"__metadata__": {"format": 1}, **table()}), "metadata"),
        "a tensor twice": (file_of(twice.encode()), "twice"),
        "an entry is a list": (file_of(table() | {first: []}), first),
        "no offsets": (file_of(table() | {first: {"dtype": "F32", "shape": [256, 16]}}), first),
        "three offsets": (file_of(changed(first, data_offsets=[0, 1, 2])), first),
        "offsets before the file": (file_of(changed(first, data_offsets=[-end, 0])), first),
        "offsets behind the file": (file_of(changed(first, data_offsets=[1 << 60, (1 << 60) + end])), first),
        "offsets that overlap": (file_of(changed(list(table())[1], data_offsets=[0, 2048])), "overlap|between"),
        "offsets that fall": (file_of(changed(first, data_offsets=[end, 0])), first),
        "offsets of text": (file_of(changed(first, data_offsets=["0", str(end)])), first),
        "offsets of fractions": (file_of(changed(first, data_offsets=[0.0, float(end)])), first),
        "offsets that are NaN": (file_of(changed(first, data_offsets=[math.nan, math.nan])), first),
        "a dtype that lies": (file_of(changed(first, dtype="F64")), first),
        "a dtype of no kind": (file_of(changed(first, dtype="F5")), first),
        "a dtype of four bits": (file_of(changed(first, dtype="F4")), first),
        "whole numbers for weights": (file_of(changed(first, dtype="I32")), "floating"),
        "a shape that lies": (file_of(changed(first, shape=[16, 256])), first),
        "a shape of text": (file_of(changed(first, shape="256x16")), first),
        "a shape of fractions": (file_of(changed(first, shape=[256.0, 16.0])), first),
        "a negative shape": (file_of(changed(first, shape=[-256, -16])), first),
        "a shape of 2^80": (file_of(changed(first, shape=[1 << 40, 1 << 40])), first),
        "a shape of 100,000 ones": (file_of(changed(first, shape=[1] * 100_000 + [256, 16])), first),
        "no tensor": (file_of({}), first),
        "a tensor too few": (file_of({name: entry for name, entry in table().items() if name != first}), first),
        "a tensor too many": (
            file_of({**table(), "extra": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
            "extra",
        ),
        "NaN for weights": (file_of(table(), fill=b"\0\0\xc0\x7f"), "finite|NaN"),
        "infinities for weights": (file_of(table(), fill=b"\0\0\x80\x7f"), "finite|NaN"),
        "a pickle": (b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x02os\x94.", "safetensors"),
        "a name with escape codes": (
            file_of({**table(), "\x1b[31m\n": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
            "holds a tensor",
        ),
        "a folder": (lambda path: path.mkdir(), "weights"),
    }
    for name, (made, says) in wrong.items():
        group.case(name, {"hf/config.json": json.dumps(CONFIG), "hf/model.safetensors": made}, "hf", says)
    return group


def _folders() -> Group:
    group = Group(
        "Hugging Face folder", "train --init-from hf --mode dense --steps 1 --batch-size 8 --seq-len 32 --out run"
    )
    config, whole = json.dumps(CONFIG), file_of(table())
    index = "hf/model.safetensors.index.json"
    for name, weight_map, says in (
        ("index: a list", [], "weight_map"),
        ("index: nothing", None, "weight_map"),
        ("index: numbers", {"transformer.wte.weight": 1}, "weight_map"),
        ("index: empty", {}, "transformer.wte.weight|weights"),
        ("index: a file above", dict.fromkeys(table(), "../secret.safetensors"), "secret.safetensors"),
        ("index: a file from the root", dict.fromkeys(table(), "/etc/passwd"), "passwd"),
        ("index: a file that is not there", dict.fromkeys(table(), "model-1.safetensors"), "model-1.safetensors"),
        ("index: the folder", dict.fromkeys(table(), "."), "weight_map|hf"),
        ("index: a name with NUL", dict.fromkeys(table(), "a\0b"), "hf"),
        ("index: a name of 5,000 letters", dict.fromkeys(table(), "a" * 5000), "hf"),
    ):
        group.case(
            name,
            {"hf/config.json": config, index: json.dumps({"weight_map": weight_map}), "secret.safetensors": whole},
            "hf",
            says,
        )
    group.case("index: no JSON", {"hf/config.json": config, index: "{"}, index, "JSON")
    group.case(
        "index: says what the file has not",
        {
            "hf/config.json": config,
            index: json.dumps({"weight_map": {"nothing": "w.safetensors"}}),
            "hf/w.safetensors": whole,
        },
        "w.safetensors",
        "nothing",
    )
    group.case("a pickle", {"hf/config.json": config, "hf/pytorch_model.bin": b"\x80\x02."}, "hf", "pickle")
    group.case("no weights", {"hf/config.json": config}, "hf", "weights")
    group.case("no config", {"hf/model.safetensors": whole}, "config.json", "No such file")
    group.case("not there", {}, "hf", "No such file")
    group.case("a file", {"hf": "x"}, "hf", "Not a directory")
    group.case(
        "another model",
        {"hf/config.json": config, "hf/model.safetensors": whole},
        "hf",
        "d_model|n_layers",
        more="--model 111m",
    )
    for name, made, says in (
        ("wse-sim.json: empty", "", "JSON"),
        ("wse-sim.json: no keys", "{}", "missing"),
        ("wse-sim.json: a list", "[]", "object"),
        ("wse-sim.json: another form", '{"run": 5}', "run"),
    ):
        group.case(
            name,
            {"hf/config.json": config, "hf/model.safetensors": whole, "hf/wse-sim.json": made},
            "wse-sim.json",
            says,
        )
    group.case("a tokenizer that is a folder", {"hf/config.json": config, "hf/tokenizer.json/x": ""}, "hf")
    sparse = {
        "w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
        "w_mask": {"dtype": "U8", "shape": [1], "data_offsets": [16, 17]},
    }
    for name, dims, says in (
        ("no shape", {}, "shape"),
        ("a shape of words", {"w": "axb"}, "shape"),
        ("a shape that lies", {"w": "9x9"}, "mask"),
        ("a shape of 5,000 digits", {"w": "9" * 5000}, "shape|mask"),
    ):
        made = file_of({"__metadata__": dims, **sparse}, n_bytes=20)
        group.case(f"sparse: {name}", {"hf/config.json": config, "hf/model.sparse.safetensors": made}, "hf", says)
    return group


def _sparse(n_bytes: int) -> Any:
    """A file that is one large table of nothing, and takes no room."""

    def make(path: Path) -> None:
        path.write_bytes(struct.pack("<Q", n_bytes - 8))
        os.truncate(path, n_bytes)

    return make
