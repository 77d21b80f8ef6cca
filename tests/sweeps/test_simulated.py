"""A row of a sweep says what the simulator says of its point alone, however many processes work the sweep out."""

from functools import partial
from pathlib import Path

import pytest

from wse_sim.gpu.layout import Layout
from wse_sim.gpu.roofline import simulate_gpu
from wse_sim.processes.pool import Spread, in_this_process, on_processes
from wse_sim.runs import run_from
from wse_sim.simulation import simulate, step_time_s
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import load_model
from wse_sim.sweeps.keys import Point, simulated_vocabulary
from wse_sim.sweeps.points import grid_points
from wse_sim.sweeps.run import run_sweep
from wse_sim.sweeps.simulated import assumed_constants, simulate_point, simulate_points, simulated_sweep
from wse_sim.sweeps.sweep import Row

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
    for name in ("step_time_s", "tokens_per_s", "mfu", "run_time_s", "energy_j", "carbon_kg", "cost_usd", "dp", "pp"):
        assert row.results[name] == getattr(expected, name)
    assert row.results["tokens"] == 20 * 1_315_723_264
    assert row.results["carbon_kg"] > 0
    assert row.results["samples_per_s"] == 512 / expected.step_time_s
    assert "memory" in simulate_point(0, {**point, "model": "13b", "num_gpus": 1, "batch_size": 8}).reason


def test_layout_software_and_constants_of_gpus_are_keys() -> None:
    point: Point = {
        "model": "6.7b",
        "gpu": "h100",
        "num_gpus": 16,
        "batch_size": 256,
        "density": 0.5,
        "tokens": 1e9,
        "gpu_software": "megatron-2024",
        "precision": "fp8",
        "two_four": True,
        "tp": 2,
        "cp": 1,
        "pp": 4,
        "interleave": 2,
        "microbatch_gpu": 2,
        "recompute_gpu": "full",
        "sharding": "zero1",
        "h100.nvlink_bytes_per_s": 1e12,
        "gpu_training.reserved_bytes": 2e9,
        "megatron-2024.gradient_bytes": 2.0,
    }
    simulated_vocabulary().check(point)
    expected = simulate_gpu(
        load_model("6.7b").shape,
        gpu="h100",
        num_gpus=16,
        batch_size=256,
        density=0.5,
        tokens=1e9,
        software="megatron-2024",
        precision="fp8",
        is_two_four=True,
        fixed=Layout(tp=2, cp=1, pp=4, interleave=2, microbatch=2, recompute="full", sharding="zero1"),
        constants={name: float(value) for name, value in point.items() if "." in name},
    )
    sweep = simulated_sweep([point])
    row = sweep.cells(simulate_point(0, point))
    assert row["status"] == "ok"
    for name in ("step_time_s", "hfu", "memory_bytes_per_gpu", "tokens_per_s_per_gpu", "dp", "recompute", "microbatch"):
        assert row[name] == getattr(expected, name)
    bare = {name: value for name, value in point.items() if "." not in name}
    assert simulate_point(0, bare).results["step_time_s"] > row["step_time_s"]  # type: ignore[operator]


def test_what_was_left_out_of_a_point_on_gpus_is_filled_in() -> None:
    row = simulate_point(0, {"model": "1.3b", "gpu": "h100", "num_gpus": 16, "batch_size": 512})
    filled = ("gpu_software", "precision", "cp", "interleave", "recompute", "sharding")
    assert [row.results[name] for name in filled] == ["megatron", "bf16", 1, 1, "none", "zero1"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"tp": 3}, "no layout of 1.3b on 16 GPUs with megatron has tp 3"),
        ({"two_four": True}, "2:4 sparsity keeps half of the weights: use density 0.5, not 1"),
        ({"gpu": "a100-80", "precision": "fp8"}, "a100-80 has no fp8: use precision bf16"),
        ({"h200.memory_bytes": 1e11}, "h200.memory_bytes is no constant of h100 with megatron"),
    ],
)
def test_point_on_gpus_that_hits_a_wall_is_a_row_that_says_which(given: Point, reason: str) -> None:
    row = simulate_point(3, {"model": "1.3b", "gpu": "h100", "num_gpus": 16, "batch_size": 512, **given})
    assert (row.index, row.status, row.results) == (3, "infeasible", {})
    assert reason in row.reason


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
    of_gpus = assumed_constants(simulated_sweep([on_gpus]), ok[:1])
    assert "gpu_training.reserved_bytes" in of_gpus
    assert not {name for name in of_gpus if name.startswith("csx.")}
    both = simulated_sweep([set_here, {**on_gpus, "gpu_training.reserved_bytes": 2e9}])
    assert not {"swarmx.fan_out", "gpu_training.reserved_bytes"} & set(assumed_constants(both, ok))


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
