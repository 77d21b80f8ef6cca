"""How a training job is spread over GPUs, and the ways there are to spread it."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Literal

from wse_sim.errors import SpecError
from wse_sim.gpu.spec import GpuSpec, TrainingConstants
from wse_sim.spec.model import ModelShape

Sharding = Literal["zero1", "zero3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What runs on what; `batch_size` in sequences over all GPUs."""

    shape: ModelShape
    gpu: GpuSpec
    constants: TrainingConstants
    num_gpus: int
    batch_size: int
    seq_len: int

    @property
    def gpus_per_node(self) -> int:
        return int(self.gpu.gpus_per_node.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way to spread a job.

    Parameters
    ----------
    dp, tp, pp :
        Data, tensor and pipeline parallel ways.
    microbatch :
        Sequences of one data-parallel way at a time.
    is_recomputed :
        Only each block's input is kept for the backward pass.
    sharding :
        `zero3` shards everything over the data-parallel ways and gathers weights for each micro-batch; `zero1` shards
        the optimizer state and exchanges once per step.
    """

    dp: int
    tp: int
    pp: int
    microbatch: int
    is_recomputed: bool
    sharding: Sharding

    def share(self, job: Job) -> int:
        """Sequences of the data-parallel way that has most."""
        return ceil(job.batch_size / self.dp)


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedLayout:
    """The parts of a layout that are not searched; None = searched."""

    tp: int | None = None
    pp: int | None = None
    microbatch: int | None = None
    is_recomputed: bool | None = None
    sharding: Sharding | None = None


def layouts(job: Job, fixed: FixedLayout) -> Iterator[Layout]:
    """The layouts of `job`, whether they fit into memory or not.

    Tensor parallelism in powers of two inside a server, pipeline stages of equally many blocks and with `zero1` only.

    Raises
    ------
    SpecError
        When the batch has fewer sequences than every layout has data-parallel ways.
    """
    ways = [(tp, pp) for tp, pp in _ways(job, fixed) if job.num_gpus // (tp * pp) <= job.batch_size]
    if not ways:
        most = max((tp * pp for tp, pp in _ways(job, fixed)), default=1)
        raise SpecError(
            f"a batch of {job.batch_size} sequences cannot be split over {job.num_gpus} GPUs: "
            f"use a batch of at least {job.num_gpus // most} or at most {job.batch_size * most} GPUs"
        )
    for tp, pp in ways:
        dp = job.num_gpus // (tp * pp)
        shardings: tuple[Sharding, ...] = ("zero3", "zero1") if pp == 1 else ("zero1",)
        for sharding in shardings:
            if fixed.sharding in (None, sharding):
                yield from _sizes(job, fixed, dp=dp, tp=tp, pp=pp, sharding=sharding)


def tensor_parallel_ways(job: Job) -> list[int]:
    """Powers of two inside one server that divide the heads."""
    return [2**i for i in range(job.gpus_per_node.bit_length()) if job.shape.n_heads % 2**i == 0]


def _ways(job: Job, fixed: FixedLayout) -> Iterator[tuple[int, int]]:
    for tp in tensor_parallel_ways(job):
        for pp in range(1, job.shape.n_layers + 1):
            is_wanted = fixed.tp in (None, tp) and fixed.pp in (None, pp)
            if is_wanted and job.num_gpus % (tp * pp) == 0 and job.shape.n_layers % pp == 0:
                yield tp, pp


def _sizes(job: Job, fixed: FixedLayout, *, dp: int, tp: int, pp: int, sharding: Sharding) -> Iterator[Layout]:
    share = ceil(job.batch_size / dp)
    sizes = (
        {ceil(share / n) for n in range(1, share + 1)} if fixed.microbatch is None else {min(fixed.microbatch, share)}
    )
    for size in sorted(sizes):
        for recomputed in (False, True) if fixed.is_recomputed is None else (fixed.is_recomputed,):
            yield Layout(dp=dp, tp=tp, pp=pp, microbatch=size, is_recomputed=recomputed, sharding=sharding)
