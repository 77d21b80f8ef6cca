"""Folders that commands left: configurations, rows, summaries, tables; and what reads them."""

import json
import os
from pathlib import Path

from tests.bad_input.a_run import file, keys, run
from tests.bad_input.case import Group
from tests.bad_input.of_checkpoints import cut, renamed


def cases() -> list[Group]:
    return [_projected(), _reported(), _executed()]


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _projected() -> Group:
    group = Group("project", "project run --model 111m")
    config, rows = "config.toml", "run.jsonl"
    for name, change, says in (
        ("config.toml: none", lambda folder: (folder / config).unlink(), config),
        ("config.toml: empty", file(config, ""), config),
        ("config.toml: no shape", file(config, renamed("[shape]", "[shade]")), config),
        (
            "config.toml: shape a number",
            file(config, "shape = 5\ndensity = 1.0\nn_steps = 2\nbatch_size = 8\nseq_len = 32\n"),
            config,
        ),
        ("config.toml: steps of text", file(config, renamed("n_steps = 2", 'n_steps = "two"')), config),
        ("config.toml: density of text", file(config, renamed("density = 0.5", 'density = "half"')), config),
        ("config.toml: density nan", file(config, renamed("density = 0.5", "density = nan")), config),
        ("config.toml: batch_size a list", file(config, renamed("batch_size = 8", "batch_size = [8]")), config),
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
        ("summary.json: cut short", file("summary.json", cut), "summary.json"),
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
        ("summary.json: cut short", file("summary.json", cut), "JSON"),
        ("summary.json: objects in objects", file("summary.json", '{"a":' * 100_000), "JSON"),
        ("summary.json: simulated a number", keys("summary.json", simulated=5), "run"),
        ("summary.json: simulated nothing", keys("summary.json", simulated={}), "run"),
        ("summary.json: a step time of text", keys("summary.json", simulated__step_time_s="fast"), "run"),
        ("summary.json: a breakdown that is a list", keys("summary.json", simulated__breakdown=[1, 2]), "run"),
        ("summary.json: target a word", keys("summary.json", target="111m"), "run"),
        ("summary.json: masks of numbers", keys("summary.json", layer_masks=[1]), "run"),
        ("summary.json: tokens nan", keys("summary.json", target__tokens=float("nan")), "target.tokens"),
        (
            "summary.json: tokens 1e400",
            file("summary.json", renamed('"tokens": 2467840.0', '"tokens": 1e400')),
            "tokens",
        ),
        ("summary.json: tokens below 0", keys("summary.json", target__tokens=-1.0), "target.tokens"),
        ("summary.json: n_steps below 0", keys("summary.json", target__n_steps=-1.0), "target.n_steps"),
        ("summary.json: params below 0", keys("summary.json", target__params=-5), "target.params"),
        ("summary.json: a loss nan", keys("summary.json", measured__val_loss=float("nan")), "NaN"),
        ("summary.json: half a letter", keys("summary.json", target__model="\ud800"), "half of a letter"),
        ("run.jsonl: a loss below 0", file("run.jsonl", renamed('"loss":', '"loss":-')), "loss"),
        ("run.jsonl: a step twice", file("run.jsonl", renamed('"step":2', '"step":1')), "after step 1"),
        ("run.jsonl: a step of 1e22", file("run.jsonl", renamed('"step":2', '"step":1e22')), "step 1e+22"),
        ("run.jsonl: a step of 10^18", file("run.jsonl", renamed('"step":2', f'"step":{10**18}')), "at most"),
        ("trace.json: a pipe", lambda folder: _pipe(folder / "trace.json"), "pipe"),
        ("run.jsonl: a pipe", lambda folder: _pipe(folder / "run.jsonl"), "pipe"),
        ("run.jsonl: not UTF-8", file("run.jsonl", b"\xff\n\n"), "run.jsonl"),
        ("run.jsonl: numbers", file("run.jsonl", b"5\n"), "run.jsonl"),
        ("run.jsonl: a loss of text", file("run.jsonl", b'{"loss": "low"}\n'), "run.jsonl|run"),
        ("run.jsonl: no steps", file("run.jsonl", b'{"loss": 1.0}\n'), "run"),
        ("run.jsonl: lists in lists", file("run.jsonl", b"[" * 100_000 + b"\n"), "run.jsonl"),
        ("trace.json: a list", file("trace.json", "[]"), "trace.json"),
        ("trace.json: cut short", file("trace.json", cut), "trace.json"),
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
        ("times of text", file(stream, renamed('"compute":', '"compute":"long","x":')), "run"),
        ("config.toml: none", lambda folder: (folder / "config.toml").unlink(), "config.toml"),
        ("config.toml: no shape", file("config.toml", renamed("[shape]", "[shade]")), "run"),
        ("config.toml: seq_len = 0", file("config.toml", renamed("seq_len = 32", "seq_len = 0")), "seq_len|tokens"),
        ("target.toml: a system of a number", file("target.toml", renamed('"cs2"', "2")), "target.toml"),
        ("target.toml: a system of no kind", file("target.toml", renamed('"cs2"', '"cs9"')), "cs9"),
    ):
        group.case(name, {"run": run(change, mode="full")}, says)
    group.case("not there", {}, "run", "no such folder")
    group.case("a file", {"run": "x"}, "run", "no such folder")
    group.case("an option of a simulation beside it", {"run": run(mode="full")}, "--model", more="--model 111m")
    return group
