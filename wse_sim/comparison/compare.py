"""Both sides of a comparison, from the run and the GPUs that it is compared on. It reads as the pipeline."""

import logging
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from wse_sim.comparison.equivalent import gpus_per_csx
from wse_sim.comparison.gpu_side import GpuSide, equal_price, rates_of_programs
from wse_sim.comparison.iso import iso_loss, iso_time, loss_curves
from wse_sim.comparison.layouts import gpu_layouts
from wse_sim.comparison.ratios import ratios
from wse_sim.comparison.ways import gpu_ways, wafer_ways
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.report.comparison import Comparison, HereWay, Way, ways_of
from wse_sim.report.comparison_lines import layout_words
from wse_sim.report.comparison_words import headline, notes
from wse_sim.schedule.weight_streaming import plan_step
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.economics import Economics, load_economics, priced
from wse_sim.spec.operations import Operations, load_gpu_operations, load_operations
from wse_sim.spec.run import Run
from wse_sim.spec.sourced import assumed_of
from wse_sim.workload.transformer import n_parameters, nonzero_parameters

_H100 = GpuSide()
_log = logging.getLogger(__name__)


def compare(
    run: Run,
    side: GpuSide = _H100,
    *,
    n_layouts: int = 5,
    economics: Economics | None = None,
    operations: Operations | None = None,
    gpu_operations: Operations | None = None,
    watch: Watch = UNWATCHED,
) -> Comparison:
    """`run` on its wafers, dense too, and the same work on GPUs: what fits, how fast, at what cost, to what loss.

    Parameters
    ----------
    n_layouts :
        Layouts of the GPUs to list: the fastest that fit, and as many that do not.
    economics, operations, gpu_operations :
        How energy, carbon and money are counted, and how both clusters are run; None = by the data.
    watch :
        Hears how far it is.

    Raises
    ------
    SpecError
        When the run does not fit onto the wafers or the GPUs, or failures do not let it end.
    """
    economics = economics or load_economics()
    cluster, side = priced(load_cluster(run.system, run.num_csx), economics), side.priced(economics)
    plan_step(run, cluster, is_recorded=True)  # what the wafers or this machine's memory do not hold shows at once
    job = side.job(run, equal_price(run, cluster, side, economics) if side.num_gpus is None else side.num_gpus)
    # Then the GPUs: what is wrong with them shows before anything is simulated.
    gpu, gpu_dense, gpu_two_four = gpu_ways(run, side, job, economics, gpu_operations or load_gpu_operations())
    _log.info("%d GPUs, by the fastest layout that fits: %s", job.num_gpus, layout_words(gpu))
    wafer, wafer_dense = wafer_ways(run, economics, operations or load_operations(), watch)
    over_gpus = ratios(wafer, gpu)
    rate = over_gpus.tokens_per_s
    comparison = Comparison(
        **_of_run(run),
        headline="",
        wafer=wafer,
        wafer_dense=wafer_dense,
        gpu=gpu,
        gpu_dense=gpu_dense,
        gpu_two_four=gpu_two_four,
        here=None,
        ratios=over_gpus,
        gpus_per_csx=gpus_per_csx(wafer, wafer_dense, gpu, rate=rate, job=job, fixed=side.fixed),
        **_losses(run, ways_of(wafer, wafer_dense, gpu, gpu_dense, gpu_two_four, None)),
        layouts=gpu_layouts(job, side.fixed, n_layouts),
        **economics.terms,
        assumed_constants=cluster.assumed_constants | assumed_of(job.numbers) | economics.assumed_constants,
        notes=(),
    )
    programs = rates_of_programs(run, side, job.num_gpus)
    said = notes(comparison, run, programs, is_equal_price=side.num_gpus is None)
    return replace(comparison, headline=headline(comparison), notes=said)


def with_here(comparison: Comparison, run: Run, here: HereWay) -> Comparison:
    """The same with the machine at hand as a way."""
    wider = replace(comparison, here=here)
    return replace(wider, **_losses(run, wider.ways))


def _of_run(run: Run) -> dict[str, Any]:
    return {
        "model": run.shape.name,
        "params": n_parameters(run.shape),
        "nonzero_params": nonzero_parameters(run.shape, run.density),
        **{name: getattr(run, name) for name in ("density", "batch_size", "seq_len", "tokens", "n_steps")},
    }


def _losses(run: Run, ways: Mapping[str, Way]) -> dict[str, Any]:
    return {
        "iso_time": iso_time(run, ways),
        "iso_loss": iso_loss(run, ways),
        "loss_curves": loss_curves(run, ways),
    }
