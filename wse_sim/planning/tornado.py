"""Which assumption moves the days of the best configuration most."""

import dataclasses
from math import isinf

import numpy as np

from wse_sim.engine.run_level import expected_runs
from wse_sim.laws.cerebras_gpt import N_SIGMAS
from wse_sim.laws.published import published_laws
from wse_sim.planning.outcomes import losses, run_at
from wse_sim.planning.result import DaysSensitivity
from wse_sim.planning.search import Search
from wse_sim.report.sensitivity import Ends, at_ends
from wse_sim.schedule.estimate import estimate_steps, knows, microbatch_costs
from wse_sim.simulation import step_time_s
from wse_sim.spec.cluster import Cluster, load_cluster
from wse_sim.spec.load import load_release
from wse_sim.spec.operations import Operations
from wse_sim.workload.transformer import nonzero_parameters

_FEWEST_TOKENS, _MOST_TOKENS = 0.05, 20.0  # of the run's, among which those for a target loss are looked for


def tornado(search: Search, place: int) -> list[DaysSensitivity]:
    """The wall clock of candidate `place` with each constant at the ends of its range, the one that matters most first.

    In closed form, scaled to the simulated step; simulated where the closed form does not know the cluster. The
    micro-batch stays. With a target loss, also what the spread of the law does to the tokens that reach it.
    """
    cluster = load_cluster(search.space.systems[search.tried.system[place]], 1)
    operations, release = search.question.operations, load_release(search.question.release)
    of_candidate = _Candidate(search, place)
    at_s = of_candidate.wall_clock_s(cluster)
    found = [
        *at_ends(cluster.constants, at_s, lambda name, at: of_candidate.wall_clock_s(cluster.with_constant(name, at))),
        *at_ends(
            {f"operations.{name}": constant for name, constant in operations.constants.items()},
            at_s,
            lambda name, at: of_candidate.wall_clock_s(
                cluster, operations.with_values(name, **{name.removeprefix("operations."): at})
            ),
        ),
        *at_ends(
            {f"release.{search.question.release}": release},
            at_s,
            lambda _, at: of_candidate.wall_clock_s(cluster, faster=at / release.value),
        ),
    ]
    if search.constraints.target_loss is not None:
        found.append(of_candidate.of_the_law(cluster, search.constraints.target_loss))
    moved = sorted((ends for ends in found if ends.span > 0), key=lambda ends: -ends.span)
    return [_of_days(ends) for ends in moved]


def _of_days(ends: Ends) -> DaysSensitivity:
    return DaysSensitivity(
        constant=ends.constant,
        low=ends.low,
        high=ends.high,
        wall_clock_s_at_low=None if isinf(ends.at_low) else ends.at_low,
        wall_clock_s_at_high=None if isinf(ends.at_high) else ends.at_high,
    )


class _Candidate:
    """One candidate, of which the wall clock is asked again and again."""

    def __init__(self, search: Search, place: int) -> None:
        self.search, self.place = search, place
        tried = search.tried
        self.run = run_at(search.question, search.space, tried, place)
        self.microbatch = tried.microbatch[place : place + 1]
        self.n_microbatches = tried.n_microbatches[place : place + 1]
        self.n_steps = float(search.found.n_steps[place])
        self.simulated = float(search.found.step_s[place] / search.closed_form_s[place])

    def wall_clock_s(
        self, cluster: Cluster, operations: Operations | None = None, *, tokens: float = 1.0, faster: float = 1.0
    ) -> float:
        """With other constants, `tokens` times the tokens, and computation `faster`; inf where it has no end."""
        csx = dataclasses.replace(
            cluster.csx,
            linear_efficiency=cluster.csx.linear_efficiency * faster,
            attention_efficiency=cluster.csx.attention_efficiency * faster,
        )
        changed = dataclasses.replace(cluster, csx=csx)
        expected = expected_runs(
            operations or self.search.question.operations,
            step_s=self._step_s(changed),
            n_steps=max(1.0, round(self.n_steps * tokens)),
            n_parameters=nonzero_parameters(self.run.shape, self.run.density),
            n_systems=self.run.num_csx,
        )
        return float(expected.wall_clock_s)

    def _step_s(self, cluster: Cluster) -> float:
        if not knows(cluster):
            return step_time_s(self.run, cluster)
        costs = microbatch_costs(self.run, cluster.csx, self.microbatch)
        return float(estimate_steps(costs, cluster, self.n_microbatches).step_s[0] * self.simulated)

    def of_the_law(self, cluster: Cluster, target_loss: float) -> Ends:
        """What two standard deviations of the law's residuals do to the tokens that reach the target."""
        spread = N_SIGMAS * published_laws().cerebras_gpt_residual.relative_std
        ends = [self.wall_clock_s(cluster, tokens=self._tokens_for(target_loss / (1 + s))) for s in (-spread, spread)]
        return Ends("loss over the law's, tokens to the target", 1 - spread, 1 + spread, *ends)

    def _tokens_for(self, loss: float) -> float:
        """Times the candidate's tokens at which it is projected to reach `loss`."""
        factors = np.geomspace(_FEWEST_TOKENS, _MOST_TOKENS, 2000)
        tried = self.search.tried[np.full(len(factors), self.place)]
        changed = dataclasses.replace(tried, tokens_per_parameter=tried.tokens_per_parameter * factors)
        tokens = self.search.found.tokens[self.place] * factors
        reached = losses(self.search.question, self.search.space, changed, tokens) <= loss
        return float(factors[np.argmax(reached)]) if reached.any() else _MOST_TOKENS
