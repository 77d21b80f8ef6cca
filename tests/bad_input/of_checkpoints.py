"""Checkpoints, and what reads them: runs that go on, exports, simulations with a run's masks."""

import json
import os
import re
import struct
from collections.abc import Callable
from typing import Any

from tests.bad_input.a_run import META, TENSORS, Change, file, keys, run, signed
from tests.bad_input.case import Group
from tests.conftest import TINY


def cases() -> list[Group]:
    return [_resumed(), _exported(), _masks()]


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    return content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]


def _table(changed: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """Another table for a safetensors file."""

    def make(content: bytes) -> bytes:
        (n,) = struct.unpack("<Q", content[:8])
        table = json.loads(content[8 : 8 + n])
        changed(table)
        header = json.dumps(table).encode()
        return struct.pack("<Q", len(header)) + header + content[8 + n :]

    return make


def renamed(of: str, by: str) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(of.encode(), by.encode())


def _without(key: str) -> Callable[[bytes], bytes]:
    """Rows in which a figure is null."""
    return lambda rows: re.sub(rf'"{key}":[0-9.e-]+'.encode(), f'"{key}":null'.encode(), rows)


_CHECKPOINT: dict[str, Change] = {
    "no description": lambda folder: (folder / META).write_bytes(b""),
    "a description cut short": file(META, cut),
    "a description that is a list": file(META, "[]"),
    "a description not in UTF-8": file(META, b'{"step": "\xff"}'),
    "objects in objects": file(META, '{"a":' * 100_000),
    "a description of another format": keys(META, format=99),
    "a step below 0": keys(META, step=-2),
    "a step of text": keys(META, step="two"),
    "a step that is not that of its name": keys(META, step=1),
    "no checksum": keys(META, sha256=...),
    "another checksum": keys(META, sha256="0" * 64),
    "a configuration that lies": keys(META, config__shape__d_model=128),
    "a configuration that cannot be": keys(META, config__shape__d_model=-1),
    "no tensors": lambda folder: (folder / TENSORS).unlink(),
    "empty tensors": file(TENSORS, b""),
    "tensors cut short": file(TENSORS, cut),
    "one bit flipped": file(TENSORS, _flip),
    "tensors that are a pipe": lambda folder: ((folder / TENSORS).unlink(), os.mkfifo(folder / TENSORS)),
    "tensors that are a folder": lambda folder: ((folder / TENSORS).unlink(), (folder / TENSORS).mkdir()),
    "signed: cut short": signed(file(TENSORS, cut)),
    "signed: no safetensors": signed(file(TENSORS, b"nothing of the kind")),
    "signed: no tensor": signed(file(TENSORS, _table(lambda table: table.clear()))),
    "signed: a tensor less": signed(file(TENSORS, _table(lambda table: table.pop("model.token.weight")))),
    "signed: a mask less": signed(file(TENSORS, _table(lambda table: table.pop("model.blocks.0.mlp.up.weight_mask")))),
    "signed: a tensor more": signed(
        file(
            TENSORS,
            _table(lambda table: table.update({"model.x": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}})),
        )
    ),
    "signed: another name": signed(file(TENSORS, renamed("model.token.weight", "model.taken.weight"))),
    "signed: another shape": signed(
        file(TENSORS, _table(lambda table: table["model.token.weight"].update(shape=[64, 300])))
    ),
    "signed: no shapes of masked ones": signed(file(TENSORS, _table(lambda table: table["__metadata__"].clear()))),
    "signed: shapes of text": signed(
        file(TENSORS, _table(lambda table: table["__metadata__"].update({"blocks.0.mlp.up.weight": "many"})))
    ),
    "signed: shapes that lie": signed(
        file(TENSORS, _table(lambda table: table["__metadata__"].update({"blocks.0.mlp.up.weight": "4x4"})))
    ),
    "signed: shapes of 2^60": signed(
        file(
            TENSORS, _table(lambda table: table["__metadata__"].update({"blocks.0.mlp.up.weight": f"{2**30}x{2**30}"}))
        )
    ),
    "signed: whole numbers for weights": signed(
        file(TENSORS, _table(lambda table: table["model.token.weight"].update(dtype="I32")))
    ),
}


