"""A plan, as it is printed and written; `wse-sim explain FIELD` says what each field means."""

import msgspec

from wse_sim.planning.constraints import Constraints
from wse_sim.spec.sourced import Sourced


class PlanRow(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration of a plan."""

    system: str
    num_csx: int
    batch_size: int
    microbatch: int
    density: float
    schedule: str
    tokens_per_parameter: float
    tokens: float
    n_steps: float
    step_time_s: float
    closed_form_step_time_s: float
    engine: str
    tokens_per_s: float
    run_time_s: float
    wall_clock_s: float
    goodput: float
    power_w: float
    energy_j: float
    carbon_kg: float
    cost_usd: float
    loss: float
    loss_low: float
    loss_high: float
    missed: dict[str, float]


class DaysSensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """The wall clock of the best configuration with one constant at either end of its range; None = without end."""

    constant: str
    low: float
    high: float
    wall_clock_s_at_low: float | None
    wall_clock_s_at_high: float | None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to book for a model."""

    kind: str
    model: str
    params: int
    seq_len: int
    release: str
    objective: str
    constraints: Constraints
    axes: dict[str, list[float | str]]
    is_satisfied: bool
    best: PlanRow | None
    nearest_miss: PlanRow | None
    front: list[PlanRow]
    n_candidates: int
    n_feasible: int
    rejected: dict[str, int]
    largest_closed_form_error: float
    tornado: list[DaysSensitivity]
    price_basis: str
    grid: str
    loss_law: str
    caveats: list[str]
    assumed: list[str]
    assumed_constants: dict[str, Sourced]


class WrittenPlan(Plan, frozen=True, kw_only=True):
    """A plan as plan.json has it: with the command that made it."""

    command: str
