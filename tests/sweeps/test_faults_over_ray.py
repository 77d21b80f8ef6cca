"""Over Ray, a sweep that loses processes and machines on its way comes to the table of one that loses none."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.campaigns import RecordFigures
from tests.sweeps.test_faults import differing_bytes, without_clock
from wse_sim.processes.on_ray import on_ray
from wse_sim.processes.pool import in_this_process
from wse_sim.progress import Unwatched
from wse_sim.sweeps.keys import simulated_vocabulary
from wse_sim.sweeps.points import grid_points
from wse_sim.sweeps.run import run_sweep
from wse_sim.sweeps.simulated import simulate_points, simulated_sweep

GRID = {
    "model": ["1.3b", "6.7b", "13b"],
    "system": ["cs3"],
    "num_csx": [1, 2, 7, 14],
    "density": [1, 0.5, 0.25],
    "batch_size": [256, 512, 1024, 2048],
    "jitter": [0, 0.1],
}


class Machines:
    """A cluster on this machine, whose head has one CPU; others of two each come and go."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._other = cluster.add_node(num_cpus=2)
        self.n_lost = self.n_processes_killed = 0

    def lose_one(self) -> None:
        """All processes of a machine are gone at once; another one joins in its place."""
        self._cluster.remove_node(self._other, allow_graceful=False)
        self._other = self._cluster.add_node(num_cpus=2)
        self.n_lost += 1

    def kill_a_process(self) -> None:
        """One that is at a task; not an agent of Ray, with which its machine would go."""
        for process in psutil.process_iter(["name", "cmdline"]):
            command = " ".join(process.info["cmdline"] or [])
            if command.startswith("ray::") and "<lambda>" in command:
                process.kill()
                self.n_processes_killed += 1
                return


class Faulty(Unwatched):
    """Does something to the machines after some of the rows, which are drawn."""

    def __init__(self, faults: list[Callable[[], None]], n_rows: int, seed: int) -> None:
        places = random.Random(seed).sample(range(n_rows // 2), len(faults))  # noqa: S311  nothing secret
        self._faults = dict(zip(sorted(places), faults, strict=True))
        self._n_came = 0

    def came(self, n_items: int = 1, *, work: float | None = None, note: str = "") -> None:
        for place in range(self._n_came, self._n_came + n_items):
            if place in self._faults:
                self._faults[place]()
        self._n_came += n_items


@pytest.fixture
def machines() -> Iterator[Machines]:
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)  # while the head stands alone
    yield Machines(cluster)
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.campaign
def test_simulated_sweeps_over_ray_lose_machines(
    machines: Machines, tmp_path: Path, record_figures: RecordFigures
) -> None:
    sweep = simulated_sweep(grid_points(GRID, simulated_vocabulary()))
    run_sweep(sweep, lambda todo: simulate_points(todo, in_this_process), tmp_path / "here.csv")
    here = (tmp_path / "here.csv").read_bytes()
    n_rounds, n_differing = 5, 0
    for number in range(n_rounds):
        faults = [machines.kill_a_process, machines.lose_one, machines.kill_a_process]
        watch = Faulty(faults, len(sweep.points), number)
        out = tmp_path / f"{number}.csv"
        run_sweep(sweep, lambda todo: simulate_points(todo, on_ray), out, watch)
        n_differing += differing_bytes(out.read_bytes(), here)
    _record(record_figures, machines, rows=n_rounds * len(sweep.points), differing_bytes=n_differing)


@pytest.mark.campaign
def test_trained_sweeps_over_ray_lose_machines(
    machines: Machines, model: str, tmp_path: Path, record_figures: RecordFigures
) -> None:
    from training.sweep import train_points, trained_sweep, trained_vocabulary

    grid = {
        "model": [model],
        "batch_size": [4],
        "tokens": [1e6],
        "mode": ["dense"],
        "steps": [40],
        "data": ["markov"],
        "precision": ["fp32"],
        "density": [1, 0.5],
        "seed": [0, 1, 2],
    }
    sweep = trained_sweep(grid_points(grid, trained_vocabulary()))
    here, n_rounds, n_differing = tmp_path / "here", 3, 0
    run_sweep(sweep, lambda todo: train_points(todo, sweep, here, n_workers=1), here / "sweep.csv")
    expected = without_clock((here / "sweep.csv").read_bytes())
    for number in range(n_rounds):
        watch = Faulty([machines.kill_a_process, machines.lose_one], len(sweep.points), number)
        out = tmp_path / str(number)
        run_sweep(sweep, lambda todo, out=out: train_points(todo, sweep, out, is_on_ray=True), out / "sweep.csv", watch)  # type: ignore[misc]
        n_differing += differing_bytes(without_clock((out / "sweep.csv").read_bytes()), expected)
    _record(record_figures, machines, rows=n_rounds * len(sweep.points), differing_bytes=n_differing)


def _record(record_figures: RecordFigures, machines: Machines, *, rows: int, differing_bytes: int) -> None:
    assert machines.n_lost
    assert machines.n_processes_killed
    assert differing_bytes == 0
    record_figures(
        "faults_in_sweeps",
        {
            "machines lost": machines.n_lost,
            "processes killed at a task": machines.n_processes_killed,
            "rows": rows,
            "differing bytes": differing_bytes,
        },
    )
