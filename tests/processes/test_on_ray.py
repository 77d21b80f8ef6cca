"""Over Ray, tasks have the outcomes that they have here."""

import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.processes.work import Number, Numbers, Pieces, Square
from tests.stopping import came_true
from wse_sim.errors import LostError, SpecError
from wse_sim.processes.on_ray import on_ray
from wse_sim.processes.pool import in_this_process
from wse_sim.processes.ray_address import address_to_join
from wse_sim.sweeps.keys import simulated_vocabulary
from wse_sim.sweeps.points import grid_points
from wse_sim.sweeps.run import run_sweep
from wse_sim.sweeps.simulated import simulate_points, simulated_sweep

SQUARED, SLEPT, IN_DANGER = (f"tests.processes.work:{name}" for name in ("squared", "slept", "squared_in_danger"))


def test_ray_that_is_not_installed_is_told() -> None:
    with patch.dict(sys.modules, {"ray": None}), pytest.raises(SpecError, match=r"pip --python .* install ray"):
        next(on_ray(SQUARED, [Number(value=1)], Square))


def dead_address() -> str:
    """An address at which nothing listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("DEAD", r"^no Ray answers at 127.0.0.1:\d+, where RAY_ADDRESS=127.* `ray start --head`, or unset"),
        ("ray://DEAD", r"^no Ray answers at ray://127"),
        ("nonsense", r"^Ray can be neither joined nor started here: Invalid address format: nonsense$"),
    ],
)
def test_cluster_that_does_not_answer_is_told_at_once(monkeypatch: pytest.MonkeyPatch, address: str, told: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address.replace("DEAD", dead_address()))
    with pytest.raises(SpecError, match=told):
        next(on_ray(SQUARED, [Number(value=1)], Square))


def test_ray_that_does_not_start_is_told() -> None:
    slow = patch("ray.init", side_effect=Exception("The current node timed out during startup.\nMore of it."))
    with slow, pytest.raises(SpecError, match=r"neither joined nor started here: The current .* startup\.$"):
        next(on_ray(SQUARED, [Number(value=1)], Square))


def test_cluster_that_died_and_is_still_on_record_is_only_joined_by_who_asks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import ray

    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert address_to_join(ray) == "local"
    address = tmp_path / "ray" / "ray_current_cluster"
    address.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address.write_text(f"127.0.0.1:{server.getsockname()[1]}", encoding="utf-8")
        assert address_to_join(ray) is None
    assert not caplog.messages
    assert address_to_join(ray) == "local"
    assert caplog.messages == [
        f"no Ray answers any more at {address.read_text()}, where `ray start` had one: another is started for now"
    ]
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(SpecError, match=r"where RAY_ADDRESS=auto leads to"):
        address_to_join(ray)


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """Ray on two CPUs of this machine, for all tests: starting it takes seconds."""
    import ray

    ray.init(address="local", num_cpus=2, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("ray")
def test_each_task_has_one_outcome() -> None:
    outcomes = list(on_ray(SQUARED, [Number(value=value) for value in range(12)], Square))
    assert sorted(outcome.value for outcome in outcomes) == [value * value for value in range(12)]


@pytest.mark.usefixtures("ray")
def test_tasks_are_taken_as_they_are_begun() -> None:
    tasks = Numbers(200)
    with closing(on_ray(SQUARED, tasks, Square)) as outcomes:
        next(outcomes)
        assert tasks.n_taken <= 64
        assert len(list(outcomes)) == 199


@pytest.mark.usefixtures("ray")
def test_wrong_task_is_the_users_and_a_bug_is_ours() -> None:
    with pytest.raises(SpecError, match=r"^the square of -1: -1 is negative$"):
        list(on_ray(SQUARED, [Number(value=-1)], Square))
    with pytest.raises(RuntimeError, match=r"the square of 13: (.|\n)*ZeroDivisionError"):
        list(on_ray(SQUARED, [Number(value=13)], Square))


@pytest.mark.usefixtures("ray")
def test_who_stops_early_cancels_what_runs_and_waits_for_it(tmp_path: Path) -> None:
    tasks = [Number(value=1), Number(value=2, folder=str(tmp_path))]
    with closing(on_ray(SLEPT, tasks, Square)) as outcomes:
        assert next(outcomes) == Square(0)
        assert came_true((tmp_path / "begun").exists)
    assert (tmp_path / "interrupted").exists()


@pytest.mark.usefixtures("ray")
def test_table_is_the_same_bytes_over_ray_and_here(tmp_path: Path) -> None:
    grid = {"model": ["111m"], "num_csx": [1, 2, 7], "batch_size": [240, 512], "density": [1, 0.5, 0.25]}
    sweep = simulated_sweep(grid_points(grid, simulated_vocabulary()))
    run_sweep(sweep, lambda todo: simulate_points(todo, in_this_process), tmp_path / "here.csv")
    run_sweep(sweep, lambda todo: simulate_points(todo, on_ray), tmp_path / "over-ray.csv")
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "over-ray.csv").read_bytes()


@pytest.mark.usefixtures("ray")
def test_task_whose_process_was_killed_is_done_again_and_named_at_the_third_time(tmp_path: Path) -> None:
    def squares(n_kills: int) -> list[int]:
        tasks = [Pieces(values=(2, 3, 4), killers=(3,), n_kills=n_kills, folder=str(tmp_path)), *others]
        return sorted(square.value for squares in on_ray(IN_DANGER, tasks, list[Square]) for square in squares)

    others = [Pieces(values=(n,), killers=(), n_kills=0, folder="") for n in range(5, 9)]
    assert squares(2) == [n * n for n in range(2, 9)]
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(LostError, match=r"^the square of 3: .* was lost \(WorkerCrashedError of Ray\), 3 times"):
        squares(5)


@pytest.mark.usefixtures("ray")
def test_machine_that_goes_is_held_against_no_task_unless_the_sweep_stands_on_it() -> None:
    from ray.exceptions import LocalRayletDiedError, NodeDiedError

    def squares(*ends: object) -> list[Square]:
        with patch("wse_sim.processes.on_ray._outcome", side_effect=ends), patch("time.sleep"):
            return list(on_ray(SQUARED, [Number(value=2)], Square))

    gone = NodeDiedError("its machine is gone")
    assert squares(*5 * [gone], Square(4)) == [Square(4)]
    with pytest.raises(LostError, match=r"^the square of 2: the machine .* 60 times in a row: see to the cluster"):
        squares(*60 * [gone])
    with pytest.raises(LostError, match=r"^Ray on this machine has ended: start it again, and go on"):
        squares(LocalRayletDiedError())
