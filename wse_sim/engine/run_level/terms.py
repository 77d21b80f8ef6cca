"""The times and the rates of which plans, intervals and candidates are made."""

from dataclasses import dataclass

import numpy as np

from wse_sim.engine.run_level.stragglers import RAREST, Numbers, StragglerDelays, straggler_delays
from wse_sim.spec.operations import Operations

MOST_FAILURES = 1e5  # a run that expects more does not come to its end in any useful time


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a run costs beside its steps; each a number, or an array over runs.

    Parameters
    ----------
    compile_s :
        On hosts, before anything that a failure could stop.
    bring_up_s :
        From there to the first step.
    restart_s :
        From a failure to the next step.
    first_checkpoint_s, checkpoint_s :
        Of step 0, and of any later step.
    failures_per_s :
        Of the whole cluster, at all times after the compilation.
    stragglers :
        Delays of the steps.
    """

    compile_s: float
    bring_up_s: Numbers
    restart_s: Numbers
    first_checkpoint_s: float
    checkpoint_s: Numbers
    failures_per_s: Numbers
    stragglers: StragglerDelays

    def segment_s(self, work_s: Numbers) -> Numbers:
        """Expected time of all attempts at steps that take `work_s` and the checkpoint that saves them."""
        stretch = self.stragglers.stretch(self.failures_per_s)
        return attempts_s(self.failures_per_s, work_s * stretch + self.checkpoint_s)

    def run_s(self, segments_s: Numbers) -> Numbers:
        """Expected time of a run that spends `segments_s` in all attempts at its segments, but for that of step 0."""
        rate = self.failures_per_s
        outside_s = first_attempt_s(rate, self.bring_up_s) + attempts_s(rate, self.first_checkpoint_s) + segments_s
        return self.compile_s + outside_s * np.exp(rate * self.restart_s)


def terms(operations: Operations, *, n_parameters: Numbers, n_systems: Numbers) -> Terms:
    """The terms of a run of `n_parameters` parameters on `n_systems` systems."""
    bring_up_s = operations.bring_up_s(n_parameters)
    return Terms(
        compile_s=operations.compile_s,
        bring_up_s=bring_up_s,
        restart_s=operations.detection_s + bring_up_s,
        first_checkpoint_s=operations.first_checkpoint_s,
        checkpoint_s=operations.checkpoint_s(n_parameters, n_systems),
        failures_per_s=operations.failures_per_s(n_systems),
        stragglers=straggler_delays(operations, n_systems),
    )


def attempts_s(rate: Numbers, length_s: Numbers) -> Numbers:
    """(exp(l t) - 1) / l: time in all attempts at a stretch of length t that must go through unbroken."""
    rate = np.maximum(rate, RAREST)
    return np.expm1(rate * length_s) / rate


def first_attempt_s(rate: Numbers, length_s: Numbers) -> Numbers:
    """(1 - exp(-l t)) / l: time in one attempt at it."""
    rate = np.maximum(rate, RAREST)
    return -np.expm1(-rate * length_s) / rate
