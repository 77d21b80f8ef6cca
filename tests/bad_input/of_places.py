"""What stands where a file should: links, pipes, devices, folders, what may not be read, names of every kind."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from tests.bad_input.a_run import run
from tests.bad_input.case import Group, Made
from tests.bad_input.of_hugging_face import CONFIG
from tests.conftest import TINY

_LONG = "a" * 300
_RUN = TINY + "\n[run]\nseq_len = 64\nbatch_size = 4\nn_steps = 10\n"

# What may stand in the place of a file.
_INSTEAD: dict[str, Callable[[Path], object]] = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to /dev/stdin": lambda path: path.symlink_to("/dev/stdin"),
    "a link to /proc/self/mem": lambda path: path.symlink_to("/proc/self/mem"),
    "a link to a folder": lambda path: path.symlink_to("."),
    "what may not be read": lambda path: (path.write_text("x"), path.chmod(0)),
    "a file of 20 GB": lambda path: (path.touch(), os.truncate(path, 20 << 30)),
}
# Commands, and the file that each reads.
_READ = {
    "a model": ("simulate --batch-size 8 --model m.toml", "m.toml"),
    "a configuration": ("simulate --config c.toml", "c.toml"),
    "a YAML": ("simulate --config c.yaml", "c.yaml"),
    "a config.json": ("simulate --batch-size 8 --model config.json", "config.json"),
    "a system": ("simulate --model 111m --system s.toml", "s.toml"),
    "a GPU": ("compare --model 111m --batch-size 264 --gpu g.toml", "g.toml"),
    "prices": ("simulate --model 111m --economics e.toml", "e.toml"),
    "operations": ("simulate --model 111m --operations o.toml", "o.toml"),
    "a sweep": ("sweep p.toml", "p.toml"),
    "points": ("sweep p.csv", "p.csv"),
    "measured runs": ("calibrate r.csv", "r.csv"),
    "text": ("prepare t.jsonl --out tokens", "t.jsonl"),
    "tables": ("prepare t.parquet --out tokens", "t.parquet"),
    "tokens": (
        "train --model m.toml --mode dense --steps 1 --batch-size 8 --num-gpus 1 --out run --data t.bin",
        "t.bin",
    ),
    "HDF5": ("train --model m.toml --mode dense --steps 1 --batch-size 8 --num-gpus 1 --out run --data t.h5", "t.h5"),
    "a tokenizer": ("prepare t.jsonl --out tokens --tokenizer k.json", "k.json"),
    "weights": ("train --init-from hf --mode dense --steps 1 --batch-size 8 --out run", "hf/model.safetensors"),
    "a summary": ("report folder", "folder/summary.json"),
}
# What is right for a command that is said to read another file.
_BESIDE: dict[str, Made] = {
    "m.toml": TINY,
    "t.jsonl": json.dumps({"text": "a"}) + "\n",
    "hf/config.json": json.dumps(CONFIG),
}


def cases() -> list[Group]:
    return [_instead(), _names(), _outputs(), _folders()]


def _instead() -> Group:
    group = Group("in place of a file")
    for what, (command, name) in _READ.items():
        beside = {other: made for other, made in _BESIDE.items() if other != name and other.split("/")[0] in command}
        for instead, make in _INSTEAD.items():
            if (what, instead) not in _RIGHT:
                place = name.split("/")[0] + f"|{Path(name).stem}"
                group.case(f"{what}: {instead}", beside | {name: make}, place, command=command)
    return group


# A folder of the name is what the command takes too, or a file of any size.
_RIGHT = {
    ("text", "a folder"),
    ("text", "a link to a folder"),
    ("tables", "a folder"),
    ("tables", "a link to a folder"),
    ("tokens", "a folder"),
    ("tokens", "a link to a folder"),
    ("tokens", "a file of 20 GB"),
    ("HDF5", "a folder"),
    ("HDF5", "a link to a folder"),
    ("tables", "a file of 20 GB"),
}


def _names() -> Group:
    group = Group("names")
    simulate = "simulate --batch-size 8 --model"
    for name, word in (
        ("of 300 letters", f"{_LONG}.toml"),
        ("of 300 letters, without an end", _LONG),
        ("of 100,000 letters", "b" * 100_000),
        ("with a line break", "a\nb.toml"),
        ("with escape codes", "\x1b[31mred\x07.toml"),
        ("with a right-to-left mark", "\u202ea.toml"),
        ("not UTF-8", os.fsdecode(b"\xff\xfe.toml")),
        ("of a thousand folders", "d/" * 1000 + "m.toml"),
        ("empty", ""),
        ("a dot", "."),
        ("of an option", "--model"),
        ("with a percent sign", "%s%n{x}.toml"),
    ):
        group.case(f"of a model {name}", {}, "model|toml", command=f"{simulate} {_quoted(word)}")
    data = "train --model 111m --budget 60s --out run --data"
    for name, word in (
        ("of 300 letters", f"{_LONG}.bin"),
        ("with escape codes", "\x1b[31m.bin"),
        ("not UTF-8", os.fsdecode(b"\xff.bin")),
        ("a pattern of 300 stars", "*/" * 300),
        ("a bracket without end", "t[.bin"),
        ("of nobody's home", "~nobody-at-all/t.bin"),
    ):
        group.case(f"of data {name}", {}, "data|letters|long|UTF-8", command=f"{data} {_quoted(word)}")
    for name, command in (
        ("of a run", "export {} --out x"),
        ("of a page", "report {}"),
        ("of measured runs", "calibrate {}"),
        ("of a run that goes on", "train --resume {}"),
        ("of points", "sweep {}.csv"),
        ("of masks", "simulate --model 111m --mask-from {}"),
        ("of weights", "train --init-from {} --mode dense --steps 1 --out run"),
        ("of a tokenizer", "prepare t.jsonl --out x --tokenizer {}"),
    ):
        for kind, word in (
            ("of 300 letters", _LONG),
            ("with a line break", "a\nb"),
            ("with escape codes", "\x1b]0;x\x07"),
        ):
            group.case(f"{name} {kind}", {"t.jsonl": '{"text": "x"}\n'}, command=command.format(_quoted(word)))
    return group


def _quoted(word: str) -> str:
    return "'" + word + "'"


def _outputs() -> Group:
    """Places that nothing can be written to, found out before the work or after it."""
    group = Group("where to write")
    good = {
        "m.toml": TINY,
        "r.csv": "model,system,num_csx,batch_size,tokens_per_s\n111m,cs2,1,120,1.2e6\n256m,cs2,1,264,9e5\n",
    }
    simulate = "simulate --model 111m --batch-size 120 --num-csx 1"
    for name, command in (
        ("a trace", simulate + " --trace {}/trace.json"),
        ("a simulation", simulate + " --out {}/out"),
        ("a calibrated system", "calibrate r.csv --out {}/mine.toml"),
        ("a sweep", "sweep --model 111m --batch-size 120 --out {}/t.csv --engine closed-form"),
        ("curves", "schedules linear --plot {}/c.svg"),
        ("tokens", "prepare m.toml --out {}/tokens"),
        ("a run", "train --model m.toml --mode dense --steps 1 --batch-size 8 --num-gpus 1 --seq-len 32 --out {}/run"),
        ("schemas", "schema --all --out {}/s"),
        ("a comparison", "compare --model 111m --batch-size 264 --out {}/c"),
    ):
        for where, make in (
            ("in a folder that may not be written", lambda path: path.mkdir(mode=0o555)),
            ("in a file", lambda path: path.write_text("x")),
            ("in a link to itself", lambda path: path.symlink_to(path.name)),
            ("in /proc", lambda path: path.symlink_to("/proc/self")),
        ):
            group.case(f"{name} {where}", good | {"place": make}, "place", command=command.format("place"))
    for name, command in (
        ("a trace", simulate + " --trace nowhere/trace.json"),
        ("a transfer's plot", "transfer --over width --plot nowhere/plot.svg --out out"),
    ):
        group.case(f"{name} in a folder that is not there", good, "nowhere", command=command)
    group.case(
        "a trace over a folder", {"t.json": lambda path: path.mkdir()}, "t.json", command=simulate + " --trace t.json"
    )
    for what, command in (
        ("a trace", "simulate --model m.toml --batch-size 8 --trace ./m.toml"),
        ("a calibrated system", "calibrate r.csv --out=r.csv"),
    ):
        group.case(f"{what} over what is read", good, "is read by this command", command=command)
    group.case("a name that is no text", {}, "not UTF-8", command=simulate + " --out '\udcff'")
    group.case(
        "a page of a folder that may not be written",
        {"run": run(lambda folder: folder.chmod(0o555))},
        "run",
        command="report run",
    )
    group.case(
        "a run where one is",
        {"m.toml": TINY, "run": run()},
        "run",
        command="train --model m.toml --mode dense --steps 1 --batch-size 8 --num-gpus 1 --seq-len 32 --out run",
    )
    return group


def _folders() -> Group:
    """Folders of data that go round, or hold what is none."""
    group = Group("folders", "train --model 111m --budget 60s --out run --data d")
    group.case("empty", {"d": lambda path: path.mkdir()}, "d", "no file")
    group.case("may not be read", {"d": lambda path: path.mkdir(mode=0)}, "d")
    group.case(
        "links to itself",
        {"d": lambda path: (path.mkdir(), (path / "a").symlink_to("."), (path / "b").symlink_to("."))},
        "d",
        "no file",
    )
    group.case(
        "links to itself, by a pattern",
        {"d": lambda path: (path.mkdir(), (path / "a").symlink_to("."), (path / "b").symlink_to("."))},
        "no file",
        command="train --model 111m --budget 60s --out run --data 'd/**/*.txt'",
    )
    group.case("a pipe in it", {"d": lambda path: (path.mkdir(), os.mkfifo(path / "t.bin"))}, "d", "no file")
    group.case(
        "a file in it that may not be read",
        {"d": lambda path: (path.mkdir(), (path / "t.txt").write_text("x" * 9999), (path / "t.txt").chmod(0))},
        "t.txt",
    )
    group.case(
        "a link in it to /dev/zero",
        {"d": lambda path: (path.mkdir(), (path / "t.bin").symlink_to("/dev/zero"))},
        "d",
        "no file",
    )
    for name, make in (
        ("a pipe", lambda path: os.mkfifo(path)),
        ("a device", lambda path: path.symlink_to("/dev/zero")),
    ):
        command = "train --model 111m --budget 60s --out run --data d.jsonl.zst"
        group.case(name, {"d.jsonl.zst": make}, "d.jsonl.zst", name, command=command)
        group.case(
            f"{name}, to prepare", {"d.jsonl.zst": make}, "d.jsonl.zst", name, command="prepare d.jsonl.zst --out x"
        )
    group.case(
        "a configuration that names data of nowhere",
        {"c.toml": _RUN + '[training]\ndata = "nowhere.bin"\n'},
        "nowhere.bin",
        command="train --config c.toml --mode dense --steps 1 --out run",
    )
    return group
