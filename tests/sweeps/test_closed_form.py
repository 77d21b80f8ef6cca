"""Points priced in closed form: rows like those of the event engine, and its own where there is no closed form."""

from collections.abc import Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_sim.processes.pool import Spread, in_this_process, on_processes
from wse_sim.report.step_figures import figures
from wse_sim.runs import resolve_run
from wse_sim.schedule.estimate import NOTHING_CONTENDS
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.economics import load_economics
from wse_sim.spec.load import data_path, load_model
from wse_sim.sweeps.closed_form import (
    CLOSED_FORM,
    EVENT,
    ROOFLINE,
    closed_form_sweep,
    price_points,
)
from wse_sim.sweeps.columns import FASTEST, Sizes, fitting, price
from wse_sim.sweeps.keys import Point, simulated_vocabulary
from wse_sim.sweeps.points import grid_points
from wse_sim.sweeps.run import run_sweep
from wse_sim.sweeps.simulated import simulate_point, simulated_sweep
from wse_sim.sweeps.sweep import Row

SMALL: Point = {"model": "111m", "system": "cs3", "batch_size": 240}
GRID = {
    "num_csx": [1, 2, 7],
    "batch_size": [240, 512, 100],
    "model": ["111m", "256m"],
    "system": ["cs3", "cs2"],
    "density": [1.0, 0.25],
    "tokens": [1e9, 3e9],
    "microbatch": [20, 24],
}
EXACT = ("kind", "system", "num_csx", "release", "batch_size", "seq_len", "density", "tokens", "microbatch", "n_steps")
IN_PROPORTION = {"step_time_s": 1, "run_time_s": 1, "energy_j": 1, "carbon_kg": 1, "cost_usd": 1}
IN_PROPORTION |= {"tokens_per_s": -1, "samples_per_s": -1, "mfu": -1, "dense_equivalent_mfu": -1}

MODELS = ("111m", "590m", "1.3b", "2.7b", "6.7b", "13b", "bert-large", "llama-7b")
POINTS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "system": st.sampled_from(["cs1", "cs2", "cs3"]),
        "density": st.sampled_from([1.0, 0.5, 0.3, 0.1, 0.03]),
        "batch_size": st.sampled_from([1, 12, 128, 720, 1024]),
    },
    optional={
        "num_csx": st.sampled_from([1, 2, 4, 12]),
        "microbatch": st.sampled_from([1, 4, 32]),
        "tokens": st.sampled_from([1e6, 2.6e10]),
        "seq_len": st.sampled_from([128]),
        "release": st.sampled_from(["r1.7", "r2"]),
        "seed": st.integers(0, 5),
        "sparse_wide": st.booleans(),
    },
)


def priced(points: Sequence[Point], spread: Spread = in_this_process) -> list[Row]:
    return run_sweep(closed_form_sweep(points), partial(price_points, spread=spread))


def priced_alone(point: Point) -> Row:
    return priced([point])[0]


@settings(max_examples=60)
@given(POINTS)
def test_row_is_the_event_engine_s_to_a_percent_where_nothing_contends(point: Point) -> None:
    row, event = priced_alone(point), simulate_point(0, point)
    assert (row.status, row.reason) == (event.status, event.reason)
    if row.status != "ok":
        return
    assert {name: row.results[name] for name in EXACT} == {name: event.results[name] for name in EXACT}
    allowed = 0.01 if row.results["contention"] < NOTHING_CONTENDS else 0.1
    for name, power in IN_PROPORTION.items():
        expected = event.results[name] * (row.results["step_time_s"] / event.results["step_time_s"]) ** power
        assert row.results[name] == pytest.approx(expected, rel=1e-12)
        assert row.results[name] == pytest.approx(event.results[name], rel=allowed)


def test_columns_are_those_of_a_simulated_sweep_and_two_more() -> None:
    points: list[Point] = [SMALL, {**SMALL, "num_csx": 7}, {"model": "111m", "gpu": "h100", "num_gpus": 8}]
    columns = closed_form_sweep(points).columns
    assert columns == (*simulated_sweep(points).columns[:-2], "engine", "contention", "status", "reason")
    assert set(priced_alone(SMALL).results) == set(closed_form_sweep([SMALL]).results)


def test_a_row_hangs_on_its_point_alone() -> None:
    points = grid_points(GRID, simulated_vocabulary())
    rows = priced(points)
    assert [row.index for row in rows] == list(range(len(points)))
    assert {row.status for row in rows} == {"ok", "infeasible"}
    for row, point in zip(rows, points, strict=True):
        assert row == Row(row.index, *(getattr(priced_alone(point), name) for name in ("status", "reason", "results")))


