"""What candidates do: the walls, energy and cost, and the laws of loss."""

from dataclasses import replace as with_changes

import numpy as np
import pytest
from msgspec.structs import replace

from tests.planning.questions import LIMITS, SMALL, found, question
from wse_sim.errors import SpecError
from wse_sim.laws.cerebras_gpt import project_loss
from wse_sim.laws.power_lines import critical_batch_tokens, optimal_batch_tokens
from wse_sim.planning.constraints import Constraints
from wse_sim.planning.outcomes import (
    WALLS,
    outcomes,
    run_at,
)
from wse_sim.planning.search import search
from wse_sim.planning.space import Space, candidates
from wse_sim.schedule.weight_streaming import plan_step
from wse_sim.simulation import simulate
from wse_sim.spec.bill import bill
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.operations import Operations


def test_walls_are_those_that_the_simulator_hits() -> None:
    batches = Space(
        num_csx=SMALL.num_csx, batch_sizes=(256, 1024, 8192), tokens_per_parameter=SMALL.tokens_per_parameter
    )
    of = found(Constraints(), batches)
    seen = set()
    for place in np.flatnonzero(of.found.wall > 0)[::7].tolist():
        wall = WALLS[of.found.wall[place]]
        seen.add(wall)
        if wall == "critical batch size":
            tokens = of.tried.batch_size[place] * of.question.seq_len
            assert tokens > critical_batch_tokens(float(of.found.tokens[place]))
            continue
        run = run_at(of.question, of.space, of.tried, place)
        with pytest.raises(SpecError, match="on-wafer memory"):
            plan_step(run, load_cluster(run.system, run.num_csx))
    assert seen == {"wafer memory", "critical batch size"}


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
    huge = with_changes(asked, shape=replace(asked.shape, n_layers=10_000, d_ff=1_000_000))
    space = Space(systems=("cs2",), num_csx=(1,), batch_sizes=(128,), microbatches=(1,), densities=(1.0,))
    assert {WALLS[wall] for wall in outcomes(huge, space, candidates(space)).wall.tolist()} == {"MemoryX capacity"}


@pytest.mark.parametrize("limits", [Constraints(), Constraints(max_csx=4), replace(LIMITS, max_csx=4)])
def test_no_limit_is_said_to_be_missed_or_kept_behind_a_wall(limits: Constraints) -> None:
    of = found(limits)
    is_wall = of.found.wall > 0
    assert is_wall.any()
    assert of.missed.excess.keys() == limits.said.keys()
    for excess in (of.missed.worst, *of.missed.excess.values()):
        assert (np.isnan(excess) == is_wall).all()
    assert not of.missed.is_kept[is_wall].any()


def test_cost_and_energy_are_of_the_time_for_which_systems_are_booked() -> None:
    of = found()
    economics = of.question.economics
    for place in of.front[::9].tolist():
        csx = load_cluster(of.space.systems[of.tried.system[place]], 1).csx
        parts = bill(
            economics,
            time_s=float(of.found.wall_clock_s[place]),
            n_units=float(of.tried.num_csx[place]),
            power_w=csx.power_w,
            rental_usd_per_h=csx.usd_per_hour,
            purchase_usd=csx.purchase_usd,
        )
        assert of.found.cost_usd[place] == pytest.approx(sum(parts.parts_usd.values()), rel=1e-12)
        assert of.found.energy_j[place] == pytest.approx(of.found.power_w[place] * of.found.wall_clock_s[place])


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


def _without_failures(operations: Operations) -> Operations:
    return with_changes(operations, system_mtbf_s=float("inf"), cluster_mtbf_s=float("inf"))
