"""Searches: what the event engine says of the finalists, the best, the front and the nearest miss."""

from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import fields, replace

from tests.planning.questions import LIMITS, SMALL, THIRSTY_CS3, found, question
from wse_sim.errors import SpecError
from wse_sim.planning.constraints import Constraints
from wse_sim.planning.outcomes import (
    Outcomes,
    Question,
    outcomes,
    planned_run,
    steps_in_closed_form,
)
from wse_sim.planning.planner import plan_of
from wse_sim.planning.search import Search, search
from wse_sim.planning.space import Candidates, Space, candidates
from wse_sim.report.plan_tables import verdict
from wse_sim.simulation import simulate
from wse_sim.spec.economics import load_economics


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
    assert all(row.engine == "event" for row in plan.front)
    assert plan.best in plan.front
    for row in [plan.best, *plan.front[::10]]:
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
        booked = row.wall_clock_s / row.run_time_s  # a simulation shows what the steps take
        assert result.energy_j * booked == pytest.approx(row.energy_j, rel=1e-12)
        assert result.cost_usd * booked == pytest.approx(row.cost_usd, rel=1e-12)
        assert result.carbon_kg * booked == pytest.approx(row.carbon_kg, rel=1e-12)
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
    monkeypatch.setattr("wse_sim.planning.search._simulated_s", hastily)
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
    monkeypatch.setattr("wse_sim.planning.search._simulated_s", slowly)
    limits = Constraints(deadline_s=2 * 86_400.0)
    of = found(limits)
    slow = in_other_time(of, 1.5)
    is_kept = (slow.wall == 0) & (slow.wall_clock_s <= limits.deadline_s)
    assert not is_kept[of.is_simulated].all()
    assert of.best is not None
    assert of.found.loss[of.best] == slow.loss[is_kept].min()


def test_when_what_is_simulated_misses_the_limits_the_nearest_miss_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline that the fastest keep to in closed form alone."""
    monkeypatch.setattr("wse_sim.planning.search._simulated_s", slowly)
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


@pytest.mark.parametrize("name", [field.name for field in fields(Constraints)])
def test_a_limit_that_is_no_positive_number_is_refused_by_the_name_of_its_option(name: str) -> None:
    with pytest.raises(SpecError, match=rf"--[a-z-]+ \({name}\) is -1: it must be a positive number"):
        Constraints(**{name: -1})
