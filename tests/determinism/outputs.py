"""What commands print and leave behind, by themselves in a process, or several in one; and where two of them differ.

python -m tests.determinism.outputs FOLDER N_WORKERS     all commands that are cheap, in FOLDER
"""

import csv
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.cli.documents import call
from tests.determinism.commands import COMMANDS, Command, write_inputs
from wse_sim.files import user_cache

PRINTED = "printed"  # a folder beside the one that a command works in
ALONE = "is in one folder alone"
_WORKERS = re.compile(rb"(--processes|--workers)(</span>)? \d")
_LINES_OF_A_CLOCK = {
    ".txt": re.compile(rb"^engine +max-plus.*measured$", re.MULTILINE),
    ".md": re.compile(rb"^- [\d.,]+ \w+ of this command\.$", re.MULTILINE),
    "target.toml": re.compile(rb"^started_in = .*$", re.MULTILINE),  # a folder, not a time
}
ROOT = Path(__file__).parents[2]


def environment(number: int, cache: Path) -> dict[str, str]:
    """Of a process: another one for each number in all that no figure may hang on."""
    of = [
        {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8", "COLUMNS": "100"},
        {"PYTHONHASHSEED": "4242", "TZ": "Asia/Kathmandu", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "random", "TZ": "America/St_Johns", "LANG": "de_DE.UTF-8", "TERM": "dumb"},
    ][number]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache), **of}


def call_cheap_ones(folder: Path, n_workers: int) -> None:
    """All cheap commands in a folder that is not there yet, by this process."""
    folder.mkdir(parents=True)
    write_inputs(folder)
    for command in (command for command in COMMANDS if not command.trains):
        words = list(_expanded(command, folder, n_workers))
        with chdir(folder), patch.object(sys, "argv", ["wse-sim", *words]):  # files say what wrote them
            result = call(*words)
        assert result.exit_code == 0, (command.words, result.stderr, result.exception)
        _keep(command, folder, result.stdout_bytes)


def run_cheap_ones(folder: Path, number: int) -> None:
    """The same, by another process."""
    program = [sys.executable, "-m", "tests.determinism.outputs", str(folder), str(number + 1)]
    cache = user_cache().parent  # has the compiled engine
    subprocess.run(program, env=environment(number, cache), cwd=ROOT, check=True)


def run_alone(command: Command, folder: Path, number: int, cache: Path) -> None:
    """Call a command in a folder, by a process of its own."""
    words = [sys.executable, "-m", "wse_sim", *_expanded(command, folder, number + 1)]
    done = subprocess.run(words, env=environment(number, cache), cwd=folder, capture_output=True)
    assert done.returncode == 0, (command.words, done.stderr.decode(errors="replace"))
    _keep(command, folder, done.stdout)


def _expanded(command: Command, folder: Path, n_workers: int) -> Iterator[str]:
    for word in command.called(n_workers):
        yield from sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word else [word]


def _keep(command: Command, folder: Path, stdout: bytes) -> None:
    number = COMMANDS.index(command) if command in COMMANDS else len(COMMANDS)
    path = folder.with_name(PRINTED) / f"{number:02}.{'json' if command.document else 'txt'}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(stdout)


def differences(here: Path, there: Path) -> Iterator[tuple[str, str]]:
    """The files in which two folders differ, and where: by the name of a field in JSON, else as "bytes"."""
    names = [{str(path.relative_to(of)) for path in of.rglob("*") if path.is_file()} for of in (here, there)]
    yield from ((name, ALONE) for name in sorted(names[0] ^ names[1]))
    for name in sorted(names[0] & names[1]):
        one, other = ((of / name).read_bytes() for of in (here, there))
        if one != other:
            yield from ((name, where) for where in sorted(set(_where(name, one, other))))


def _where(name: str, one: bytes, other: bytes) -> Iterator[str]:
    one, other = _comparable(name, one), _comparable(name, other)
    if name.endswith((".json", ".jsonl")):
        lines = [text.splitlines() if name.endswith("l") else [text] for text in (one, other)]
        for pair in zip(*lines, strict=True):
            yield from _differing_fields("", *map(json.loads, pair))
    elif one != other:
        yield "bytes"


def _comparable(name: str, content: bytes) -> bytes:
    """Without what differs on purpose: how many workers the command named, and what text a clock has its say in."""
    content = _WORKERS.sub(rb"\1 N", gzip.decompress(content) if name.endswith(".gz") else content)
    if name.endswith("outcomes.jsonl"):  # in the order in which the workers came to an end
        lines = [json.loads(line) for line in content.splitlines()]
        return b"\n".join(json.dumps(line).encode() for line in sorted(lines, key=lambda line: str(line["digest"])))
    if name.endswith(".csv") and b"measured_host_s" in content:
        return repr([{**row, "measured_host_s": ""} for row in csv.DictReader(content.decode().splitlines())]).encode()
    for kind, line in _LINES_OF_A_CLOCK.items():
        if name.endswith(kind):
            content = line.sub(b"", content)
    return content


def _differing_fields(name: str, one: Any, other: Any) -> Iterator[str]:
    """Fields by their names, those of the objects in a list by that of the list."""
    if isinstance(one, Mapping) and isinstance(other, Mapping) and list(one) == list(other):
        for key in one:
            yield from _differing_fields(f"{name}.{key}" if name else key, one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for pair in zip(one, other, strict=True):
            yield from _differing_fields(name, *pair)
    elif one != other:
        yield name


if __name__ == "__main__":
    call_cheap_ones(Path(sys.argv[1]), int(sys.argv[2]))