@pytest.mark.parametrize(
    "given",
    [
        {"num_csx": 7},
        {"num_csx": 500, "batch_size": 500, "system": "cs2"},
        {"num_csx": 2, "microbatch": 7},
        {"microbatch": 240, "csx.sram_bytes": 1e10},
        {"microbatch": 240, "csx.activation_server_bytes": 1e6, "csx.sram_bytes": 2e10},
        {"csx.sram_bytes": 1e6},
        {"memoryx.capacity_bytes": 1e6},
        {"density": 1e-9},
        {"seq_len": 4096},
        {"mask_update_steps": 5},
        {"tokens": 257.0},
        {"batch_size": 10**30, "num_csx": 10**29},
        {"model": "gpt-neox-20b", "batch_size": 7, "num_csx": 3},
    ],
)
def test_a_wall_is_told_in_the_words_of_the_simulator(given: Point) -> None:
    point = {**SMALL, **given}
    row = priced_alone(point)
    assert row.status == "infeasible"
    assert row == simulate_point(0, point)


def test_sizes_that_are_left_out_are_those_of_the_recipe() -> None:
    for point in ({"model": "13b", "system": "cs3"}, {"model": "1.3b", "num_csx": 2}, {"model": "1.3b", "tokens": 1e9}):
        row, event = priced_alone(point), simulate_point(0, point)
        assert {name: row.results[name] for name in EXACT} == {name: event.results[name] for name in EXACT}
    no_recipe: Point = {"model": "llama-7b", "num_csx": 2}
    assert "comes with no recipe" in priced_alone(no_recipe).reason


@pytest.mark.parametrize(
    "given",
    [
        {"num_csx": 6, "straggler": 1.3},
        {"num_csx": 3, "jitter": 0.2},
        {"density": 0.25, "sparsity_algorithm": "rigl"},
        {"num_csx": 4, "swarmx.hop_latency_s": 0.01},
        {"swarmx.buffer_layers": 0.25},
    ],
)
def test_what_the_closed_form_has_no_term_for_is_simulated(given: Point) -> None:
    point = {**SMALL, **given}
    row, event = priced_alone(point), simulate_point(0, point)
    assert row.results.pop("engine") == EVENT
    assert row == event


def test_a_system_of_a_file_that_the_closed_form_does_not_know_is_simulated(tmp_path: Path) -> None:
    """Its hops take 50 ms and its buffers hold a quarter of a layer: 15 s in place of half a second."""
    file = tmp_path / "mine.toml"
    own = (
        f'\n[swarmx.{name}]\nvalue = {value}\nkind = "assumed"\nsource = "mine"\n'
        for name, value in (("hop_latency_s", 0.05), ("buffer_layers", 0.25))
    )
    file.write_text(data_path("hardware/cs3.toml").read_text(encoding="utf-8") + "".join(own), encoding="utf-8")
    points: list[Point] = [{**SMALL, "system": str(file)}, SMALL]
    handed: list[Any] = []

    def recording(work: str, tasks: Sequence[Any], outcome: type[Any]) -> Generator[Any, None, None]:
        handed.extend(tasks)
        return in_this_process(work, tasks, outcome)

    own_row, shipped_row = priced(points, recording)
    assert (own_row.results.pop("engine"), shipped_row.results["engine"]) == (EVENT, CLOSED_FORM)
    assert own_row == simulate_point(0, points[0])
    assert own_row.results["step_time_s"] > 10 * shipped_row.results["step_time_s"]
    assert [point for chunk in handed for _, point in chunk.points] == points[:1]


def test_buffers_and_hops_like_those_of_the_data_keep_the_closed_form() -> None:
    point: Point = {**SMALL, "swarmx.fan_out": 8, "swarmx.buffer_layers": 2.0, "csx.weight_buffer_layers": 1.0}
    assert priced_alone(point).results["engine"] == CLOSED_FORM


def test_a_step_that_no_simulated_clock_holds_has_a_closed_form() -> None:
    point: Point = {**SMALL, "csx.layer_latency_s": 1e9}
    assert "where the simulated clock ends" in simulate_point(0, point).reason
    row = priced_alone(point)
    assert row.results["engine"] == CLOSED_FORM
    assert row.results["step_time_s"] > 1e9


@pytest.mark.parametrize(
    "given", [{"csx.layer_latency_s": 1e300}, {"memoryx.optimizer_bytes_per_s": 1e-310}, {"csx.clock_hz": 1e-300}]
)
def test_constants_with_which_no_number_would_hold_a_step_are_refused(given: Point) -> None:
    row = priced_alone({**SMALL, **given})
    assert "it must be a number" in row.reason
    assert row == simulate_point(0, {**SMALL, **given})


def test_keys_at_values_that_change_nothing_keep_the_closed_form() -> None:
    point: Point = {**SMALL, "jitter": 0.0, "straggler": 1.0, "sparsity_algorithm": "static"}
    assert priced_alone(point).results == priced_alone(SMALL).results


