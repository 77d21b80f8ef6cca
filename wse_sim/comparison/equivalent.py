"""How many GPUs one system stands for, and how many it takes to be as fast as all of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from wse_sim.comparison.gpu_side import fastest
from wse_sim.comparison.ratios import scaled
from wse_sim.gpu.layout import Job, Layout, most_gpus
from wse_sim.report.comparison import GpusPerCsx, GpuWay, Ratio, WaferWay
from wse_sim.report.headline import gpu_in_words

_NEIGHBOURS = 0.05  # of the number of servers: one that divides well may make fewer of them fast enough
_FEWEST_NEIGHBOURS, _MOST_NEIGHBOURS = 4, 64
_GRID = 1.15  # between the numbers of servers that are tried where doublings find none


@dataclass(frozen=True, slots=True, kw_only=True)
class Smallest:
    """The smallest cluster that is fast enough; None, and the fastest one, where none is."""

    num_gpus: int | None
    fastest_num_gpus: int
    fastest_tokens_per_s: float


def gpus_per_csx(
    wafer: WaferWay, wafer_dense: WaferWay, gpu: GpuWay, *, rate: Ratio, job: Job, fixed: Layout
) -> GpusPerCsx:
    """GPUs for one system: by throughput, by price, by power, and the smallest cluster as fast as all systems.

    Parameters
    ----------
    rate :
        Throughput of the wafers over that of the GPUs.
    job, fixed :
        Of the GPUs.
    """
    per_csx = scaled(rate, gpu.num_gpus / wafer.num_csx)
    found = smallest_as_fast(job, fixed, wafer.tokens_per_s)
    return GpusPerCsx(
        value=per_csx.value,
        low=per_csx.low,
        high=per_csx.high,
        dense=wafer_dense.tokens_per_s / wafer.num_csx / gpu.tokens_per_s_per_gpu,
        by_price=wafer.usd_per_unit_h / gpu.usd_per_unit_h if gpu.usd_per_unit_h else None,
        by_power=_power_w(wafer, wafer.num_csx) / _power_w(gpu, gpu.num_gpus) if gpu.energy_j else None,
        num_gpus=found.num_gpus,
        gpus_per_server=job.gpus_per_node,
        reason="" if found.num_gpus else _why_none(job, found),
        fastest_num_gpus=found.fastest_num_gpus,
        fastest_tokens_per_s=found.fastest_tokens_per_s,
    )


def smallest_as_fast(job: Job, fixed: Layout, tokens_per_s: float) -> Smallest:
    """The smallest cluster of whole servers, each in its fastest layout, that trains at this rate or above.

    The rate rises with the number of servers but for steps where a number divides badly: bisection finds a crossing,
    and the numbers up to 5 % below it are tried one by one. A part of one server counts where no whole number will do:
    a batch may have too few sequences for all of its GPUs.
    """
    rates: dict[int, float] = {}

    def is_enough(num_gpus: int) -> bool:
        if num_gpus not in rates:
            found = fastest(replace(job, num_gpus=num_gpus), fixed)
            rates[num_gpus] = 0.0 if found is None else job.batch_size * job.seq_len / float(found.step_s[0])
        return rates[num_gpus] >= tokens_per_s

    per_node = job.gpus_per_node
    most = max(1, most_gpus(job) // per_node)
    enough = next((n for n in (*_doublings(most), *_grid(most)) if is_enough(per_node * n)), None)
    if enough is not None:
        smallest = per_node * _lowest(lambda n: is_enough(per_node * n), enough)
    else:
        smallest = next((n for n in range(1, per_node) if is_enough(n)), 0)
    best = smallest or max(rates, key=lambda n: rates[n])
    return Smallest(num_gpus=smallest or None, fastest_num_gpus=best, fastest_tokens_per_s=rates[best])


def _lowest(is_enough: Callable[[int], bool], enough: int) -> int:
    """The smallest number that is enough, as far as bisection and a look at the neighbours below can tell."""
    low, high = 0, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    n_below = min(_MOST_NEIGHBOURS, max(_FEWEST_NEIGHBOURS, math.ceil(_NEIGHBOURS * high)))
    return next(n for n in range(max(1, high - n_below), high + 1) if is_enough(n))


def _doublings(most: int) -> list[int]:
    return [2**i for i in range(most.bit_length())]


def _grid(most: int) -> list[int]:
    return sorted({round(_GRID**i) for i in range(1, int(math.log(most, _GRID)) + 1)} if most > 1 else set())


def _why_none(job: Job, found: Smallest) -> str:
    return (
        f"{job.batch_size} sequences a step are too few for as many {gpu_in_words(job.gpu.name)} as that would take: "
        f"at most {found.fastest_tokens_per_s:,.0f} tokens/s, on {found.fastest_num_gpus}"
    )


def _power_w(way: WaferWay | GpuWay, n_units: int) -> float:
    return way.energy_j / (way.run_time_s * n_units)
