"""Every layout of a job, priced: the best first, and for each that does not fit the wall that it hits."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wse_sim.errors import SpecError
from wse_sim.gpu.kernels import FloatArray
from wse_sim.gpu.layout import Job, Layout, Layouts, layouts
from wse_sim.gpu.memory import memory_parts_bytes
from wse_sim.gpu.step import step_parts_s, total

_BYTES_PER_GB = 1e9
_DOUBLINGS = 16  # of the GPUs, within which a job that does not fit is tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Layouts of a job, those that fit first, each group from the fastest to the slowest.

    Parameters
    ----------
    layouts : n
    parts_s : each (n,)
        Seconds of the step, by `step.PARTS`.
    memory_bytes : each (n,)
        Needed per GPU, by what it is for.
    fits : (n,)
    """

    layouts: Layouts
    parts_s: dict[str, FloatArray]
    memory_bytes: dict[str, FloatArray]
    fits: npt.NDArray[np.bool_]

    @property
    def step_s(self) -> FloatArray:
        return total(self.parts_s)

    @property
    def leanest(self) -> int:
        """Place of the layout that needs least memory."""
        return int(np.argmin(total(self.memory_bytes)))

    def only(self, i: int) -> "Found":
        """Layout `i` alone."""
        return Found(
            layouts=self.layouts[i : i + 1],
            parts_s={name: part[i : i + 1] for name, part in self.parts_s.items()},
            memory_bytes={name: part[i : i + 1] for name, part in self.memory_bytes.items()},
            fits=self.fits[i : i + 1],
        )

    def wall(self, job: Job, i: int) -> str:
        """Why layout `i` does not fit; "" where it does."""
        if self.fits[i]:
            return ""
        parts = {name: float(part[i]) for name, part in self.memory_bytes.items()}
        largest = max(parts, key=lambda name: parts[name])
        return (
            f"memory: needs {sum(parts.values()) / _BYTES_PER_GB:.0f} GB, most of it {largest}, "
            f"{job.gpu.name} has {job.gpu.memory_bytes.value / _BYTES_PER_GB:.0f} GB"
        )


def search(job: Job, fixed: Layout) -> Found:
    """All layouts of `job` that are like `fixed`: those that fit first, each group from the fastest to the slowest.

    Raises
    ------
    SpecError
        When there are none.
    """
    tried = layouts(job, fixed)
    parts_s, memory_bytes = step_parts_s(job, tried), memory_parts_bytes(job, tried)
    needed = total(memory_bytes)
    fits = needed <= job.gpu.memory_bytes.value
    order = np.lexsort((needed, total(parts_s), ~fits))
    return Found(
        layouts=tried[order],
        parts_s={name: part[order] for name, part in parts_s.items()},
        memory_bytes={name: part[order] for name, part in memory_bytes.items()},
        fits=fits[order],
    )


def best(job: Job, fixed: Layout) -> Found:
    """The fastest layout that fits, alone.

    Raises
    ------
    SpecError
        When there is none: the message names the wall, and how many GPUs it takes.
    """
    found = search(job, fixed)
    if not found.fits[0]:
        raise SpecError(_memory_wall(job, fixed, found))
    return found.only(0)


def known_to_run(job: Job, fixed: Layout) -> Found:
    """The layout of a job that did run: of what is not `fixed`, the fastest that fits, or the leanest where none does.

    It did fit: where the memory model says otherwise, it is the memory model that is wrong.

    Raises
    ------
    SpecError
        When there is no layout like `fixed`.
    """
    found = search(job, fixed)
    return found.only(0 if found.fits[0] else found.leanest)


def _memory_wall(job: Job, fixed: Layout, found: Found) -> str:
    """What does not fit, and what would."""
    text = (
        f"{job.shape.name} on {job.num_gpus} x {job.gpu.name}: {found.wall(job, found.leanest)} in the leanest layout; "
    )
    is_free = fixed == Layout()
    if not is_free and _fits(job):
        return text + "leave parts of the layout free, or use a smaller microbatch or recomputation"
    enough = _enough_gpus(job)
    if enough is None:
        return text + "use a shorter seq_len or a GPU with more memory"
    batch = "" if _fits(replace(job, num_gpus=enough)) else f" with a batch of {enough}"
    return text + f"{'it' if is_free else 'another one'} would fit on {enough} GPUs{batch}"


def _enough_gpus(job: Job) -> int | None:
    """The fewest GPUs, more than those of the job, on which it fits, if each has a sequence; None = no number helps.

    Doublings find a number that is enough. Below it any may be the first, since some divide a model badly.
    """

    def is_enough(num_gpus: int) -> bool:
        return _fits(replace(job, num_gpus=num_gpus, batch_size=max(job.batch_size, num_gpus)))

    doublings = (job.num_gpus * 2**i for i in range(1, _DOUBLINGS))
    enough = next(filter(is_enough, doublings), None)
    return enough and next(filter(is_enough, range(job.num_gpus + 1, enough + 1)))


def _fits(job: Job) -> bool:
    """Whether some layout of `job` fits."""
    try:
        needed = total(memory_parts_bytes(job, layouts(job, Layout())))
    except SpecError:  # the batch is too small for any
        return False
    return bool((needed <= job.gpu.memory_bytes.value).any())
