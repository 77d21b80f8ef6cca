"""Plans: laws over all candidates, the walls, and what the event engine says of the finalists."""

from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from tests.plan.questions import question
from wse_sim.errors import SpecError
from wse_sim.laws.cerebras_gpt import project_loss
from wse_sim.laws.power_lines import critical_batch_tokens, optimal_batch_tokens
from wse_sim.plan.constraints import Constraints
from wse_sim.plan.outcomes import (
    WALLS,
    Outcomes,
    Question,
    outcomes,
    planned_run,
    run_at,
    steps_in_closed_form,
)
from wse_sim.plan.planner import plan_of, walls
from wse_sim.plan.result import Plan
from wse_sim.plan.search import Search, search
from wse_sim.plan.space import Candidates, Space, candidates
from wse_sim.plan.tornado import tornado
from wse_sim.report.plan_tables import verdict
from wse_sim.schedule.weight_streaming import plan_step
from wse_sim.simulate import simulate, step_time_s
from wse_sim.spec.bill import bill
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.economics import load_economics
from wse_sim.spec.load import data_path
from wse_sim.spec.operations import Operations

SMALL = Space(num_csx=(1, 2, 4, 8), batch_sizes=(256, 512, 1024), tokens_per_parameter=(10.0, 20.0))
THIRSTY_CS3 = """
[units.cs3]
power_w = {value = 100000, kind = "assumed", source = "a test"}
rental_usd_per_h = {value = 10, kind = "assumed", source = "a test"}
"""
LIMITS = Constraints(deadline_s=5 * 86_400.0, max_cost_usd=60_000.0)


def found(constraints: Constraints = LIMITS, space: Space = SMALL, **given: Any) -> Search:
    return search(question(), space, constraints, **given)


def figures(of: Search) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.stack([of.found.wall_clock_s, of.found.cost_usd, of.found.loss], axis=1)


def test_the_front_is_not_dominated_by_any_candidate() -> None:
    """Simulated where it is, in closed form elsewhere."""
    of = found()
    kept = figures(of)[of.missed.is_kept]
    assert len(of.front) > 5
    for row in figures(of)[of.front]:
        assert not ((kept <= row).all(axis=1) & (kept < row).any(axis=1)).any()


def test_everything_on_the_front_keeps_to_the_constraints() -> None:
    of = found()
    assert (of.found.wall_clock_s[of.front] <= LIMITS.deadline_s).all()
    assert (of.found.cost_usd[of.front] <= LIMITS.max_cost_usd).all()


def test_finalists_are_what_simulate_says() -> None:
    plan = plan_of(found())
    assert plan.best is not None
    simulated = [row for row in plan.front if row.engine == "event"]
    assert plan.best in simulated
    for row in [plan.best, *simulated[::10]]:
        run = planned_run(
            question(),
            row.system,
            row.density,
            num_csx=row.num_csx,
            batch_size=row.batch_size,
            microbatch=row.microbatch,
            tokens=row.tokens,
        )
        result = simulate(run).result
        assert result.step_time_s == pytest.approx(row.step_time_s, rel=1e-12)
        assert result.run_time_s == pytest.approx(row.run_time_s, rel=1e-12)
        assert result.energy_j == pytest.approx(row.energy_j, rel=1e-12)
        assert result.cost_usd == pytest.approx(row.cost_usd, rel=1e-12)
        assert result.carbon_kg == pytest.approx(row.carbon_kg, rel=1e-12)
        # Segments of equal length, in which steps need not be whole (engine.run_level.expected_runs).
        assert result.wall_clock_s == pytest.approx(row.wall_clock_s, rel=2e-3)


def test_the_closed_form_of_finalists_is_within_its_tolerance() -> None:
    assert 0 < found().largest_closed_form_error < 0.06


@pytest.mark.parametrize("economics", ["", THIRSTY_CS3], ids=["of the data", "CS-3 cheap and thirsty"])
@pytest.mark.parametrize("objective", ["cost", "time", "energy", "carbon", "loss", "systems"])
def test_the_best_is_simulated_and_has_the_least_of_its_objective_of_all(
    objective: str, economics: str, tmp_path: Path
) -> None:
    """Of energy and carbon too, of which the front does not know: the best in them may be slower and dearer."""
    (tmp_path / "mine.toml").write_text(economics, encoding="utf-8")
    asked = with_changes(question(), economics=load_economics(str(tmp_path / "mine.toml")))
    of = search(asked, SMALL, Constraints(deadline_s=100 * 86_400.0), objective=objective)
    assert of.best is not None
    assert of.is_simulated[of.best]
    values = {
        "cost": of.found.cost_usd,
        "time": of.found.wall_clock_s,
        "energy": of.found.energy_j,
        "carbon": of.found.carbon_kg,
        "loss": of.found.loss,
        "systems": of.tried.num_csx,
    }[objective]
    assert values[of.best] == values[of.missed.is_kept].min()
    assert of.best in of.front or objective in ("energy", "carbon")


