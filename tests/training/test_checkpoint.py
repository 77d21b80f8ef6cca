"""A checkpoint is whole or not there."""

from pathlib import Path

import pytest

from training.checkpoint import load_checkpoint, load_latest
from wse_sim.errors import SpecError


def test_folder_without_checkpoints_is_no_error(tmp_path: Path) -> None:
    assert load_latest(tmp_path) == (None, [])


def test_description_that_is_not_json_is_named(tmp_path: Path) -> None:
    meta = tmp_path / "step-00000001.json"
    meta.write_text("{")
    with pytest.raises(SpecError, match=r"step-00000001\.json"):
        load_checkpoint(meta)
