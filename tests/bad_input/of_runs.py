"""Folders that runs left: checkpoints, configurations, rows, summaries; and what reads them."""

import json
import struct
from collections.abc import Callable
from typing import Any

from tests.bad_input.a_run import META, TENSORS, Change, file, keys, run, signed
from tests.bad_input.case import Group
from tests.conftest import TINY


def cases() -> list[Group]:
    return [_resumed(), _exported(), _masks(), _projected(), _reported(), _executed()]


def _cut(content: bytes) -> bytes:
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


def _renamed(of: str, by: str) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(of.encode(), by.encode())


_CHECKPOINT: dict[str, Change] = {
    "no description": lambda folder: (folder / META).write_bytes(b""),
    "a description cut short": file(META, _cut),
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
    "tensors cut short": file(TENSORS, _cut),
    "one bit flipped": file(TENSORS, _flip),
    "tensors that are a folder": lambda folder: ((folder / TENSORS).unlink(), (folder / TENSORS).mkdir()),
    "signed: cut short": signed(file(TENSORS, _cut)),
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
    "signed: another name": signed(file(TENSORS, _renamed("model.token.weight", "model.taken.weight"))),
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
        ("target.toml: cut short", file(target, _cut), target),
        ("target.toml: not UTF-8", file(target, b"\xff"), "UTF-8"),
        ("target.toml: a key too many", file(target, lambda content: b"warp = 9\n" + content), "warp"),
        ("target.toml: another model", file(target, _renamed("m.toml", "nowhere.toml")), "nowhere.toml"),
        ("target.toml: density 2", file(target, _renamed("density = 0.5", "density = 2.0")), "density"),
        ("target.toml: a system of no kind", file(target, _renamed('"cs2"', '"cs9"')), "cs9"),
        (
            "target.toml: started in a number",
            file(target, lambda content: b"started_in = 5\n" + content.split(b"\n", 1)[1]),
            "target.toml|started_in",
        ),
        ("config.toml: empty", file(config, ""), config),
        ("config.toml: cut short", file(config, lambda content: content[:100] + b"\n[["), config),
        ("config.toml: n_steps = 0", file(config, _renamed("n_steps = 2", "n_steps = 0")), "n_steps"),
        ("config.toml: another seed", file(config, _renamed("seed = 0", "seed = 1")), "seed"),
        ("config.toml: another width", file(config, _renamed("d_model = 64", "d_model = 128")), "d_model|shape|width"),
        ("run.jsonl: a row that is none", file("run.jsonl", b"[]\n" * 3), "run.jsonl"),
        ("run.jsonl: no rows of JSON", file("run.jsonl", b"\xff\n\xff\n"), "run.jsonl"),
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
    group.case("not there", {}, "run", "checkpoint")
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
        ("cut short", file(TENSORS, _cut), "safetensors"),
        ("no safetensors", file(TENSORS, b"nothing of the kind, but long enough"), "safetensors"),
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
    group.case("not there", {"m.toml": TINY}, "run", "checkpoint")
    group.case("density beside it", {"m.toml": TINY, "run": run()}, "density", more="--density 0.9")
    return group


def _projected() -> Group:
    group = Group("project", "project run --model 111m")
    config, rows = "config.toml", "run.jsonl"
    for name, change, says in (
        ("config.toml: none", lambda folder: (folder / config).unlink(), config),
        ("config.toml: empty", file(config, ""), config),
        ("config.toml: no shape", file(config, _renamed("[shape]", "[shade]")), config),
        (
            "config.toml: shape a number",
            file(config, "shape = 5\ndensity = 1.0\nn_steps = 2\nbatch_size = 8\nseq_len = 32\n"),
            config,
        ),
        ("config.toml: steps of text", file(config, _renamed("n_steps = 2", 'n_steps = "two"')), config),
        ("config.toml: density of text", file(config, _renamed("density = 0.5", 'density = "half"')), config),
        ("config.toml: density nan", file(config, _renamed("density = 0.5", "density = nan")), config),
        ("config.toml: batch_size a list", file(config, _renamed("batch_size = 8", "batch_size = [8]")), config),
        ("run.jsonl: none", lambda folder: (folder / rows).unlink(), "step 0"),
        ("run.jsonl: empty", file(rows, b""), "step 0"),
        ("run.jsonl: cut short", file(rows, lambda content: content.split(b"\n")[0] + b"\n"), "step 1"),
        ("run.jsonl: not UTF-8", file(rows, b"\xff\xfe\n"), rows),
        ("run.jsonl: numbers", file(rows, b"5\n6\n"), rows),
        ("run.jsonl: no steps", file(rows, b'{"loss": 1.0}\n'), rows),
        ("run.jsonl: a loss of text", file(rows, b'{"loss": "low", "step": 2}\n'), rows),
        ("run.jsonl: a step of text", file(rows, b'{"loss": 1.0, "step": "2"}\n'), rows),
        ("run.jsonl: val_loss of text", file(rows, b'{"loss": 1.0, "step": 2, "val_loss": "low"}\n'), rows),
        ("run.jsonl: val_loss below 0", file(rows, b'{"loss": 1.0, "step": 2, "val_loss": -3.0}\n'), rows),
        ("run.jsonl: val_loss of 1e400", file(rows, b'{"loss": 1.0, "step": 2, "val_loss": 1e400}\n'), rows),
        ("run.jsonl: lists in lists", file(rows, b"[" * 100_000 + b"\n"), rows),
        ("summary.json: a list", file("summary.json", "[]"), "summary.json"),
        ("summary.json: measured a number", file("summary.json", '{"measured": 5}'), "summary.json"),
        ("summary.json: no corpus", file("summary.json", '{"measured": {}}'), "summary.json"),
        ("summary.json: cut short", file("summary.json", _cut), "summary.json"),
    ):
        group.case(name, {"run": run(change)}, "run", says)
    group.case("one run twice", {"run": run()}, "the same run", more="run")
    group.case("one run alone", {"run": run()}, "run")
    group.case("not there", {}, "run")
    group.case("a file", {"run": "x"}, "run")
    return group


def _reported() -> Group:
    group = Group("report", "report run")
    for name, change, says in (
        ("summary.json: none", lambda folder: (folder / "summary.json").unlink(), "summary.json"),
        ("summary.json: empty", file("summary.json", ""), "JSON"),
        ("summary.json: a list", file("summary.json", "[]"), "object"),
        ("summary.json: cut short", file("summary.json", _cut), "JSON"),
        ("summary.json: objects in objects", file("summary.json", '{"a":' * 100_000), "JSON"),
        ("summary.json: simulated a number", keys("summary.json", simulated=5), "run"),
        ("summary.json: simulated nothing", keys("summary.json", simulated={}), "run"),
        ("summary.json: a step time of text", keys("summary.json", simulated__step_time_s="fast"), "run"),
        ("summary.json: a breakdown that is a list", keys("summary.json", simulated__breakdown=[1, 2]), "run"),
        ("summary.json: target a word", keys("summary.json", target="111m"), "run"),
        ("summary.json: masks of numbers", keys("summary.json", layer_masks=[1]), "run"),
        ("run.jsonl: not UTF-8", file("run.jsonl", b"\xff\n\n"), "run.jsonl"),
        ("run.jsonl: numbers", file("run.jsonl", b"5\n"), "run.jsonl"),
        ("run.jsonl: a loss of text", file("run.jsonl", b'{"loss": "low"}\n'), "run.jsonl|run"),
        ("run.jsonl: no steps", file("run.jsonl", b'{"loss": 1.0}\n'), "run"),
        ("run.jsonl: lists in lists", file("run.jsonl", b"[" * 100_000 + b"\n"), "run.jsonl"),
        ("trace.json: a list", file("trace.json", "[]"), "trace.json"),
        ("trace.json: cut short", file("trace.json", _cut), "trace.json"),
        ("trace.json: events of numbers", file("trace.json", '{"traceEvents": [1]}'), "run"),
    ):
        group.case(name, {"run": run(change)}, "run", says)
    for name, of, content, says in (
        ("plan.json: empty", "plan.json", "{}", "plan.json|run"),
        ("plan.json: a list", "plan.json", "[]", "object"),
        ("compare.json: empty", "compare.json", "{}", "compare.json|run"),
        ("compare.json: sides of numbers", "compare.json", '{"wafer": 1, "gpu": 2}', "compare.json|run"),
        ("comparison.json: empty", "comparison.json", "{}", "comparison.json|run"),
        ("comparison.json: rows of numbers", "comparison.json", '{"rows": [1]}', "comparison.json|run"),
        (
            "comparison.json: a run above",
            "comparison.json",
            json.dumps({"rows": [{"run": "../secret", "density": 1, "schedule": "linear", "summary": {}}]}),
            "secret",
        ),
        (
            "comparison.json: a run from the root",
            "comparison.json",
            json.dumps({"rows": [{"run": "/etc", "density": 1, "schedule": "linear", "summary": {}}]}),
            "/etc",
        ),
        ("simulation.json: empty", "simulation.json", "{}", "simulation.json|run"),
        ("simulation.json: numbers", "simulation.json", '{"simulated": 5}', "simulation.json|run"),
    ):
        group.case(name, {f"run/{of}": content, "secret/run.jsonl": '{"loss": 1.0}\n'}, says)
    for name, files, says in (
        ("sweep: nothing beside it", {"t.csv": "model\n111m\n"}, "t.csv.sweep.json"),
        ("sweep: empty", {"t.csv": "", "t.csv.sweep.json": ""}, "t.csv"),
        ("sweep: a list", {"t.csv": "", "t.csv.sweep.json": "[]"}, "t.csv"),
        ("sweep: no keys", {"t.csv": "", "t.csv.sweep.json": "{}"}, "t.csv"),
        ("sweep: not UTF-8", {"t.csv": "", "t.csv.sweep.json": b'{"kind": "\xff"}'}, "t.csv"),
        ("sweep: objects in objects", {"t.csv": "", "t.csv.sweep.json": '{"a":' * 100_000}, "t.csv"),
    ):
        group.case(name, files, says, command="report t.csv")  # type: ignore[arg-type]
    group.case("not there", {}, "run")
    group.case("an empty folder", {"run/x": ""}, "run", "summary.json")
    return group


def _executed() -> Group:
    group = Group("compare RUN", "compare run")
    stream = "stream.jsonl"
    for name, change, says in (
        ("no rows", lambda folder: (folder / stream).unlink(), stream),
        ("empty", file(stream, b""), stream),
        ("numbers", file(stream, b"5\n"), stream),
        ("not UTF-8", file(stream, b"\xff\n"), stream),
        ("no steps", file(stream, b"{}\n"), "run"),
        ("no layers", file(stream, b'{"step": 1}\n'), "run"),
        ("a layer of a number", file(stream, b'{"step": 1, "layer": 5, "pass": "forward", "tokens": 1}\n'), "run"),
        ("times of text", file(stream, _renamed('"compute":', '"compute":"long","x":')), "run"),
        ("config.toml: none", lambda folder: (folder / "config.toml").unlink(), "config.toml"),
        ("config.toml: no shape", file("config.toml", _renamed("[shape]", "[shade]")), "run"),
        ("config.toml: seq_len = 0", file("config.toml", _renamed("seq_len = 32", "seq_len = 0")), "seq_len|tokens"),
        ("target.toml: a system of a number", file("target.toml", _renamed('"cs2"', "2")), "target.toml"),
        ("target.toml: a system of no kind", file("target.toml", _renamed('"cs2"', '"cs9"')), "cs9"),
    ):
        group.case(name, {"run": run(change, mode="full")}, says)
    group.case("not there", {}, "run", "no such folder")
    group.case("a file", {"run": "x"}, "run", "no such folder")
    group.case("an option of a simulation beside it", {"run": run(mode="full")}, "--model", more="--model 111m")
    return group