def slowly(asked: Question, space: Space, tried: Candidates, place: int) -> float:
    """An event engine that takes half as long again as the closed form."""
    return 1.5 * float(outcomes(asked, space, tried[np.array([place])]).step_s[0])


def hastily(asked: Question, space: Space, tried: Candidates, place: int) -> float:
    """An event engine that is faster than the closed form, by a little less than a plan reckons with."""
    return 0.985 * float(outcomes(asked, space, tried[np.array([place])]).step_s[0])


def in_other_time(of: Search, factor: float) -> Outcomes:
    """Outcomes of the candidates where every step takes `factor` times its time in closed form."""
    steps = steps_in_closed_form(of.question, of.space, of.tried)
    return outcomes(of.question, of.space, of.tried, with_changes(steps, step_s=factor * steps.step_s))


def test_candidates_with_the_same_step_have_the_same_step_time() -> None:
    """Whatever their schedule and tokens; a few hundred are simulated for it, not each candidate."""
    of = found()
    fits = of.found.wall == 0
    alike = [of.tried.system, of.tried.num_csx, of.tried.batch_size, of.tried.microbatch, of.tried.density]
    rows = np.stack([*alike, of.found.step_s, of.is_simulated], axis=1)[fits]
    assert len(np.unique(rows, axis=0)) == len(np.unique(rows[:, : len(alike)], axis=0))
    assert of.is_simulated[fits].sum() > 1.5 * len(np.unique(rows[rows[:, -1] == 1], axis=0))


def test_everything_on_the_front_is_simulated() -> None:
    of = found()
    assert of.is_simulated[of.front].all()


