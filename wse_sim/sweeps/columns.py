"""Configurations of one model on one kind of system in closed form: arrays of sizes in, arrays of figures out."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from wse_sim.report.step_figures import Figures, figures_of_sizes
from wse_sim.schedule.microbatch import fastest_steps, fitting_microbatches
from wse_sim.schedule.placement import largest_microbatch
from wse_sim.spec.cluster import Cluster
from wse_sim.spec.economics import Economics
from wse_sim.spec.run import Run
from wse_sim.workload.transformer import nonzero_parameters

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

FASTEST = 0  # in place of a micro-batch: the fastest that fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What configurations differ in; every field (n,), as in `Run`. A micro-batch may be `FASTEST`."""

    num_csx: IntArray
    batch_size: IntArray
    microbatch: IntArray
    tokens: FloatArray

    def __len__(self) -> int:
        return len(self.num_csx)

    def __getitem__(self, kept: BoolArray) -> "Sizes":
        return Sizes(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What configurations come to; every field (n,).

    Parameters
    ----------
    microbatch :
        As given, or the fastest that fits.
    bound, contention :
        As in `schedule.estimate.Estimate`.
    """

    microbatch: IntArray
    bound: IntArray
    contention: FloatArray
    figures: Figures[FloatArray]


def fitting(run: Run, cluster: Cluster, sizes: Sizes) -> BoolArray:
    """(n,): whether a configuration hits no wall, so that the simulator takes it.

    Parameters
    ----------
    run :
        What the configurations have in common; its own sizes play no part.
    cluster :
        Of any number of systems.
    """
    needed = cluster.memoryx.state_bytes_per_weight * nonzero_parameters(run.shape, run.density)
    largest = largest_microbatch(run.shape, cluster.csx, seq_len=run.seq_len)
    if needed > cluster.memoryx.capacity_bytes or not largest:
        return np.zeros(len(sizes), np.bool_)
    is_cluster = (sizes.num_csx >= 1) & (sizes.num_csx <= cluster.csx.max_systems)
    share, left = np.divmod(sizes.batch_size, np.maximum(1, sizes.num_csx))
    is_shared = (share >= 1) & (left == 0)
    is_cut = (sizes.microbatch >= 0) & (share % np.maximum(1, sizes.microbatch) == 0)
    is_run = (sizes.tokens >= sizes.batch_size * run.seq_len) & np.isfinite(sizes.tokens)
    return np.asarray(is_cluster & is_shared & is_cut & (sizes.microbatch <= largest) & is_run)


def price(run: Run, cluster: Cluster, sizes: Sizes, economics: Economics) -> Priced:
    """What the configurations come to, all of which must fit (`fitting`).

    Parameters
    ----------
    run, cluster :
        As for `fitting`. Masks are static; jitter and stragglers play no part.
    """
    share = sizes.batch_size // sizes.num_csx
    # The number of systems plays no part in a step: those with the same share and micro-batch are the same.
    radix = int(sizes.microbatch.max()) + 1
    kinds, kind = np.unique(share * radix + sizes.microbatch, return_inverse=True)
    shares, given = (column.tolist() for column in np.divmod(kinds, radix))
    tried = [(size,) if size else fitting_microbatches(run, cluster, n) for n, size in zip(shares, given, strict=True)]
    microbatch, steps = fastest_steps(run, cluster, shares, tried)
    return Priced(
        microbatch=microbatch[kind],
        bound=steps.bound[kind],
        contention=steps.contention[kind],
        figures=figures_of_sizes(
            run,
            cluster.csx,
            steps.step_s[kind],
            economics,
            num_csx=sizes.num_csx.astype(np.float64),
            batch_size=sizes.batch_size.astype(np.float64),
            tokens=sizes.tokens,
        ),
    )
