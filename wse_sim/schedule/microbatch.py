"""Steps of shares of a batch, each in the fastest micro-batch that fits."""

from collections.abc import Sequence

import numpy as np

from wse_sim.schedule.estimate import Estimate, estimate_steps, microbatch_costs
from wse_sim.schedule.placement import largest_microbatch
from wse_sim.schedule.program import IntArray
from wse_sim.spec.cluster import Cluster
from wse_sim.spec.divisors import divisors
from wse_sim.spec.run import Run

_MOST_TRIED = 12  # the smallest are never the fastest, and a share may have many divisors
_ROUNDING_NOISE = 1e-9


def fastest_microbatch(run: Run, cluster: Cluster) -> int:
    """The micro-batch in which the closed form of the step of `run` is fastest, with masks drawn; 0 where none fits."""
    fitting = fitting_microbatches(run, cluster, run.batch_per_csx)
    return int(fastest_steps(run, cluster, [run.batch_per_csx], [fitting])[0][0]) if fitting else 0


def fitting_microbatches(run: Run, cluster: Cluster, share: int) -> tuple[int, ...]:
    """Micro-batches of `share` sequences on one system that fit there, smallest first: the largest few."""
    return divisors(share, largest_microbatch(run.shape, cluster.csx, seq_len=run.seq_len))[-_MOST_TRIED:]


def fastest_steps(
    run: Run, cluster: Cluster, shares: Sequence[int], tried: Sequence[Sequence[int]]
) -> tuple[IntArray, Estimate]:
    """For each of `shares`, the sequences of a system, the micro-batch of least step time and that step; both (n,).

    Of equally fast ones the largest, which streams the weights least often.

    Parameters
    ----------
    run :
        Its masks are drawn; its batch, its micro-batch and its number of systems play no part.
    tried :
        For each share its micro-batches, at least one, all of which fit.
    """
    sizes = np.unique(np.concatenate([np.asarray(of_share, np.int64) for of_share in tried]))
    n_tried = np.array([len(of_share) for of_share in tried])
    microbatch = np.array([size for of_share in tried for size in of_share], np.int64)
    costs = microbatch_costs(run, cluster.csx, sizes)[np.searchsorted(sizes, microbatch)]
    steps = estimate_steps(costs, cluster, np.repeat(np.asarray(shares, np.int64), n_tried) // microbatch)
    first = np.cumsum(n_tried) - n_tried
    least_s = np.minimum.reduceat(steps.step_s, first)
    is_fastest = steps.step_s <= np.repeat(least_s, n_tried) * (1.0 + _ROUNDING_NOISE)
    chosen = np.maximum.reduceat(np.where(is_fastest, np.arange(len(microbatch)), 0), first)
    return microbatch[chosen], steps[chosen]
