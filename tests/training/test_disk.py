"""A disk that is too small is told before anything trains."""

from collections import namedtuple
from pathlib import Path

import msgspec
import pytest

from tests.training.test_resume import ALGORITHMS, CONFIG
from training.disk import checkpoint_bytes, require_room
from training.execution import Execution
from training.trainer import train
from wse_sim.errors import FileError, SpecError

Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.mark.parametrize("algorithm", ["static", "set", "gmp", "spdf"])
@pytest.mark.parametrize("executor", ["dense", "streaming"])
def test_size_of_a_checkpoint_is_known_before(tmp_path: Path, algorithm: str, executor: str) -> None:
    how = Execution(executor=executor, moments="bf16" if executor == "streaming" else "fp32")  # type: ignore[arg-type]
    config = msgspec.structs.replace(CONFIG, sparsity=ALGORITHMS[algorithm], execution=how)
    train(config, tmp_path)
    largest = max(path.stat().st_size for path in (tmp_path / "checkpoints").glob("*.safetensors"))
    table = 15_000  # names, shapes and places
    if algorithm == "gmp":  # whose first checkpoint comes after some weights have gone
        assert largest <= checkpoint_bytes(config) + table
    else:
        assert checkpoint_bytes(config) <= largest <= checkpoint_bytes(config) + table


def test_too_small_a_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = 3 * checkpoint_bytes(CONFIG)
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(10 * room, 0, room - 1))
    with pytest.raises(FileError, match=r"3 checkpoints of \d.* kB each need .* kB are free there"):
        train(CONFIG, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(10 * room, 0, room))
    require_room(CONFIG, tmp_path / "run")


def test_a_disk_that_is_too_small_when_empty_is_a_wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no fault of the moment: in a sweep such a run is infeasible."""
    room = 3 * checkpoint_bytes(CONFIG)
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(room - 1, 0, room - 1))
    with pytest.raises(SpecError, match=r"3 checkpoints") as told:
        require_room(CONFIG, tmp_path)
    assert not isinstance(told.value, FileError)


def test_as_many_checkpoints_are_kept_as_are_asked_for(tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, checkpoint_interval=1, last_checkpoints=4, kept_checkpoints=(2,))
    train(config, tmp_path)
    steps = sorted(int(path.stem.removeprefix("step-")) for path in (tmp_path / "checkpoints").glob("*.json"))
    assert steps == [2, 7, 8, 9, 10]