@pytest.mark.parametrize("objective", ["loss", "cost"])
def test_limits_and_the_best_are_those_of_simulated_steps(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the closed form alone says that a candidate misses a limit, or is not the best."""
    monkeypatch.setattr("wse_sim.plan.search._simulated_s", hastily)
    limits = Constraints(deadline_s=0.99 * float(np.nanmin(found(Constraints()).found.wall_clock_s)) / 0.985)
    of = found(limits, objective=objective)
    truth = in_other_time(of, 0.985)
    kept = (truth.wall == 0) & (truth.wall_clock_s <= limits.deadline_s)
    assert 0 < kept.sum() < 20
    assert of.best is not None
    figure = {"loss": truth.loss, "cost": truth.cost_usd}[objective]
    assert figure[of.best] == figure[kept].min()


def test_figures_of_the_front_as_limits_are_kept_to_by_their_own_row() -> None:
    """To the last bit: the second plan prices its step as the first did."""
    of = found()
    for place in of.front[:: max(1, len(of.front) // 5)].tolist():
        own = Constraints(deadline_s=float(of.found.wall_clock_s[place]), max_cost_usd=float(of.found.cost_usd[place]))
        assert found(own, objective="loss").best == place


def test_what_turns_out_too_slow_gives_way_to_what_it_dominated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wse_sim.plan.search._simulated_s", slowly)
    limits = Constraints(deadline_s=2 * 86_400.0)
    of = found(limits)
    slow = in_other_time(of, 1.5)
    is_kept = (slow.wall == 0) & (slow.wall_clock_s <= limits.deadline_s)
    assert not is_kept[of.is_simulated].all()
    assert of.best is not None
    assert of.found.loss[of.best] == slow.loss[is_kept].min()


def test_when_what_is_simulated_misses_the_limits_the_nearest_miss_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline that the fastest keep to in closed form alone."""
    monkeypatch.setattr("wse_sim.plan.search._simulated_s", slowly)
    fastest_s = float(np.nanmin(outcomes(question(), SMALL, candidates(SMALL)).wall_clock_s))
    of = found(Constraints(deadline_s=1.2 * fastest_s))
    assert of.best is None
    assert not of.missed.is_kept.any()
    assert of.nearest_miss is not None
    assert verdict(msgspec.to_builtins(plan_of(of))).startswith("Nothing keeps to deadline ")


def test_a_tighter_limit_never_gives_a_better_best() -> None:
    best = [found(replace(LIMITS, max_cost_usd=usd)) for usd in (60_000.0, 30_000.0, 15_000.0)]
    losses = [float(of.found.loss[of.best]) for of in best if of.best is not None]
    assert len(losses) > 1
    assert losses == sorted(losses)


def test_the_nearest_miss_misses_least_and_says_what() -> None:
    impossible = Constraints(deadline_s=3600.0, max_cost_usd=100.0, target_loss=1.0)
    of = found(impossible)
    plan = plan_of(of)
    assert not plan.is_satisfied
    assert plan.best is None
    assert plan.front == []
    assert plan.nearest_miss is not None
    worst = max(plan.nearest_miss.missed.values())
    assert worst == pytest.approx(np.nanmin(of.missed.worst), rel=0.02)
    assert set(plan.nearest_miss.missed) == {"deadline_s", "max_cost_usd", "target_loss"}


@pytest.mark.parametrize("objective", ["cost", "time", "loss"])
def test_of_the_nearest_misses_that_miss_as_much_the_objective_decides(objective: str) -> None:
    """All candidates of one system miss a limit on power by as much."""
    of = found(Constraints(max_power_w=1.0), objective=objective)
    assert of.nearest_miss is not None
    nearest = of.missed.worst == np.nanmin(of.missed.worst)
    assert nearest.sum() > 10
    values = {"cost": of.found.cost_usd, "time": of.found.wall_clock_s, "loss": of.found.loss}[objective]
    assert of.is_simulated[of.nearest_miss]
    assert values[of.nearest_miss] == values[nearest].min()


def test_walls_are_those_that_the_simulator_hits() -> None:
    of = found(Constraints())
    seen = set()
    for place in np.flatnonzero(of.found.wall > 0)[::7].tolist():
        wall = WALLS[of.found.wall[place]]
        seen.add(wall)
        if wall == "critical batch size":
            tokens = of.tried.batch_size[place] * of.question.seq_len
            assert tokens > critical_batch_tokens(float(of.found.tokens[place]))
            continue
        run = run_at(of.question, of.space, of.tried, place)
        words = {"wafer memory": "on-wafer memory", "activation servers": "activation servers"}[wall]
        with pytest.raises(SpecError, match=words):
            plan_step(run, load_cluster(run.system, run.num_csx))
    assert "wafer memory" in seen


def test_a_run_that_fails_too_often_hits_a_wall_as_in_the_simulator() -> None:
    asked = with_changes(question(), operations=question().operations.with_values("a test", system_mtbf_s=1200.0))
    of = search(asked, SMALL, Constraints())
    is_endless = of.found.wall == WALLS.index("failures")
    assert is_endless.any()
    assert np.isnan(of.found.wall_clock_s[is_endless]).all()
    assert (of.found.goodput[of.missed.is_kept] > 0).all()
    for place in np.flatnonzero(is_endless)[::400].tolist():
        run = replace(run_at(asked, SMALL, of.tried, place), tokens=float(of.found.tokens[place]))
        with pytest.raises(SpecError, match="does not come to its end"):
            simulate(run, operations=asked.operations)


def test_a_model_too_large_for_memoryx_hits_that_wall() -> None:
    asked = question("13b")
    huge = with_changes(asked, shape=replace(asked.shape, n_layers=40 * 8000))
    space = Space(systems=("cs2",), num_csx=(1,), batch_sizes=(128,), microbatches=(1,), densities=(1.0,))
    assert {WALLS[wall] for wall in outcomes(huge, space, candidates(space)).wall.tolist()} == {"MemoryX capacity"}


def test_rejections_and_the_kept_add_up() -> None:
    of = found()
    plan = plan_of(of)
    assert sum(plan.rejected.values()) + plan.n_feasible == plan.n_candidates == len(of.tried)
    assert [name == "" for name in walls(of)] == of.missed.is_kept.tolist()


@pytest.mark.parametrize("limits", [Constraints(), Constraints(max_csx=4), replace(LIMITS, max_csx=4)])
def test_no_limit_is_said_to_be_missed_or_kept_behind_a_wall(limits: Constraints) -> None:
    of = found(limits)
    is_wall = of.found.wall > 0
    assert is_wall.any()
    assert of.missed.excess.keys() == limits.said.keys()
    for excess in (of.missed.worst, *of.missed.excess.values()):
        assert (np.isnan(excess) == is_wall).all()
    assert not of.missed.is_kept[is_wall].any()


def test_cost_and_energy_add_up() -> None:
    of = found()
    economics = of.question.economics
    for place in of.front[::9].tolist():
        csx = load_cluster(of.space.systems[of.tried.system[place]], 1).csx
        parts = bill(
            economics,
            time_s=float(of.found.run_s[place]),
            n_units=float(of.tried.num_csx[place]),
            power_w=csx.power_w,
            rental_usd_per_h=csx.usd_per_hour,
            purchase_usd=csx.purchase_usd,
        )
        assert of.found.cost_usd[place] == pytest.approx(sum(parts.parts_usd.values()), rel=1e-12)
        assert of.found.energy_j[place] == pytest.approx(of.found.power_w[place] * of.found.run_s[place], rel=1e-12)


def test_a_cost_that_leaves_much_of_the_wall_clock_out_says_so() -> None:
    def said(**operations: float) -> tuple[float, str]:
        asked = with_changes(question(), operations=question().operations.with_values("a test", **operations))
        of = search(asked, SMALL, Constraints())
        assert of.best is not None
        return float(of.found.goodput[of.best]), " ".join(plan_of(of).caveats)

    goodput, caveats = said()
    assert goodput > 0.9
    assert "wall clock" not in caveats
    goodput, caveats = said(system_mtbf_s=3600.0)
    assert goodput < 0.9
    assert f"of the steps, {100 * goodput:.1f} % of the wall clock" in caveats


def test_losses_are_the_published_law_at_the_best_batch_of_a_decay_to_a_tenth() -> None:
    asked = question()
    space = Space(systems=("cs2",), num_csx=(1,), batch_sizes=(128,), densities=(1.0, 0.25), schedules=("linear_10x",))
    tried = candidates(space)
    got = outcomes(asked, space, tried)
    for place in np.flatnonzero(got.wall == 0).tolist():
        tokens = float(got.tokens[place])
        assert optimal_batch_tokens(tokens) > 128 * 2048  # so that nothing is taken off
        law = project_loss(asked.shape, density=float(tried.density[place]), tokens=tokens)
        assert got.loss[place] == pytest.approx(law.value, rel=1e-12)


def test_loss_falls_with_tokens_and_rises_with_the_batch_beyond_the_best() -> None:
    asked = question()
    space = Space(systems=("cs3",), num_csx=(1,), batch_sizes=(256, 1024, 2048), densities=(0.5,), microbatches=(32,))
    tried = candidates(space)
    got = outcomes(asked, space, tried)
    for schedule in (0, 1):
        by_tokens = got.loss[(tried.schedule == schedule) & (tried.batch_size == 1024)]
        assert (np.diff(by_tokens) < 0).all()
        by_batch = got.loss[(tried.schedule == schedule) & (tried.tokens_per_parameter == 20.0)]
        assert (np.diff(by_batch) > 0).all()


def test_more_systems_never_take_longer() -> None:
    """The same batch, micro-batch and density on 1, 2, 4, 8 systems, failures left out."""
    asked = with_changes(question(), operations=_without_failures(question().operations))
    space = Space(systems=("cs3",), num_csx=(1, 2, 4, 8), batch_sizes=(512,), microbatches=(64,), densities=(0.25,))
    tried = candidates(space)
    got = outcomes(asked, space, tried)
    same = (tried.schedule == 0) & (tried.tokens_per_parameter == 20.0)
    assert (np.diff(got.wall_clock_s[same]) < 0).all()


def test_the_tornado_is_sorted_and_spans_the_best() -> None:
    of = found(replace(LIMITS, target_loss=2.2))
    assert of.best is not None
    bars = tornado(of, of.best)
    at = float(of.found.wall_clock_s[of.best])
    spans_s = [abs(bar.wall_clock_s_at_high - bar.wall_clock_s_at_low) for bar in bars]
    assert spans_s == sorted(spans_s, reverse=True)
    names = [bar.constant for bar in bars]
    assert {"csx.clock_hz", "csx.linear_efficiency", "operations.system_mtbf_s"} <= set(names)
    assert any("tokens to the target" in name for name in names)
    clock = bars[names.index("csx.clock_hz")]
    assert clock.wall_clock_s_at_high < at < clock.wall_clock_s_at_low


def test_the_tornado_simulates_what_the_closed_form_does_not_know() -> None:
    """Buffers of a quarter of a layer, the low end of their range, of a large model in small micro-batches."""
    space = Space(
        systems=("cs3",), num_csx=(1,), batch_sizes=(128,), microbatches=(16,), densities=(1.0,), schedules=("linear",)
    )
    of = found(Constraints(), space)
    assert of.best is not None
    bars = {bar.constant: bar for bar in tornado(of, of.best)}
    bar, at_s = bars["swarmx.buffer_layers"], float(of.found.wall_clock_s[of.best])
    run = run_at(of.question, space, of.tried, of.best)
    slower = step_time_s(run, load_cluster("cs3", 1, {"swarmx.buffer_layers": bar.low})) / of.found.step_s[of.best]
    assert bar.low == 0.25
    assert bar.wall_clock_s_at_low / at_s == pytest.approx(slower, rel=1e-3)  # but for start and checkpoints
    assert slower > 1.05


def test_constants_are_assumed_where_they_are_used_and_not_known_better(tmp_path: Path) -> None:
    """Nobody straggles unless that is asked for, and the price is that of the user's file."""
    file, asked = tmp_path / "mine.toml", question()
    file.write_text(THIRSTY_CS3, encoding="utf-8")
    slow = asked.operations.with_values("a test", stragglers_per_system_day=1.0)
    limits = Constraints(max_csx=1)
    plain = set(plan_of(search(asked, SMALL, limits)).assumed)
    changed = with_changes(asked, operations=slow, economics=load_economics(str(file)))
    others = set(plan_of(search(changed, SMALL, limits)).assumed)
    assert "power_lines.critical_batch.factor" in plain & others
    assert not any(name.startswith("power_lines.timescale") for name in plain | others)
    assert others - plain == {
        "csx.power_w",
        "csx.usd_per_hour",
        "operations.straggler_duration_s",
        "operations.straggler_slowdown",
    }


def test_a_plan_is_the_same_twice_and_can_be_read_back() -> None:
    first, second = (msgspec.json.encode(plan_of(found())) for _ in range(2))
    assert first == second
    assert msgspec.json.decode(first, type=Plan) == plan_of(found())


def test_candidates_are_every_combination_whose_batch_is_shared_evenly() -> None:
    space = Space(systems=("cs3",), num_csx=(1, 3), batch_sizes=(6, 8), densities=(1.0,), tokens_per_parameter=(20.0,))
    tried = candidates(space)
    rows = set(zip(tried.num_csx.tolist(), tried.batch_size.tolist(), tried.microbatch.tolist(), strict=True))
    assert rows == {(1, 6, m) for m in (1, 2, 3, 6)} | {(1, 8, m) for m in (1, 2, 4, 8)} | {(3, 6, m) for m in (1, 2)}
    assert len(tried) == 2 * len(rows)  # schedules
    assert (tried.n_microbatches * tried.microbatch * tried.num_csx == tried.batch_size).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"systems": ("cs9",)}, "unknown system 'cs9'"),
        ({"schedules": ("wsd",)}, "unknown schedule whose loss a law knows 'wsd'"),
        ({"densities": (0.0,)}, "above 0 and at most 1"),
        ({"batch_sizes": (0,)}, "batch_sizes has 0"),
    ],
)
def test_a_wrong_axis_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Space(**given)


