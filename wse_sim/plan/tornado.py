"""Which assumption moves the days of the best configuration most."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from wse_sim.engine.run_level import expected_runs
from wse_sim.laws.cerebras_gpt import N_SIGMAS
from wse_sim.laws.published import published_laws
from wse_sim.plan.outcomes import losses, planned_run
from wse_sim.plan.result import DaysSensitivity
from wse_sim.plan.search import Search
from wse_sim.schedule.estimate import estimate_steps, microbatch_costs
from wse_sim.spec.cluster import Cluster, load_cluster
from wse_sim.spec.load import load_release
from wse_sim.spec.operations import Operations
from wse_sim.spec.sourced import Sourced
from wse_sim.workload.transformer import nonzero_parameters

_FEWEST_TOKENS, _MOST_TOKENS = 0.05, 20.0  # of the run's, among which those for a target loss are looked for


def tornado(search: Search, place: int) -> list[DaysSensitivity]:
    """The wall clock of candidate `place` with each constant at the ends of its range, the one that matters most first.

    In closed form, scaled to the simulated step. The micro-batch stays. With a target loss, also what the spread of the
    law does to the tokens that reach it.
    """
    cluster = load_cluster(search.space.systems[search.tried.system[place]], 1)
    operations = search.question.operations
    of_candidate = _Candidate(search, place)
    found = _at_ends(cluster.constants, lambda name, at: of_candidate.wall_clock_s(cluster.with_constant(name, at)))
    found += _at_ends(
        {f"operations.{name}": constant for name, constant in operations.constants.items()},
        lambda name, at: of_candidate.wall_clock_s(cluster, _with(operations, name.removeprefix("operations."), at)),
    )
    release = load_release(search.question.release)
    found += _at_ends(
        {f"release.{search.question.release}": release},
        lambda _, at: of_candidate.wall_clock_s(cluster, faster=at / release.value),
    )
    if search.constraints.target_loss is not None:
        found += [of_candidate.of_the_law(cluster, search.constraints.target_loss)]
    moved = [sensitivity for sensitivity in found if sensitivity.span_s > 0]
    return sorted(moved, key=lambda sensitivity: -sensitivity.span_s)


class _Candidate:
    """One candidate, of which the wall clock is asked again and again."""

    def __init__(self, search: Search, place: int) -> None:
        self.search, self.place = search, place
        tried = search.tried
        self.run = planned_run(search.question, search.space.systems[tried.system[place]], float(tried.density[place]))
        self.microbatch = tried.microbatch[place : place + 1]
        self.n_microbatches = tried.n_microbatches[place : place + 1]
        self.num_csx = int(tried.num_csx[place])
        self.n_steps = float(search.found.n_steps[place])
        self.simulated = float(search.found.step_s[place] / search.closed_form_s[place])

    def wall_clock_s(
        self, cluster: Cluster, operations: Operations | None = None, *, tokens: float = 1.0, faster: float = 1.0
    ) -> float:
        """With other constants, `tokens` times the tokens, and computation `faster`."""
        csx = dataclasses.replace(
            cluster.csx,
            linear_efficiency=cluster.csx.linear_efficiency * faster,
            attention_efficiency=cluster.csx.attention_efficiency * faster,
        )
        changed = dataclasses.replace(cluster, csx=csx)
        costs = microbatch_costs(self.run, csx, self.microbatch)
        step_s = estimate_steps(costs, changed, self.n_microbatches).step_s * self.simulated
        expected = expected_runs(
            operations or self.search.question.operations,
            step_s=step_s,
            n_steps=max(1.0, round(self.n_steps * tokens)),
            n_parameters=nonzero_parameters(self.run.shape, self.run.density),
            n_systems=self.num_csx,
        )
        return float(expected.wall_clock_s[0])

    def of_the_law(self, cluster: Cluster, target_loss: float) -> DaysSensitivity:
        """What two standard deviations of the law's residuals do to the tokens that reach the target."""
        spread = N_SIGMAS * published_laws().cerebras_gpt_residual.relative_std
        ends = [self.wall_clock_s(cluster, tokens=self._tokens_for(target_loss / (1 + s))) for s in (-spread, spread)]
        return DaysSensitivity(
            constant="loss over the law's, tokens to the target",
            low=1 - spread,
            high=1 + spread,
            wall_clock_s_at_low=ends[0],
            wall_clock_s_at_high=ends[1],
        )

    def _tokens_for(self, loss: float) -> float:
        """Times the candidate's tokens at which it is projected to reach `loss`."""
        factors = np.geomspace(_FEWEST_TOKENS, _MOST_TOKENS, 2000)
        tried = self.search.tried[np.full(len(factors), self.place)]
        changed = dataclasses.replace(tried, tokens_per_parameter=tried.tokens_per_parameter * factors)
        tokens = self.search.found.tokens[self.place] * factors
        reached = losses(self.search.question, self.search.space, changed, tokens) <= loss
        return float(factors[np.argmax(reached)]) if reached.any() else _MOST_TOKENS


def _with(operations: Operations, name: str, value: float) -> Operations:
    changed: dict[str, Any] = {name: value}
    return dataclasses.replace(operations, **changed)


def _at_ends(constants: Mapping[str, Sourced], wall_clock_s: Callable[[str, float], float]) -> list[DaysSensitivity]:
    found = []
    for name, constant in constants.items():
        low, high = constant.ends
        if low == high:
            continue
        found.append(
            DaysSensitivity(
                constant=name,
                low=low,
                high=high,
                wall_clock_s_at_low=wall_clock_s(name, low),
                wall_clock_s_at_high=wall_clock_s(name, high),
            )
        )
    return found
