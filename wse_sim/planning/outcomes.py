"""What each candidate would do: time, energy, cost and loss in closed form, and the wall that it hits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from wse_sim.engine.run_level import expected_runs
from wse_sim.errors import SpecError
from wse_sim.laws.cerebras_gpt import dense_equivalent_size, knows_loss_of, projected_losses
from wse_sim.laws.power_lines import critical_batch_tokens, optimal_batch_tokens
from wse_sim.laws.published import published_laws
from wse_sim.planning.space import Candidates, FloatArray, IntArray, Space
from wse_sim.schedule.estimate import estimate_steps, microbatch_costs
from wse_sim.schedule.placement import microbatch_limits
from wse_sim.spec.bill import Bill, bill
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.economics import Economics, priced
from wse_sim.spec.model import ModelShape
from wse_sim.spec.operations import Operations
from wse_sim.spec.run import Run, check_seq_len
from wse_sim.workload.transformer import n_parameters, nonzero_parameters

Wall = Literal["", "wafer memory", "activation servers", "MemoryX capacity", "critical batch size", "failures"]
WALLS: tuple[Wall, ...] = get_args(Wall)
_NONE, _WAFER, _SERVERS, _MEMORYX, _CRITICAL, _FAILURES = range(len(WALLS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be trained, by whose rules.

    Parameters
    ----------
    release, seed :
        Of the software, and of the drawn masks.

    Raises
    ------
    SpecError
        When no law knows the model's loss, or it does not take sequences of `seq_len`.
    """

    shape: ModelShape
    seq_len: int
    release: str
    seed: int
    economics: Economics
    operations: Operations

    def __post_init__(self) -> None:
        if not knows_loss_of(self.shape):
            raise SpecError(
                f"{self.shape.name} is an encoder, whose loss no law here knows, and a plan weighs loss against time "
                "and cost: wse-sim sweep prices its runs without one"
            )
        check_seq_len(self.shape, self.seq_len)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Single steps of candidates, every field (n,): what does not hang on the schedule and the tokens.

    Parameters
    ----------
    wall :
        Place in `WALLS` of the memory that the step does not fit into; its time is nan.
    """

    wall: IntArray
    step_s: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What candidates do; every field (n,). Where `wall` is not 0, the loss and what hangs on the step are nan.

    Parameters
    ----------
    wall :
        Place in `WALLS` of what the candidate does not fit through; with `failures` it does not come to its end.
    step_s, run_s, wall_clock_s :
        One step, all of them, and the run with its start, checkpoints and failures.
    power_w, energy_j, carbon_kg, cost_usd :
        Power of the systems while they run; of the wall clock, in which the systems are booked.
    loss :
        Projected, in nats per token of the Pile.
    """

    wall: IntArray
    step_s: FloatArray
    tokens: FloatArray
    n_steps: FloatArray
    run_s: FloatArray
    wall_clock_s: FloatArray
    goodput: FloatArray
    power_w: FloatArray
    energy_j: FloatArray
    carbon_kg: FloatArray
    cost_usd: FloatArray
    loss: FloatArray


def outcomes(question: Question, space: Space, tried: Candidates, steps: Steps | None = None) -> Outcomes:
    """What `tried` would do.

    Parameters
    ----------
    steps :
        None = in closed form.
    """
    tokens = tried.tokens_per_parameter * n_parameters(question.shape)
    n_steps = tokens / (tried.batch_size * question.seq_len)
    steps = steps_in_closed_form(question, space, tried) if steps is None else steps
    wall = np.where((steps.wall == _NONE) & _is_beyond_critical(question, tried, tokens), _CRITICAL, steps.wall)
    expected = expected_runs(
        question.operations,
        step_s=np.where(wall == _NONE, steps.step_s, np.nan),
        n_steps=np.maximum(1.0, np.round(n_steps)),
        n_parameters=_by_density(tried, lambda density: nonzero_parameters(question.shape, density)),
        n_systems=tried.num_csx,
    )
    wall = np.where(np.isinf(expected.wall_clock_s), _FAILURES, wall)
    step_s = np.where(wall == _NONE, steps.step_s, np.nan)
    wall_clock_s = np.where(wall == _NONE, expected.wall_clock_s, np.nan)
    power_w, paid = _bill(question, space, tried, wall_clock_s)
    return Outcomes(
        wall=wall,
        step_s=step_s,
        tokens=tokens,
        n_steps=n_steps,
        run_s=n_steps * step_s,
        wall_clock_s=wall_clock_s,
        goodput=np.where(wall == _NONE, expected.goodput, np.nan),
        power_w=power_w,
        energy_j=paid.it_energy_j,
        carbon_kg=paid.carbon_kg,
        cost_usd=paid.total_usd,
        loss=np.where(wall == _NONE, losses(question, space, tried, tokens), np.nan),
    )