def test_a_system_that_the_closed_form_does_not_know_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    own = '\n[swarmx.hop_latency_s]\nvalue = 0.05\nkind = "assumed"\nsource = "mine"\n'
    file.write_text(data_path("hardware/cs3.toml").read_text(encoding="utf-8") + own, encoding="utf-8")
    with pytest.raises(SpecError, match=r"mine\.toml: a plan prices .* hops .* of at most 1e-05 s: wse-sim sweep"):
        Space(systems=("cs3", str(file)))


def test_no_candidate_at_all_is_said_with_the_axes() -> None:
    with pytest.raises(SpecError, match="no batch size of 100 is a multiple of a number of systems of 3"):
        candidates(Space(num_csx=(3,), batch_sizes=(100,)))


def test_a_limit_that_is_no_positive_number_is_refused() -> None:
    with pytest.raises(SpecError, match=r"--max-cost \(max_cost_usd\) is -1: it must be"):
        Constraints(max_cost_usd=-1.0)


def _without_failures(operations: Operations) -> Operations:
    return with_changes(operations, system_mtbf_s=float("inf"), cluster_mtbf_s=float("inf"))


def test_indexing_keeps_columns_together() -> None:
    tried = candidates(SMALL)
    kept = tried[np.array([3, 1])]
    assert isinstance(kept, Candidates)
    assert kept.microbatch.tolist() == tried.microbatch[[3, 1]].tolist()
    assert kept.density.tolist() == tried.density[[3, 1]].tolist()