def _resumed() -> Group:
    group = Group("resume", "train --resume run")
    for name, change in _CHECKPOINT.items():
        group.case(f"checkpoint: {name}", {"run": run(change)}, "run|checkpoint")
    target, config = "target.toml", "config.toml"
    for name, change, says in (
        ("not there", None, "run"),
        ("another data set", keys(META, data__sha256="0" * 64), "data|run"),
        ("target.toml: none", lambda folder: (folder / target).unlink(), target),
        ("target.toml: empty", file(target, ""), target),
        ("target.toml: cut short", file(target, cut), target),
        ("target.toml: not UTF-8", file(target, b"\xff"), "UTF-8"),
        ("target.toml: a key too many", file(target, lambda content: b"warp = 9\n" + content), "warp"),
        ("target.toml: another model", file(target, renamed("m.toml", "nowhere.toml")), "nowhere.toml"),
        ("target.toml: density 2", file(target, renamed("density = 0.5", "density = 2.0")), "density"),
        ("target.toml: a system of no kind", file(target, renamed('"cs2"', '"cs9"')), "cs9"),
        (
            "target.toml: started in a number",
            file(target, lambda content: b"started_in = 5\n" + content.split(b"\n", 1)[1]),
            "target.toml|started_in",
        ),
        (
            "target.toml: started in a name with NUL",
            file(target, lambda content: b'started_in = "a\\u0000b"\n' + content.split(b"\n", 1)[1]),
            "NUL",
        ),
        ("target.toml: no GPUs", file(target, renamed("num_gpus = 1", "num_gpus = 0")), "num_gpus"),
        ("target.toml: a budget below 0", file(target, renamed("budget_s = ", "budget_s = -")), "budget_s"),
        ("target.toml: another clip", file(target, renamed("clip = 1.0", "clip = 9.0")), "host.clip"),
        ("target.toml: another seed", file(target, renamed("seed = 0", "seed = 1")), "seed"),
        ("target.toml: another density", file(target, renamed("density = 0.5", "density = 0.25")), "density"),
        ("config.toml: empty", file(config, ""), config),
        ("config.toml: cut short", file(config, lambda content: content[:100] + b"\n[["), config),
        ("config.toml: n_steps = 0", file(config, renamed("n_steps = 2", "n_steps = 0")), "n_steps"),
        ("config.toml: another seed", file(config, renamed("seed = 0", "seed = 1")), "seed"),
        ("config.toml: another width", file(config, renamed("d_model = 64", "d_model = 128")), "d_model|shape|width"),
        ("run.jsonl: a row that is none", file("run.jsonl", b"[]\n" * 3), "run.jsonl"),
        ("run.jsonl: no rows of JSON", file("run.jsonl", b"\xff\n\xff\n"), "run.jsonl"),
        ("run.jsonl: none", lambda folder: (folder / "run.jsonl").unlink(), "step 2"),
        ("run.jsonl: empty", file("run.jsonl", ""), "step 2"),
        ("run.jsonl: another step", file("run.jsonl", renamed('"step":2', '"step":7')), "end at step 1"),
        ("run.jsonl: a step twice", file("run.jsonl", lambda rows: rows.splitlines(True)[0] + rows), "after step 1"),
        ("run.jsonl: no val_loss", file("run.jsonl", _without("val_loss")), "val_loss"),
        ("run.jsonl: no loss", file("run.jsonl", _without("loss")), "no loss"),
        (".lock: a pipe", lambda folder: os.mkfifo(folder / ".lock"), "pipe"),
        ("a file", None, "run"),
    ):
        made: Any = {"not there": {}, "a file": {"run": "x"}}.get(name, {"run": run(change or (lambda folder: None))})
        group.case(name, made, says)
    group.case(
        "another model beside it", {"run": run()}, "run", command="train --model 111m --mode dense --steps 1 --out run"
    )
    return group


def _exported() -> Group:
    group = Group("export", "export run --out hf")
    for name, change in _CHECKPOINT.items():
        if name not in _OF_THE_RUN:
            group.case(f"checkpoint: {name}", {"run": run(change)}, "run|checkpoint")
    group.case("no checkpoints", {"run/x": ""}, "run", "checkpoint")
    group.case("not there", {}, "run", "no such folder")
    group.case("a step that there is not", {"run": run()}, "step 7", more="--checkpoint 7")
    group.case("a step below 0", {"run": run()}, "step -1|checkpoint", more="--checkpoint -1")
    group.case("into a folder with files", {"run": run(), "hf/x": ""}, "hf")
    group.case("into a file", {"run": run(), "hf": ""}, "hf")
    group.case("run.jsonl: no rows", {"run": run(file("run.jsonl", b"5\n"))}, "run.jsonl")
    return group


# What a run that goes on can tell, and an export cannot: that its weights are not those of its rows.
_OF_THE_RUN = ("a step that is not that of its name",)


def _masks() -> Group:
    group = Group("--mask-from", "simulate --model m.toml --batch-size 8 --mask-from run")
    for name, change, says in (
        ("no checkpoints", file("config.toml", ""), "checkpoint"),
        ("empty", file(TENSORS, b""), "safetensors"),
        ("cut short", file(TENSORS, cut), "safetensors"),
        ("no safetensors", file(TENSORS, b"nothing of the kind, but long enough"), "safetensors"),
        ("a pipe", lambda folder: ((folder / TENSORS).unlink(), os.mkfifo(folder / TENSORS)), "pipe"),
        ("no shapes", file(TENSORS, _table(lambda table: table["__metadata__"].clear())), "safetensors"),
        (
            "shapes of text",
            file(TENSORS, _table(lambda table: table["__metadata__"].update({"blocks.0.mlp.up.weight": "many"}))),
            "safetensors",
        ),
        (
            "shapes that lie",
            file(TENSORS, _table(lambda table: table["__metadata__"].update({"blocks.0.mlp.up.weight": "4x4"}))),
            "safetensors",
        ),
        (
            "shapes of 2^60",
            file(
                TENSORS,
                _table(lambda table: table["__metadata__"].update({"blocks.0.mlp.up.weight": f"{2**30}x{2**30}"})),
            ),
            "safetensors",
        ),
        (
            "masks of numbers",
            file(TENSORS, _table(lambda table: table["model.blocks.0.mlp.up.weight_mask"].update(dtype="I8"))),
            "safetensors|run",
        ),
        (
            "a block less",
            file(TENSORS, _table(lambda table: [table.pop(key) for key in list(table) if "blocks.0." in key])),
            "safetensors|blocks",
        ),
        (
            "a matrix less",
            file(TENSORS, _table(lambda table: [table.pop(key) for key in list(table) if "blocks.0.mlp.up" in key])),
            "safetensors|up",
        ),
        (
            "a step of no number",
            lambda folder: [
                (folder / part).rename(folder / part.replace("00000002", "two")) for part in (META, TENSORS)
            ],
            "checkpoint",
        ),
    ):
        group.case(
            name,
            {"m.toml": TINY, "run": run(change) if name != "no checkpoints" else lambda path: path.mkdir()},
            "run",
            says,
        )
    group.case("not there", {"m.toml": TINY}, "run", "no such folder")
    group.case("density beside it", {"m.toml": TINY, "run": run()}, "density", more="--density 0.9")
    return group