def steps_in_closed_form(question: Question, space: Space, tried: Candidates) -> Steps:
    """Each step that `tried` have in common once."""
    _, one_of_each, step = np.unique(tried.step, return_index=True, return_inverse=True)
    distinct = _distinct_steps(question, space, tried[one_of_each])
    return Steps(wall=distinct.wall[step], step_s=distinct.step_s[step])


def losses(question: Question, space: Space, tried: Candidates, tokens: FloatArray) -> FloatArray:
    """Projected losses: size and tokens by the published laws, the batch by what it wastes, the schedule by its gain.

    A batch B beyond the best one needs D = D_min (1 + B / B_crit) tokens for the same loss; what it has more than the
    best one is taken off the tokens.

    Source: `laws.cerebras_gpt.projected_losses`; Power Lines, arXiv 2505.13738, for the batch; Straight to Zero, arXiv
    2502.15938, for the decay to zero.
    """
    sizes = _by_density(tried, lambda density: dense_equivalent_size(question.shape, density))
    critical, best = critical_batch_tokens(tokens), optimal_batch_tokens(tokens)
    batch = np.maximum(tried.batch_size * question.seq_len, best)
    useful = tokens * (1.0 + best / critical) / (1.0 + batch / critical)
    loss = projected_losses(question.shape, sizes, useful, seq_len=question.seq_len)
    gain = published_laws().decay_to_zero.at(tokens / sizes)
    is_to_zero = np.array([schedule == "linear" for schedule in space.schedules])[tried.schedule]
    return loss * np.where(is_to_zero, 1.0 - gain, 1.0)


def _is_beyond_critical(question: Question, tried: Candidates, tokens: FloatArray) -> npt.NDArray[np.bool_]:
    return np.asarray(tried.batch_size * question.seq_len > critical_batch_tokens(tokens))


def _distinct_steps(question: Question, space: Space, tried: Candidates) -> Steps:
    """Steps of which none comes twice; one closed form for each system and density."""
    n = len(tried)
    step_s, wall = np.full(n, np.nan), np.zeros(n, np.int64)
    for system, name in enumerate(space.systems):
        cluster = load_cluster(name, 1)
        on_wafer, on_servers = microbatch_limits(question.shape, cluster.csx, seq_len=question.seq_len)
        for density in space.densities:
            here = np.flatnonzero((tried.system == system) & (tried.density == density))
            microbatch = tried.microbatch[here]
            wall[here] = np.select([microbatch > on_wafer, microbatch > on_servers], [_WAFER, _SERVERS], _NONE)
            state = cluster.memoryx.state_bytes_per_weight * nonzero_parameters(question.shape, density)
            if state > cluster.memoryx.capacity_bytes:
                wall[here] = _MEMORYX
            here = here[wall[here] == _NONE]
            if not len(here):
                continue
            sizes, place = np.unique(tried.microbatch[here], return_inverse=True)
            costs = microbatch_costs(planned_run(question, name, density), cluster.csx, sizes)[place]
            step_s[here] = estimate_steps(costs, cluster, tried.n_microbatches[here]).step_s
    return Steps(wall=wall, step_s=step_s)


def planned_run(question: Question, system: str, density: float, **given: Any) -> Run:
    """A run of the question on `system`; what is not given plays no part."""
    sizes = {"num_csx": 1, "batch_size": 1, **given}
    sizes.setdefault("tokens", float(sizes["batch_size"] * question.seq_len))  # one step
    return Run(
        shape=question.shape,
        system=system,
        seq_len=question.seq_len,
        density=density,
        release=question.release,
        seed=question.seed,
        **sizes,
    )


def run_at(question: Question, space: Space, tried: Candidates, place: int) -> Run:
    """The run of candidate `place`; its tokens play no part in a step."""
    return planned_run(
        question,
        space.systems[tried.system[place]],
        float(tried.density[place]),
        num_csx=int(tried.num_csx[place]),
        batch_size=int(tried.batch_size[place]),
        microbatch=int(tried.microbatch[place]),
    )


def _bill(
    question: Question, space: Space, tried: Candidates, booked_s: FloatArray
) -> tuple[FloatArray, Bill[FloatArray]]:
    """Power of the systems of each candidate, and what they take while they are booked: also when they start, save and
    restart."""
    csx = [priced(load_cluster(name, 1), question.economics).csx for name in space.systems]

    def of_each(field: str) -> FloatArray:
        return np.array([getattr(system, field) for system in csx], np.float64)[tried.system]

    power_w, n_units = of_each("power_w"), tried.num_csx.astype(np.float64)
    paid = bill(
        question.economics,
        time_s=booked_s,
        n_units=n_units,
        power_w=power_w,
        rental_usd_per_h=of_each("usd_per_hour"),
        purchase_usd=of_each("purchase_usd"),
    )
    return n_units * power_w, paid


def _by_density(tried: Candidates, value: Callable[[float], float]) -> FloatArray:
    """`value` of each candidate's density."""
    densities, place = np.unique(tried.density, return_inverse=True)
    return np.array([value(density) for density in densities.tolist()], np.float64)[place]
