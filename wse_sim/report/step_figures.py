"""What a step time means: rates, utilisation, days, energy and cost, of one run or of many that differ in size."""

from dataclasses import dataclass
from typing import Generic

from wse_sim.spec.bill import Amount, bill
from wse_sim.spec.cluster import Cluster, Csx
from wse_sim.spec.economics import Economics
from wse_sim.spec.run import Run
from wse_sim.workload.flops import training_flops_per_token


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures(Generic[Amount]):
    """What a step time means for its run: all that needs no further simulation. As in `SimulationResult`.

    Numbers, or arrays over many runs.
    """

    n_steps: Amount
    step_time_s: Amount
    tokens_per_s: Amount
    samples_per_s: Amount
    mfu: Amount
    dense_equivalent_mfu: Amount
    run_time_s: Amount
    energy_j: Amount
    carbon_kg: Amount
    cost_usd: Amount


def figures(run: Run, cluster: Cluster, step_time_s: float, economics: Economics) -> Figures[float]:
    """What `step_time_s` means for `run` on `cluster`."""
    return figures_of_sizes(
        run,
        cluster.csx,
        step_time_s,
        economics,
        num_csx=run.num_csx,
        batch_size=run.batch_size,
        tokens=run.tokens,
    )


def figures_of_sizes(
    run: Run,
    csx: Csx,
    step_time_s: Amount,
    economics: Economics,
    *,
    num_csx: Amount | float,
    batch_size: Amount | float,
    tokens: Amount,
) -> Figures[Amount]:
    """The same for runs that are like `run` but for their sizes: numbers, or arrays of them."""
    tokens_per_step = batch_size * run.seq_len
    tokens_per_s = tokens_per_step / step_time_s
    n_steps = tokens / tokens_per_step
    run_time_s = n_steps * step_time_s
    flops_per_s = tokens_per_s / (num_csx * csx.peak_flops_per_s)
    paid = bill(
        economics,
        time_s=run_time_s,
        n_units=num_csx,
        power_w=csx.power_w,
        rental_usd_per_h=csx.usd_per_hour,
        purchase_usd=csx.purchase_usd,
    )
    return Figures(
        n_steps=n_steps,
        step_time_s=step_time_s,
        tokens_per_s=tokens_per_s,
        samples_per_s=batch_size / step_time_s,
        mfu=training_flops_per_token(run.shape, run.seq_len, run.density) * flops_per_s,
        dense_equivalent_mfu=training_flops_per_token(run.shape, run.seq_len, 1.0) * flops_per_s,
        run_time_s=run_time_s,
        energy_j=paid.it_energy_j,
        carbon_kg=paid.carbon_kg,
        cost_usd=paid.total_usd,
    )
