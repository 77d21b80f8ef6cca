"""How a training job is spread over GPUs, and the ways there are to spread it.

Layouts are columns: one numpy array per field, one entry per layout, so that thousands are priced at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace as replace_fields

from wse_sim.errors import SpecError
from wse_sim.gpu.spec import (
    TRAINING,
    GpuSpec,
    Precision,
    Sharding,
    Software,
    TrainingConstants,
    sourced,
    with_number,
)
from wse_sim.spec.divisors import largest_parts
from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number
from wse_sim.spec.sourced import Sourced

IntArray = npt.NDArray[np.int64]

Recompute = Literal["none", "selective", "full"]
RECOMPUTES: tuple[Recompute, ...] = get_args(Recompute)
SHARDINGS: tuple[Sharding, ...] = get_args(Sharding)
NONE, SELECTIVE, FULL = range(len(RECOMPUTES))
ZERO1, ZERO3 = range(len(SHARDINGS))

_LEAST_CONTEXT = 4096  # tokens of a sequence that a context-parallel GPU keeps: nobody divides shorter ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What runs on what; `batch_size` in sequences over all GPUs.

    Parameters
    ----------
    is_two_four :
        Two of every four weights of the linear layers are zero, in the pattern that the GPU's products skip.
    """

    shape: ModelShape
    gpu: GpuSpec
    software: Software
    constants: TrainingConstants
    num_gpus: int
    batch_size: int
    seq_len: int
    precision: Precision = "bf16"
    is_two_four: bool = False

    @property
    def gpus_per_node(self) -> int:
        return int(self.gpu.gpus_per_node.value)

    @property
    def numbers(self) -> dict[str, Sourced]:
        """Every constant behind it, by owner and name: `h100.tdp_w`, `gpu_training.link_fraction`."""
        of_gpu = sourced(replace_fields(self.gpu, training={}), self.gpu.name)
        return of_gpu | sourced(self.software, self.software.name) | sourced(self.constants, TRAINING)

    def with_numbers(self, numbers: Mapping[str, float]) -> "Job":
        """The same job with other values of those of `numbers`, named as above, that belong to it."""
        gpu, software, constants = self.gpu, self.software, self.constants
        for name, value in numbers.items():
            if name.startswith(f"{gpu.name}."):
                gpu = with_number(gpu, name.removeprefix(f"{gpu.name}."), value)
            elif name.startswith(f"{software.name}."):
                software = with_number(software, name.removeprefix(f"{software.name}."), value)
            elif name.startswith(f"{TRAINING}."):
                constants = with_number(constants, name.removeprefix(f"{TRAINING}."), value)
        return replace(self, gpu=gpu, software=software, constants=constants)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way to spread a job; None = not said. What a user fixes, and what the search found.

    Parameters
    ----------
    dp, tp, cp, pp :
        Data, tensor, context and pipeline parallel ways: copies of the model; parts of each matrix; parts of each
        sequence; stages of blocks.
    interleave :
        Groups of blocks of each stage; more of them shorten the pipeline's filling and draining.
    microbatch :
        Sequences of one data-parallel way at a time.
    recompute :
        What the backward pass computes again: `none`, `selective` (scores of attention that is not fused; else every
        other product, and what is element-wise), `full` (whole blocks).
    sharding :
        `zero3` shards everything over the data-parallel ways and gathers weights for each micro-batch; `zero1` shards
        the optimizer state and exchanges once per step.
    """

    dp: int | None = None
    tp: int | None = None
    cp: int | None = None
    pp: int | None = None
    interleave: int | None = None
    microbatch: int | None = None
    recompute: Recompute | None = None
    sharding: Sharding | None = None

    def __post_init__(self) -> None:
        for name in ("dp", *GIVEN_NUMBERS):
            if (value := getattr(self, name)) is not None:
                check_number(name, value)

    def on(self, num_gpus: int) -> dict[str, Any]:
        """Its parts by name, as they are on so many GPUs: one alone shards nothing."""
        return asdict(self) | ({"sharding": "none"} if num_gpus == 1 else {})


LAYOUT_FIELDS = tuple(field.name for field in fields(Layout))
# What is asked for, or published, in numbers; dp follows from these and the number of GPUs.
GIVEN_NUMBERS = tuple(name for name in LAYOUT_FIELDS if name not in ("dp", "recompute", "sharding"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layouts:
    """Many layouts; every field (n,), `recompute` and `sharding` as places in `RECOMPUTES` and `SHARDINGS`."""

    dp: IntArray
    tp: IntArray
    cp: IntArray
    pp: IntArray
    interleave: IntArray
    microbatch: IntArray
    recompute: IntArray
    sharding: IntArray

    def __len__(self) -> int:
        return len(self.dp)

    def __getitem__(self, kept: slice | npt.NDArray[np.bool_] | IntArray) -> "Layouts":
        return Layouts(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})

    def layout(self, i: int) -> Layout:
        """The one at place `i`, in words."""
        numbers = {field.name: int(getattr(self, field.name)[i]) for field in fields(self)}
        recompute, sharding = RECOMPUTES[numbers.pop("recompute")], SHARDINGS[numbers.pop("sharding")]
        return Layout(**numbers, recompute=recompute, sharding=sharding)

    def share(self, job: Job) -> IntArray:
        """Sequences of the data-parallel way that has most."""
        return -(-job.batch_size // self.dp)


def layouts(job: Job, fixed: Layout) -> Layouts:
    """The layouts of `job`, whether they fit into memory or not.

    Tensor parallelism in powers of two among directly linked GPUs, context parallelism in powers of two, stages of
    equally many blocks (the output layer may count as one or two), interleaving and ZeRO-1 with stages only.

    Raises
    ------
    SpecError
        When nothing is like `fixed`, or the batch has fewer sequences than every layout has data-parallel ways.
    """
    rows = [row for ways in _ways(job, fixed) for row in _sizes(job, fixed, ways)]
    if not rows:
        raise SpecError(_no_layout(job, fixed))
    columns = np.array(rows, np.int64).T
    return Layouts(**{field.name: column for field, column in zip(fields(Layouts), columns, strict=True)})


def most_gpus(job: Job) -> int:
    """GPUs, above which every layout leaves some copy of the model without a sequence."""
    return job.batch_size * max(tensor_parallel_ways(job)) * max(_context_ways(job)) * max(_stages(job))


def tensor_parallel_ways(job: Job) -> list[int]:
    """Powers of two among linked GPUs that divide the heads."""
    if not job.software.has_parallel_layers:
        return [1]
    return [2**i for i in range(job.gpus_per_node.bit_length()) if job.shape.n_heads % 2**i == 0]


def _ways(job: Job, fixed: Layout) -> Iterator[tuple[int, int, int, int, int]]:
    """(dp, tp, cp, pp, interleave) that use all GPUs and leave every copy of the model a sequence."""
    for tp, cp, pp in product(tensor_parallel_ways(job), _context_ways(job), _stages(job)):
        if job.num_gpus % (tp * cp * pp) or not (_is(fixed.tp, tp) and _is(fixed.cp, cp) and _is(fixed.pp, pp)):
            continue
        dp = job.num_gpus // (tp * cp * pp)
        if dp <= job.batch_size and _is(fixed.dp, dp):
            for interleave in _interleaves(job, pp):
                if _is(fixed.interleave, interleave):
                    yield dp, tp, cp, pp, interleave


def _context_ways(job: Job) -> list[int]:
    most = job.seq_len // _LEAST_CONTEXT if job.software.has_parallel_layers else 1
    return [2**i for i in range(max(1, most).bit_length()) if job.seq_len % 2**i == 0]


def _stages(job: Job) -> list[int]:
    most = job.shape.n_layers if job.software.has_parallel_layers else 1
    return [pp for pp in range(1, most + 1) if _is_even(job, pp)]


def _is_even(job: Job, n_groups: int) -> bool:
    """Whether so many groups have equally many blocks, embedding and output layer counted as one each or not at all."""
    return any((job.shape.n_layers + ends) % n_groups == 0 for ends in (0, 1, 2))


def _interleaves(job: Job, pp: int) -> list[int]:
    if pp == 1 or not job.software.has_interleaving:
        return [1]
    return [v for v in range(1, job.shape.n_layers // pp + 1) if v == 1 or _is_even(job, pp * v)]


def _sizes(job: Job, fixed: Layout, ways: tuple[int, int, int, int, int]) -> Iterator[tuple[int, ...]]:
    """Micro-batches, recomputation and sharding of one way to divide the GPUs."""
    dp, _, _, pp, interleave = ways
    share = -(-job.batch_size // dp)
    sizes = largest_parts(share) if fixed.microbatch is None else [min(fixed.microbatch, share)]
    shardings = [SHARDINGS.index(s) for s in job.software.shardings if pp == 1 or s == "zero1"]
    for microbatch, recompute, sharding in product(sizes, (NONE, SELECTIVE, FULL), shardings):
        is_wanted = _is(fixed.recompute, RECOMPUTES[recompute]) and _is(fixed.sharding, SHARDINGS[sharding])
        if is_wanted and (interleave == 1 or share >= pp * microbatch):
            yield *ways, microbatch, recompute, sharding


def _is(wanted: object, value: object) -> bool:
    return wanted is None or wanted == value


def _no_layout(job: Job, fixed: Layout) -> str:
    never = _why_never(job.software, fixed)
    of_any_batch = _ways(replace(job, batch_size=job.num_gpus), fixed)
    most = max((job.num_gpus // dp for dp, *_ in of_any_batch), default=None)
    if never or most is None:
        given = ", ".join(f"{name} {value}" for name, value in asdict(fixed).items() if value is not None)
        text = f"no layout of {job.shape.name} on {job.num_gpus} GPUs with {job.software.name} has {given}"
        return f"{text}: {never}" if never else text
    return (
        f"a batch of {job.batch_size} sequences cannot be split over {job.num_gpus} GPUs: "
        f"use a batch of at least {job.num_gpus // most} or at most {job.batch_size * most} GPUs"
    )


def _why_never(software: Software, fixed: Layout) -> str:
    """What keeps any job of the program from a layout like `fixed`; "" for nothing."""
    ways = {"tensor": fixed.tp, "context": fixed.cp, "pipeline": fixed.pp}
    lacking = [] if software.has_parallel_layers else [f"{kind} parallelism" for kind, n in ways.items() if _many(n)]
    if _many(fixed.interleave) and not software.has_interleaving:
        lacking.append("interleaving")
    if fixed.sharding is not None and fixed.sharding not in software.shardings:
        lacking.append(fixed.sharding)
    if lacking:
        return f"{software.name} has no {' and no '.join(lacking)}, leave it out or use another program"
    return "pipeline stages go with zero1 only" if _many(fixed.pp) and fixed.sharding == "zero3" else ""


def _many(ways: int | None) -> bool:
    return ways is not None and ways > 1
