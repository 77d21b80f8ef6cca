"""The GPUs of a comparison: how many they are where nobody says, and what they cost."""

from dataclasses import dataclass, replace
from itertools import chain

from wse_sim.defaults import GPUS
from wse_sim.errors import SpecError
from wse_sim.gpu.layout import Job, Layout
from wse_sim.gpu.prices import priced_gpu, unit_constants
from wse_sim.gpu.roofline import DEFAULT_SOFTWARE, SEARCH_ALL, gpu_job
from wse_sim.gpu.search import Found, search
from wse_sim.gpu.spec import GpuSpec, Precision, Software, load_gpu, software_names
from wse_sim.spec.bill import usd_per_unit_h
from wse_sim.spec.cluster import Cluster
from wse_sim.spec.economics import Economics
from wse_sim.spec.run import Run

GPUS_PER_SERVER = 8  # of data/gpu_operations.toml: what fails on its own is a server with so many


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSide:
    """What the wafers are compared with.

    Parameters
    ----------
    gpu, software :
        Names in the data, or specifications.
    num_gpus :
        None = as many, in servers of eight, as come nearest to the price of the wafers (`equal_price`).
    fixed :
        Parts of the layout that are not searched.
    with_two_four :
        2:4 sparsity is a way too.
    """

    gpu: str | GpuSpec = GPUS["gpu"]
    num_gpus: int | None = None
    software: str | Software = DEFAULT_SOFTWARE
    precision: Precision = GPUS["precision"]
    fixed: Layout = SEARCH_ALL
    with_two_four: bool = False

    def priced(self, economics: Economics) -> "GpuSide":
        """The same with the power and the prices that the user's file gives its GPUs."""
        gpu = load_gpu(self.gpu) if isinstance(self.gpu, str) else self.gpu
        return replace(self, gpu=priced_gpu(gpu, economics))

    def job(self, run: Run, num_gpus: int) -> Job:
        """The work of `run` on this many of the GPUs.

        Raises
        ------
        SpecError
            As `gpu_job`.
        """
        return gpu_job(
            run.shape,
            gpu=self.gpu,
            num_gpus=num_gpus,
            batch_size=run.batch_size,
            seq_len=run.seq_len,
            software=self.software,
            precision=self.precision,
        )


def equal_price(run: Run, cluster: Cluster, side: GpuSide, economics: Economics) -> int:
    """GPUs in servers of eight that cost per hour what the wafers do, on the price basis, as nearly as servers allow.

    Where the batch has too few sequences for so many, or memory is too small on so few, the nearest number that works,
    which may be less than a server; the price's own where none does, so that its wall is named.

    Raises
    ------
    SpecError
        When GPUs cost nothing.
    """
    one = side.job(run, 1)
    per_node = min(GPUS_PER_SERVER, one.gpus_per_node)  # what is linked as a rack is rented in parts
    usd = usd_per_unit_h(economics, unit_constants(one.gpu))
    if not usd > 0:
        raise SpecError("GPUs cost nothing here, so that no number of them costs what the wafers do: use --num-gpus")
    wafers_usd = usd_per_unit_h(economics, cluster.unit_constants) * run.num_csx
    asked = max(1, round(wafers_usd / (usd * per_node))) * per_node
    fewer = chain(range(asked, 0, -per_node), range(per_node - 1, 0, -1))
    more = range(asked + per_node, 2 * asked + 1, per_node)
    return next((n for n in chain(fewer, more) if fastest(side.job(run, n), side.fixed) is not None), asked)


def rates_of_programs(run: Run, side: GpuSide, num_gpus: int) -> dict[str, float]:
    """Tokens/s per GPU with each program that can do it, the fastest first: how much of the answer is software."""
    rates = {}
    for name in software_names():
        try:
            job = replace(side, software=name).job(run, num_gpus)
        except SpecError:  # it does not have the precision
            continue
        found = fastest(job, side.fixed)
        if found is not None:
            rates[name] = run.tokens_per_step / float(found.step_s[0]) / num_gpus
    return dict(sorted(rates.items(), key=lambda item: -item[1]))


def fastest(job: Job, fixed: Layout) -> Found | None:
    """The fastest layout of `job` that fits, alone; None where none does."""
    try:
        found = search(job, fixed)
    except SpecError:  # there is no layout
        return None
    return found.only(0) if found.fits[0] else None
