"""A grid gives the same outcomes whatever runs beside what, goes on where it was stopped, and names what is wrong."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from models.parametrization import BASES
from tests.in_process import runs_in_this_process
from tests.stopping import came_true, interrupted_once
from tests.watching import Heard
from training.checkpoint import load_latest
from training.config import TrainConfig
from training.grid import OUTCOMES_FILE, Outcome, Point, read_outcomes, run_points
from training.run_record import RUN_FILE
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape

SHAPE = ModelShape(name="tiny", n_layers=2, d_model=32, n_heads=1, d_ff=128, vocab_size=256, seq_len=32)
CONFIG = TrainConfig(
    shape=SHAPE,
    n_steps=12,
    batch_size=4,
    seq_len=32,
    eval_interval=5,
    n_eval_sequences=16,
    log_interval=1,
    data="markov",
)


def _point(seed: int, **changes: object) -> Point:
    return Point({"seed": seed}, msgspec.structs.replace(CONFIG, seed=seed, **changes))


_TOO_LARGE = msgspec.structs.replace(BASES["bytes-64"], peak_lr=1e30)
POINTS = [_point(0), _point(1, n_steps=24), _point(2)]
DIVERGING = _point(3, base=_TOO_LARGE)
LONG = _point(0, n_steps=300, eval_interval=60)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Outcome]]:
    """The folder and the outcomes of `POINTS` and one that diverges, on two workers."""
    out = tmp_path_factory.mktemp("finished")
    return out, run_points([*POINTS, DIVERGING], out, n_workers=2)


def _computed(outcomes: list[Outcome]) -> list[Outcome]:
    """Without what is measured."""
    return [msgspec.structs.replace(outcome, host_s=0.0) for outcome in outcomes]


def test_an_outcome_is_what_the_trainer_gives(finished: tuple[Path, list[Outcome]], tmp_path: Path) -> None:
    for point, outcome in zip(POINTS, finished[1][:-1], strict=True):
        record = train(point.config, tmp_path / point.digest)
        n_steps = point.config.n_steps
        tail = [row.loss for row in record.rows if row.step > 0.9 * n_steps]
        assert outcome.key == point.key
        assert outcome.val_loss == record.val_loss
        assert outcome.train_loss == pytest.approx(sum(tail) / len(tail), rel=1e-12)
        assert outcome.curve == tuple((row.step, row.val_loss) for row in record.rows if row.val_loss is not None)
        assert (outcome.n_steps, outcome.tokens) == (n_steps, record.tokens)
        assert outcome.data_sha256 == record.data.sha256


def test_diverged_run_is_an_outcome(finished: tuple[Path, list[Outcome]]) -> None:
    outcome = finished[1][-1]
    assert outcome.is_diverged
    assert (outcome.val_loss, outcome.train_loss) == (None, None)
    assert 1 <= outcome.n_steps < CONFIG.n_steps


def test_outcomes_do_not_depend_on_workers_or_order(finished: tuple[Path, list[Outcome]], tmp_path: Path) -> None:
    alone = run_points([DIVERGING, *POINTS[::-1]], tmp_path, n_workers=1, keep=True)
    assert _computed(alone[::-1]) == _computed(finished[1])
    assert (tmp_path / "points" / POINTS[0].digest / RUN_FILE).exists()


def test_folders_of_ended_runs_are_removed_unless_kept(finished: tuple[Path, list[Outcome]]) -> None:
    assert [path.name for path in finished[0].iterdir()] == [OUTCOMES_FILE]


def test_points_that_have_an_outcome_are_not_run_again(finished: tuple[Path, list[Outcome]]) -> None:
    heard = Heard()
    assert run_points([*POINTS, DIVERGING], finished[0], watch=heard) == finished[1]
    assert heard.n_came == 0


def test_a_known_configuration_comes_back_under_the_new_key(finished: tuple[Path, list[Outcome]]) -> None:
    renamed = Point({"name": "other"}, POINTS[0].config)
    (outcome,) = run_points([renamed], finished[0])
    assert outcome == msgspec.structs.replace(finished[1][0], key={"name": "other"})


def test_how_often_a_run_saves_does_not_make_it_another_point() -> None:
    assert _point(0, checkpoint_interval=3).digest == _point(0).digest
    assert len({_point(0).digest, _point(0, n_steps=13).digest, _point(1).digest}) == 3


@pytest.mark.usefixtures("runs_here")
def test_a_line_cut_short_by_a_crash_is_run_again(finished: tuple[Path, list[Outcome]], tmp_path: Path) -> None:
    lines = (finished[0] / OUTCOMES_FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / OUTCOMES_FILE).write_bytes(b"".join(lines)[:-7])
    assert len(read_outcomes(tmp_path)) == len(lines) - 1
    assert _computed(run_points([*POINTS, DIVERGING], tmp_path)) == _computed(finished[1])
    assert len(read_outcomes(tmp_path)) == len(lines)


def test_wrong_configuration_names_its_point(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"the run with seed 7: data 'nowhere'"):
        run_points([_point(7, data="nowhere")], tmp_path)


@pytest.mark.usefixtures("runs_here")
def test_other_data_under_the_same_name_are_refused(finished: tuple[Path, list[Outcome]], tmp_path: Path) -> None:
    other = msgspec.structs.replace(finished[1][0], data_sha256="other")
    (tmp_path / OUTCOMES_FILE).write_bytes(msgspec.json.encode(other) + b"\n")
    with pytest.raises(SpecError, match="not what earlier runs of this grid were trained on"):
        run_points(POINTS[2:], tmp_path)


def test_second_process_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with (tmp_path / OUTCOMES_FILE).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SpecError, match="another process works on this grid"):
            run_points(POINTS, tmp_path)


def test_no_worker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="workers: 0, it must be at least 1"):
        run_points(POINTS, tmp_path, n_workers=0)


def test_stopped_grid_saves_its_runs_and_goes_on_from_there(tmp_path: Path) -> None:
    folder = tmp_path / "points" / LONG.digest
    with pytest.raises(KeyboardInterrupt), interrupted_once(lambda: _has_rows(folder)):
        run_points([LONG, POINTS[0]], tmp_path, n_workers=1)
    checkpoint, _ = load_latest(folder)
    assert checkpoint is not None
    assert 0 < checkpoint.meta.step < LONG.config.n_steps
    with runs_in_this_process():
        resumed, other = run_points([LONG, POINTS[0]], tmp_path, n_workers=1)
    straight = train(LONG.config, tmp_path / "straight")
    assert resumed.curve == tuple((row.step, row.val_loss) for row in straight.rows if row.val_loss is not None)
    assert other.key == POINTS[0].key
    assert not (tmp_path / "points").exists()


def test_workers_whose_caller_died_save_and_stop(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import tests.training.test_grid as t\n"
        "t.run_points([t.LONG], Path(sys.argv[1]))"
    )
    folder = tmp_path / "points" / LONG.digest
    caller = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    assert came_true(lambda: _has_rows(folder))
    os.kill(caller.pid, signal.SIGKILL)
    caller.wait()
    assert came_true(lambda: any(folder.glob("checkpoints/*.json")))
    assert not read_outcomes(tmp_path)


@pytest.mark.usefixtures("runs_here")
def test_a_grid_tells_what_was_there_before_and_all_that_comes(tmp_path: Path) -> None:
    run_points(POINTS[:1], tmp_path, n_workers=1)
    heard = Heard()
    run_points([POINTS[0], DIVERGING], tmp_path, n_workers=1, watch=heard)
    assert heard.begun == [(2, "runs", 1)]
    assert (heard.n_came, heard.notes) == (1, ["1 diverged"])


def _has_rows(folder: Path) -> bool:
    return (folder / RUN_FILE).exists() and (folder / RUN_FILE).stat().st_size > 0
