"""Comparisons for tests: a small model, so that each takes a tenth of a second."""

from functools import cache
from typing import Any

from wse_sim.comparison import Comparison, GpuSide, compare
from wse_sim.gpu.layout import Layout
from wse_sim.report.comparison import HereWay, Memory, Way
from wse_sim.runs import resolve_run
from wse_sim.spec.economics import load_economics
from wse_sim.spec.load import load_model
from wse_sim.spec.run import Run


def run(model: str = "1.3b", *, density: float = 0.25, num_csx: int = 2, batch_size: int = 264, **given: Any) -> Run:
    return resolve_run(
        load_model(model), system="cs3", density=density, num_csx=num_csx, batch_size=batch_size, **given
    )


@cache
def compared(
    density: float = 0.25, price_basis: Any = "rental", *, num_gpus: int | None = 16, with_two_four: bool = False
) -> Comparison:
    side = GpuSide(num_gpus=num_gpus, with_two_four=with_two_four, fixed=Layout(cp=1))
    return compare(run(density=density), side, economics=load_economics().with_choices(price_basis=price_basis))


def measured_here(way: Way) -> HereWay:
    """A made-up measurement: a ten-thousandth of the speed of `way`."""
    return HereWay(
        name="this machine",
        kind="measured",
        density=way.density,
        memory=Memory(fits=False, needed_bytes=2e10, available_bytes=8e9, verdict="does not fit: needs 20.0 GB"),
        step_time_s=1e4 * way.step_time_s,
        tokens_per_s=1e-4 * way.tokens_per_s,
        tokens_per_s_low=0.9e-4 * way.tokens_per_s,
        tokens_per_s_high=1.1e-4 * way.tokens_per_s,
        mfu=0.5,
        dense_equivalent_mfu=0.6,
        bottleneck="blocks",
        breakdown={"blocks": 0.9, "ends": 0.1},
        run_time_s=1e4 * way.run_time_s,
        loss=way.loss,
        device="Made-up CPU",
        precision="fp32",
        executor="dense",
        microbatch=1,
        n_threads=2,
        notes=("a made-up note",),
    )
