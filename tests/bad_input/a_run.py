"""A small finished run, made once in a process and copied into the cases that damage it."""

import atexit
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.cli.documents import call
from tests.conftest import TINY

Change = Callable[[Path], object]


@cache
def finished(mode: str) -> Path:
    """The folder of a sparse run of two steps."""
    folder = Path(tempfile.mkdtemp(prefix="wse-sim-bad-input-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "m.toml").write_text(TINY, encoding="utf-8")
    size = "--steps 2 --batch-size 8 --num-gpus 1 --seq-len 32 --density 0.5"
    words = f"train --model {folder / 'm.toml'} --mode {mode} {size} --out {folder / 'run'}"
    done = call(*words.split())
    assert done.exit_code == 0, done.output
    return folder / "run"


def run(change: Change = lambda folder: None, *, mode: str = "dense") -> Change:
    """Makes a copy of a run, and changes it."""

    def make(path: Path) -> None:
        shutil.copytree(finished(mode), path)
        change(path)

    return make


def file(name: str, content: str | bytes | Callable[[bytes], bytes]) -> Change:
    """Writes a file of the run anew, or what a function makes of it."""

    def change(folder: Path) -> None:
        path = folder / name
        if callable(content):
            path.write_bytes(content(path.read_bytes()))
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def keys(name: str, **changes: Any) -> Change:
    """Puts other values into a JSON file; `a__b` is b in a, and `...` takes a key out."""

    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        for dotted, value in changes.items():
            *above, last = dotted.split("__")
            here = content
            for key in above:
                here = here[key]
            if value is ...:
                del here[last]
            else:
                here[last] = value
        (folder / name).write_text(json.dumps(content), encoding="utf-8")

    return change


def signed(change: Change) -> Change:
    """Changes the tensors of a checkpoint, and its description so that the checksum is right again."""

    def make(folder: Path) -> None:
        change(folder)
        content = (folder / TENSORS).read_bytes()
        keys(META, sha256=hashlib.sha256(content).hexdigest())(folder)

    return make


META, TENSORS = "checkpoints/step-00000002.json", "checkpoints/step-00000002.safetensors"
