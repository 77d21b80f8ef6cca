"""A run that branches off another one's checkpoint."""

from pathlib import Path

import msgspec
import pytest

from tests.training.test_trainer import CONFIG
from training.checkpoint import tensor_path
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.spec.sparsity import SPDF

STABLE = msgspec.structs.replace(
    CONFIG, schedule="constant", warmup="2 steps", n_steps=12, kept_checkpoints=(6,), checkpoint_interval=2
)
COOLED = msgspec.structs.replace(STABLE, schedule="cooldown(start=6)", n_steps=10, kept_checkpoints=())


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stable") / "run"
    train(STABLE, folder)
    return folder


def test_kept_checkpoints_stay_and_of_the_others_the_last_two(stable: Path) -> None:
    there = sorted(path.name for path in (stable / "checkpoints").glob("*.safetensors"))
    assert there == [f"step-{step:08d}.safetensors" for step in (6, 10, 12)]


def test_a_branched_cooldown_is_the_whole_schedule_bit_for_bit(stable: Path, tmp_path: Path) -> None:
    branched = train(COOLED, tmp_path / "branch", branch_from=tensor_path(stable, 6))
    # 8 steps after warm-up, the last half of them cooling.
    whole = train(msgspec.structs.replace(COOLED, schedule="wsd(cooldown=0.5)"), tmp_path / "whole")
    assert branched.val_loss == whole.val_loss
    assert [row.loss for row in branched.rows] == [row.loss for row in whole.rows if row.step > 6]
    assert branched.warnings == ()
    assert branched.config.branch is not None
    assert (branched.config.branch.run, branched.config.branch.step) == ("run", 6)


def test_a_branch_that_was_stopped_goes_on_as_a_branch(stable: Path, tmp_path: Path) -> None:
    whole = train(COOLED, tmp_path / "whole", branch_from=tensor_path(stable, 6))
    folder = tmp_path / "stopped"
    train(COOLED, folder, branch_from=tensor_path(stable, 6))
    tensor_path(folder, 10).write_bytes(b"damaged")
    resumed = train(COOLED, folder, resume=True)
    assert resumed.val_loss == whole.val_loss
    assert resumed.config.branch == whole.config.branch


def test_a_learning_rate_that_jumps_at_the_branch_is_told(stable: Path, tmp_path: Path) -> None:
    early = msgspec.structs.replace(COOLED, schedule="cooldown(start=4)")
    (warning,) = train(early, tmp_path / "early", branch_from=tensor_path(stable, 6)).warnings
    assert "the learning rate jumps where the run branches: at step 6 the run had 1 of its peak" in warning
    late = msgspec.structs.replace(COOLED, schedule="cooldown(start=8)")
    assert train(late, tmp_path / "late", branch_from=tensor_path(stable, 6)).warnings == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 8}, r"batch_size = 4, it cannot be branched with 8"),
        ({"seed": 9}, r"seed = 0, it cannot be branched with 9"),
        ({"n_steps": 6, "schedule": "constant"}, r"is of step 6, so n_steps = 6 leaves nothing to train"),
    ],
)
def test_what_a_branch_may_not_change_is_refused(
    stable: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        train(msgspec.structs.replace(COOLED, **changes), tmp_path / "no", branch_from=tensor_path(stable, 6))
    assert not (tmp_path / "no").exists()


def test_a_branch_without_its_checkpoint_is_refused(stable: Path, tmp_path: Path) -> None:
    branched = train(COOLED, tmp_path / "branch", branch_from=tensor_path(stable, 6))
    with pytest.raises(SpecError, match="the run branches from step 6 of run: name that checkpoint"):
        train(branched.config, tmp_path / "again")


def test_a_branch_whose_masks_would_have_changed_otherwise_is_refused(tmp_path: Path) -> None:
    lifted = msgspec.structs.replace(STABLE, sparsity=SPDF(lift_at=0.75))  # step 9 of 12
    train(lifted, tmp_path / "run")
    shorter = msgspec.structs.replace(lifted, n_steps=8, kept_checkpoints=())  # step 6 of 8: at the branch itself
    with pytest.raises(SpecError, match=r"fractions in \[sparsity\] are of n_steps, write them in steps"):
        train(shorter, tmp_path / "branch", branch_from=tensor_path(tmp_path / "run", 6))


def test_a_branch_that_has_no_checkpoint_yet_does_not_start_over(stable: Path, tmp_path: Path) -> None:
    folder = tmp_path / "branch"
    train(COOLED, folder, branch_from=tensor_path(stable, 6))
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(SpecError, match="the run branches from step 6 of run: name that checkpoint"):
        train(COOLED, folder, resume=True)
