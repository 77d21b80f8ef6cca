"""A row of a sweep says what the simulator says of its point alone, however many processes work the sweep out."""

from functools import partial
from pathlib import Path

import pytest

from wse_sim.gpu.roofline import simulate_gpu
from wse_sim.processes.pool import Spread, in_this_process, on_processes
from wse_sim.simulate import run_from, simulate, step_time_s
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import load_model
from wse_sim.sweep.keys import Point, simulated_vocabulary
from wse_sim.sweep.points import grid_points
from wse_sim.sweep.run import run_sweep
from wse_sim.sweep.simulated import assumed_constants, simulate_point, simulate_points, simulated_sweep
from wse_sim.sweep.sweep import Row

SMALL: Point = {"model": "111m", "system": "cs3", "batch_size": 240}
GRID = {
    "model": ["111m", "256m"],
    "system": ["cs3"],
    "num_csx": [1, 2, 7],
    "batch_size": [240, 512],
    "density": [1.0, 0.25],
    "memoryx.servers": [4, 12],
}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"num_csx": 1},
        {"num_csx": 5, "density": 0.25},
        {"num_csx": 48, "density": 0.1, "seq_len": 1024},  # a tree of three levels, the last node of which is not full
        {"num_csx": 4, "sparsity": 0.5, "microbatch": 10, "release": "r1.7", "tokens": 1e9},
        {"num_csx": 6, "straggler": 1.3},
        {"num_csx": 3, "jitter": 0.2, "seed": 5},
        {"num_csx": 2, "density": 0.25, "sparsity_algorithm": "rigl", "mask_update_steps": 50},
        {"num_csx": 2, "density": 0.25, "sparsity_algorithm": "gmp"},
        {"num_csx": 2, "density": 0.25, "sparse_wide": True},
    ],
)
def test_row_is_what_simulate_says_of_the_point(given: Point) -> None:
    point = {**SMALL, **given}
    row = simulate_point(0, point)
    options = {"is_sparse_wide" if name == "sparse_wide" else name: value for name, value in point.items()}
    expected = simulate(run_from(**options)).result.as_dict()  # type: ignore[arg-type]
    assert (row.status, row.reason) == ("ok", "")
    assert row.results == {name: expected[name] for name in row.results}
    assert set(row.results) == set(simulated_sweep([point]).results)


def test_constant_of_a_point_is_one_of_its_cluster() -> None:
    for name, value in (("csx.io_bytes_per_s", 1e9), ("csx.clock_hz", 2e9), ("swarmx.hop_latency_s", 0.01)):
        run = run_from(**SMALL, num_csx=4)  # type: ignore[arg-type]
        cluster = load_cluster("cs3", 4)
        row = simulate_point(0, {**SMALL, "num_csx": 4, name: value})
        changed_s, as_it_is_s = step_time_s(run, cluster.with_constant(name, value)), step_time_s(run, cluster)
        # The row's is the mean over the steps of the run: one rounding more.
        assert row.results["step_time_s"] == pytest.approx(changed_s, rel=1e-14)
        assert abs(changed_s / as_it_is_s - 1) > 0.01


def test_larger_clusters_than_their_maker_connects_can_be_asked_about() -> None:
    many = {**SMALL, "num_csx": 24, "system": "cs2"}
    most = load_cluster("cs2", 1).csx.max_systems
    many["num_csx"] = many["batch_size"] = int(most) + 1
    assert simulate_point(0, many).reason == f"num_csx is {most + 1:.0f}: cs2 clusters have 1 to {most:.0f} systems"
    assert simulate_point(0, {**many, "csx.max_systems": most + 1}).status == "ok"


