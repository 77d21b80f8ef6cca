"""What a plan chooses among: every combination of systems, batches, micro-batches, densities, schedules and lengths.

Candidates are columns: one numpy array per field, one entry per candidate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from wse_sim.errors import SpecError, choose
from wse_sim.schedule.estimate import LEAST_BUFFER_LAYERS, LONGEST_HOP_S, knows
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.divisors import divisors
from wse_sim.spec.ranges import check_number

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

Schedule = Literal["linear", "linear_10x"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)  # to zero, and to a tenth of the peak
DENSITIES = (1.0, 0.5, 0.25, 0.125)
TOKENS_PER_PARAMETER = (10.0, 20.0, 40.0, 80.0)
NUM_CSX = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
BATCH_SIZES = (128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
_NUMBERS = {  # what the values of an axis are, by axis
    "num_csx": "num_csx",
    "batch_sizes": "batch_size",
    "microbatches": "microbatch",
    "densities": "density",
    "tokens_per_parameter": "tokens_per_parameter",
}
MOST_MICROBATCHES = 8  # sizes tried for one share of a batch: the largest that divide it


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The values of each axis.

    Parameters
    ----------
    microbatches :
        None = the largest divisors of each system's share of the batch.
    """

    systems: tuple[str, ...] = ("cs2", "cs3")
    num_csx: tuple[int, ...] = NUM_CSX
    batch_sizes: tuple[int, ...] = BATCH_SIZES
    microbatches: tuple[int, ...] | None = None
    densities: tuple[float, ...] = DENSITIES
    schedules: tuple[Schedule, ...] = SCHEDULES
    tokens_per_parameter: tuple[float, ...] = TOKENS_PER_PARAMETER

    def __post_init__(self) -> None:
        for system in self.systems:
            if not knows(load_cluster(system, 1)):
                raise SpecError(
                    f"{system}: a plan prices its candidates in closed form, which knows buffers "
                    f"(swarmx.buffer_layers, csx.weight_buffer_layers) of at least {LEAST_BUFFER_LAYERS:g} layer and "
                    f"hops (swarmx.hop_latency_s) of at most {LONGEST_HOP_S:g} s: wse-sim sweep simulates each point"
                )
        for schedule in self.schedules:
            choose(schedule, SCHEDULES, "schedule whose loss a law knows")
        for field, number in _NUMBERS.items():
            for value in getattr(self, field) or ():
                check_number(number, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Configurations; every field (n,), `system` and `schedule` as places in the space's tuples.

    Parameters
    ----------
    step :
        Number of the step: the same where candidates differ in schedule or tokens alone, which play no part in it.
    """

    step: IntArray
    system: IntArray
    num_csx: IntArray
    batch_size: IntArray
    microbatch: IntArray
    density: FloatArray
    schedule: IntArray
    tokens_per_parameter: FloatArray

    def __len__(self) -> int:
        return len(self.system)

    def __getitem__(self, kept: npt.NDArray[np.bool_] | IntArray) -> "Candidates":
        return Candidates(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})

    @property
    def n_microbatches(self) -> IntArray:
        return self.batch_size // self.num_csx // self.microbatch


def candidates(space: Space) -> Candidates:
    """Every combination whose batch the systems share evenly.

    Raises
    ------
    SpecError
        When there is none.
    """
    sizes = np.array([row for system in range(len(space.systems)) for row in _sizes(space, system)], np.int64)
    if not len(sizes):
        raise SpecError(
            f"no batch size of {_listed(space.batch_sizes)} is a multiple of a number of systems of "
            f"{_listed(space.num_csx)}"
            + (f" and of a micro-batch of {_listed(space.microbatches)}" if space.microbatches else "")
        )
    rest = np.array(list(product(space.densities, range(len(space.schedules)), space.tokens_per_parameter)), np.float64)
    system, num_csx, batch_size, microbatch = np.repeat(sizes, len(rest), axis=0).T
    density, schedule, tokens_per_parameter = np.tile(rest, (len(sizes), 1)).T
    return Candidates(
        step=np.arange(len(system)) // (len(space.schedules) * len(space.tokens_per_parameter)),
        system=system,
        num_csx=num_csx,
        batch_size=batch_size,
        microbatch=microbatch,
        density=density,
        schedule=schedule.astype(np.int64),
        tokens_per_parameter=tokens_per_parameter,
    )


def _sizes(space: Space, system: int) -> Iterator[tuple[int, int, int, int]]:
    """(system, num_csx, batch_size, microbatch)."""
    most = load_cluster(space.systems[system], 1).csx.max_systems
    for num_csx, batch_size in product(space.num_csx, space.batch_sizes):
        if num_csx <= most and batch_size % num_csx == 0:
            for microbatch in _microbatches(batch_size // num_csx, space.microbatches):
                yield system, num_csx, batch_size, microbatch


def _microbatches(share: int, asked: tuple[int, ...] | None) -> Sequence[int]:
    if asked is not None:
        return [microbatch for microbatch in asked if share % microbatch == 0]
    return divisors(share, share)[::-1][:MOST_MICROBATCHES]


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
