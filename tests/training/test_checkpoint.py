"""A checkpoint is whole or not there."""

from pathlib import Path

import pytest

from training.atomic import write_atomically
from training.checkpoint import load_checkpoint, load_latest
from wse_sim.errors import SpecError


def test_write_that_breaks_off_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    write_atomically(path, b"old")

    def power_cut(descriptor: int) -> None:
        raise OSError("power cut")

    monkeypatch.setattr("os.fsync", power_cut)
    with pytest.raises(OSError, match="power cut"):
        write_atomically(path, b"new and longer")
    assert path.read_bytes() == b"old"


def test_folder_without_checkpoints_is_no_error(tmp_path: Path) -> None:
    assert load_latest(tmp_path) == (None, [])


def test_description_that_is_not_json_is_named(tmp_path: Path) -> None:
    meta = tmp_path / "step-00000001.json"
    meta.write_text("{")
    with pytest.raises(SpecError, match=r"step-00000001\.json"):
        load_checkpoint(meta)
