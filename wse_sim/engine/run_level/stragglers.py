"""What systems that are slow for a while cost a run: delays of its steps."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from wse_sim.spec.operations import Operations
from wse_sim.units import S_PER_DAY

Numbers: TypeAlias = Any  # a float, or an array of them over runs

# In place of a rate of 0 per second, by which nothing can be divided. A power of two: it changes no time by a bit.
RAREST = 2.0**-664


@dataclass(frozen=True, slots=True, kw_only=True)
class StragglerDelays:
    """Delays that strike the steps of a run like failures, at random, each exponentially long; a restart ends one.

    Parameters
    ----------
    per_work_s :
        Delays per second of steps, in the time that these take when no system is slow.
    mean_s :
        Of one delay.
    """

    per_work_s: Numbers
    mean_s: Numbers

    def stretch(self, failures_per_s: Numbers) -> Numbers:
        """Length of a second of steps towards what a failure in it costs: for m delays of mean x, 1 + m x / (1 + l x).

        The chance to come through w seconds of steps is exp(-l w stretch), since exp(-l x) is 1 / (1 + l x) on average.
        """
        return 1 + self.per_work_s * self.mean_s / (1 + failures_per_s * self.mean_s)

    def kept_s(self, failures_per_s: Numbers) -> Numbers:
        """Expected delay in a second of steps that no failure undid: long delays are undone more often than short."""
        return self.per_work_s * self.mean_s / (1 + failures_per_s * self.mean_s) ** 2


def straggler_delays(operations: Operations, n_systems: Numbers) -> StragglerDelays:
    """The delays of a run on `n_systems` systems of which each may be slow now and then.

    Episodes start at all systems at a rate L, and last D on average. All systems wait for a slow one, so that steps
    take `straggler_slowdown` times as long while at least one is slow: the number of slow systems is that of customers
    in a queue with infinitely many servers, and it is 0 in a share exp(-L D) of the time, however the episodes'
    lengths are distributed. What is lost of all time, over the number of episodes, is the mean delay. It is charged at
    once, where the episode starts.

    The mean of a run without failures is exact. With failures it is exact for delays that are forgotten at a restart,
    and come again at the same rate: between a cluster whose restarts end all episodes and one where they last.

    Source: Takács, Introduction to the Theory of Queues, 1962 (M/G/infinity).
    """
    per_s = n_systems * (operations.stragglers_per_system_day / S_PER_DAY)
    is_slow = -np.expm1(-per_s * operations.straggler_duration_s)
    lost = is_slow * (1 - 1 / operations.straggler_slowdown)  # of all time
    return StragglerDelays(per_work_s=per_s / (1 - lost), mean_s=lost / np.maximum(per_s, RAREST))