@pytest.mark.parametrize("servers", [1, 5, 7, 24, 36])
def test_any_number_of_weight_servers_can_be_asked_about(servers: int) -> None:
    row = simulate_point(0, {**SMALL, "memoryx.servers": servers})
    assert row.results["tokens_per_s"] == pytest.approx(simulate_point(0, SMALL).results["tokens_per_s"], rel=0.02)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"num_csx": 7}, "batch_size 240 is not a multiple of num_csx 7"),
        ({"num_csx": 2, "microbatch": 7}, "microbatch 7 does not divide the 120 sequences per system"),
        ({"csx.sram_bytes": 1e6}, "of on-wafer memory for one layer"),
        ({"memoryx.capacity_bytes": 1e6}, "for weights and optimizer state, MemoryX holds 0.001 GB"),
        ({"density": 1.5}, "density is 1.5: it must be above 0 and at most 1"),
        ({"csx.layer_latency_s": 1e8}, "1e+08 s is more than 2^63 ps, where the simulated clock ends"),
        ({"mask_update_steps": 5}, "mask_update_steps is 5, but static masks never change"),
    ],
)
def test_point_that_hits_a_wall_is_a_row_that_says_which(given: Point, reason: str) -> None:
    row = simulate_point(3, {**SMALL, **given})
    assert (row.index, row.status, row.results) == (3, "infeasible", {})
    assert reason in row.reason


def test_row_on_gpus_is_what_the_roofline_says() -> None:
    point: Point = {"model": "1.3b", "gpu": "h100", "num_gpus": 16, "batch_size": 512, "sparsity": 0.75}
    row = simulate_point(0, point)
    shape = load_model("1.3b").shape
    expected = simulate_gpu(
        shape, gpu="h100", num_gpus=16, batch_size=512, seq_len=2048, density=0.25, tokens=row.results["tokens"]
    )
    for name in ("step_time_s", "tokens_per_s", "mfu", "run_time_s", "energy_j", "cost_usd", "dp", "tp", "pp"):
        assert row.results[name] == getattr(expected, name)
    assert row.results["tokens"] == 20 * 1_315_723_264
    assert row.results["samples_per_s"] == 512 / expected.step_time_s
    assert "memory" in simulate_point(0, {**point, "model": "13b", "num_gpus": 1, "batch_size": 8}).reason


def test_columns_of_gpus_are_there_where_there_are_gpus() -> None:
    on_gpus: Point = {"model": "111m", "gpu": "h100", "num_gpus": 8}
    assert "dp" not in simulated_sweep([SMALL]).columns
    sweep = simulated_sweep([SMALL, on_gpus])
    assert "dp" in sweep.columns
    wafer, gpu = (sweep.cells(simulate_point(index, point)) for index, point in enumerate(sweep.points))
    assert (wafer["gpu"], wafer["dp"], wafer["system"], wafer["num_csx"]) == (None, None, "cs3", 1)
    assert (gpu["gpu"], gpu["system"], gpu["num_csx"], gpu["batch_size"]) == ("h100", None, None, 120)


def test_assumed_constants_are_those_that_the_points_do_not_set() -> None:
    set_here: Point = {**SMALL, "swarmx.fan_out": 8}
    ok = [Row(0), Row(1)]
    assert "swarmx.fan_out" in assumed_constants(simulated_sweep([SMALL, set_here]), ok)
    assert "swarmx.fan_out" not in assumed_constants(simulated_sweep([set_here]), ok[:1])
    assert not assumed_constants(simulated_sweep([SMALL]), [Row(0, "infeasible", "no")])
    on_gpus: Point = {"model": "111m", "gpu": "h100", "num_gpus": 8}
    assert not {name for name in assumed_constants(simulated_sweep([on_gpus]), ok[:1]) if name.startswith("csx.")}


def test_table_is_the_same_bytes_on_one_process_and_on_two(tmp_path: Path) -> None:
    sweep = simulated_sweep(grid_points(GRID, simulated_vocabulary()))
    tables = []
    spreads: list[Spread] = [in_this_process, *(partial(on_processes, n_workers=n) for n in (1, 2))]
    for number, spread in enumerate(spreads):
        out = tmp_path / f"{number}.csv"
        rows = run_sweep(sweep, partial(simulate_points, spread=spread), out)
        tables.append(out.read_bytes())
    assert tables[0] == tables[1] == tables[2]
    assert {row.status for row in rows} == {"ok", "infeasible"}
    assert rows == [simulate_point(index, point) for index, point in enumerate(sweep.points)]