def test_points_on_gpus_stay_the_roofline_s() -> None:
    point: Point = {"model": "1.3b", "gpu": "h100", "num_gpus": 16, "batch_size": 512}
    row = priced_alone(point)
    assert row.results.pop("engine") == ROOFLINE
    assert row == simulate_point(0, point)


@pytest.mark.parametrize(
    ("given", "bottleneck"),
    [
        ({}, "wafer compute"),
        ({"swarmx.link_bytes_per_s": 1e9}, "gradient stream"),
        ({"memoryx.egress_bytes_per_s": 1e9}, "weight stream"),
        ({"memoryx.optimizer_bytes_per_s": 1e9}, "optimizer"),
        ({"csx.input_tokens_per_s": 10.0}, "input workers"),
        (
            {"model": "590m", "batch_size": 720, "microbatch": 360, "csx.activation_link_bytes_per_s": 1e8},
            "activation servers",
        ),
    ],
)
def test_the_bottleneck_is_the_busiest_stream(given: Point, bottleneck: str) -> None:
    row = priced_alone({**SMALL, "batch_size": 480, "microbatch": 60, "num_csx": 2, **given})
    assert row.results["bottleneck"] == bottleneck
    assert (row.results["contention"] > 1) is (bottleneck != "wafer compute")


def test_table_is_the_same_bytes_on_any_number_of_processes_and_in_pieces(tmp_path: Path) -> None:
    points = [
        *grid_points(GRID, simulated_vocabulary()),
        *({**SMALL, "jitter": 0.1, "seed": seed} for seed in range(3)),
    ]
    sweep = closed_form_sweep(points)
    tables = []
    spreads: list[Spread] = [in_this_process, *(partial(on_processes, n_workers=n) for n in (1, 2))]
    for number, spread in enumerate(spreads):
        out = tmp_path / f"{number}.csv"
        run_sweep(sweep, partial(price_points, spread=spread), out)
        tables.append(out.read_bytes())
    out = tmp_path / "stopped.csv"
    n_known = []

    def stopped(todo: Mapping[int, Point]) -> Generator[Sequence[Row], None, None]:
        n_known.append(len(points) - len(todo))
        for number, rows in enumerate(price_points(todo, in_this_process)):
            if number == 2:
                raise KeyboardInterrupt
            yield rows

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_sweep(sweep, stopped, out)
    run_sweep(sweep, partial(price_points, spread=in_this_process), out)
    assert 0 < n_known[1] < len(points)
    assert tables[0] == tables[1] == tables[2] == out.read_bytes()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-1, 20), st.integers(-1, 300), st.sampled_from([0, 1, 3, 8, 200])), min_size=1))
def test_columns_are_what_each_configuration_is_alone(sizes: list[tuple[int, int, int]]) -> None:
    run, cluster, economics = resolve_run(load_model("590m"), batch_size=1), load_cluster("cs2", 1), load_economics()
    num_csx, batch_size, microbatch = np.array(sizes, np.int64).T
    many = Sizes(num_csx=num_csx, batch_size=batch_size, microbatch=microbatch, tokens=np.full(len(sizes), 1e9))
    fits = fitting(run, cluster, many)
    assert fits.tolist() == [simulate_point(0, _point_of(*size)).status == "ok" for size in sizes]
    if not fits.any():
        return
    together = price(run, cluster, many[fits], economics)
    for place, index in enumerate(np.flatnonzero(fits)):
        alone = price(run, cluster, many[np.arange(len(sizes)) == index], economics)
        assert alone.microbatch[0] == together.microbatch[place]
        assert alone.figures.mfu[0] == together.figures.mfu[place]
        assert alone.contention[0] == together.contention[place]


def _point_of(num_csx: int, batch_size: int, microbatch: int) -> Point:
    point: Point = {"model": "590m", "system": "cs2", "num_csx": num_csx, "batch_size": batch_size}
    return point if microbatch == FASTEST else {**point, "microbatch": microbatch}


def test_figures_are_those_of_a_run_with_that_step_time() -> None:
    run = resolve_run(load_model("2.7b"), system="cs3", num_csx=4, batch_size=480, density=0.5)
    cluster, economics = load_cluster("cs3", 4), load_economics()
    sizes = Sizes(
        num_csx=np.array([4]), batch_size=np.array([480]), microbatch=np.array([FASTEST]), tokens=np.array([run.tokens])
    )
    many = price(run, cluster, sizes, economics).figures
    alone = figures(run, cluster, float(many.step_time_s[0]), economics)
    assert {name: float(getattr(many, name)[0]) for name in IN_PROPORTION} == {
        name: getattr(alone, name) for name in IN_PROPORTION
    }
