"""A checkpoint is whole or not there."""

import os
from pathlib import Path

import msgspec
import pytest

from tests.training.failing_disk import FailingDisk
from tests.training.test_resume import CONFIG
from training.checkpoint import load_checkpoint, load_latest
from training.data import Corpus
from training.trainer import train
from wse_sim.errors import SpecError


def test_folder_without_checkpoints_is_no_error(tmp_path: Path) -> None:
    assert load_latest(tmp_path) == (None, [])


def test_description_that_is_not_json_is_named(tmp_path: Path) -> None:
    meta = tmp_path / "step-00000001.json"
    meta.write_text("{")
    with pytest.raises(SpecError, match=r"step-00000001\.json"):
        load_checkpoint(meta)


def test_a_power_cut_leaves_no_description_without_its_tensors(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, tensors, their name, description, its name: each is on the disk before the next, and old ones go last."""
    disk = FailingDisk(tmp_path, monkeypatch)
    train(msgspec.structs.replace(CONFIG, last_checkpoints=1), tmp_path, corpus=corpus)
    ordered = [ask for ask in disk.asked if ask[0] in ("fsync", "rename", "unlink")]
    first, second = (ordered.index(("rename", f"step-0000000{step}.safetensors")) for step in (4, 8))
    tensors, description = (f"step-00000008.{ending}" for ending in ("safetensors", "json"))
    assert ordered[second - 2 : second + 7] == [
        ("fsync", "run.jsonl"),
        ("fsync", f".{tensors}.{os.getpid()}.part"),
        ("rename", tensors),
        ("fsync", "checkpoints"),
        ("fsync", f".{description}.{os.getpid()}.part"),
        ("rename", description),
        ("fsync", "checkpoints"),
        ("unlink", "step-00000004.json"),
        ("unlink", "step-00000004.safetensors"),
    ]
    assert ("fsync", tmp_path.name) in ordered[:first], "the folder of checkpoints has its name"
