"""A search as a plan: rows, the tornado, and what stands behind them."""

import math
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from wse_sim.laws.cerebras_gpt import LossProjection, project_loss
from wse_sim.laws.power_lines import uncertain_coefficients
from wse_sim.planning.outcomes import WALLS, Question
from wse_sim.planning.result import Plan, PlanRow
from wse_sim.planning.search import Search
from wse_sim.planning.space import Space
from wse_sim.planning.tornado import tornado
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.economics import priced
from wse_sim.spec.model import ModelShape
from wse_sim.spec.sourced import Sourced
from wse_sim.workload.transformer import n_parameters

LOSS_LAW = (
    "Cerebras-GPT Eq. 1 at 20 tokens per parameter and the dense-equivalent size of Frantar et al., tokens after "
    "Hoffmann et al., batches after Power Lines, the decay to zero after Straight to Zero"
)

# Of a row, as of the outcomes.
_FIGURES = ("tokens", "n_steps", "wall_clock_s", "goodput", "power_w", "energy_j", "carbon_kg", "cost_usd", "loss")


def plan_of(search: Search) -> Plan:
    """What the search found, in the words of its users."""
    question, space, shown = search.question, search.space, search.shown
    systems = space.systems if shown is None else (space.systems[search.tried.system[shown]],)
    assumed = _assumed(question, systems)
    return Plan(
        kind="simulated and projected",
        model=question.shape.name,
        params=n_parameters(question.shape),
        seq_len=question.seq_len,
        release=question.release,
        objective=search.objective,
        constraints=search.constraints,
        axes=_axes(space),
        is_satisfied=search.best is not None,
        best=None if search.best is None else plan_row(search, search.best),
        nearest_miss=None if search.nearest_miss is None else plan_row(search, search.nearest_miss),
        front=[plan_row(search, int(place)) for place in search.front],
        n_candidates=len(search.tried),
        n_feasible=int(search.missed.is_kept.sum()),
        rejected=rejections(search),
        largest_closed_form_error=search.largest_closed_form_error,
        tornado=[] if shown is None else tornado(search, shown),
        price_basis=question.economics.price_basis,
        grid=question.economics.grid_in_words,
        loss_law=LOSS_LAW,
        caveats=_caveats(search),
        assumed=list(assumed),
        assumed_constants={name: constant for name, constant in assumed.items() if math.isfinite(constant.value)},
    )


def walls(search: Search) -> list[str]:
    """Why each candidate was rejected: the wall that it does not fit through, or the constraint that it misses most; ""
    where it was not.
    """
    by = np.array(WALLS, object)[search.found.wall]
    for name, excess in search.missed.excess.items():
        by[(excess > 0) & (excess == search.missed.worst)] = name
    return list(by)


def rejections(search: Search) -> dict[str, int]:
    """How many candidates each wall and each constraint rejected, most first."""
    counts = Counter(walls(search))
    del counts[""]
    return dict(counts.most_common())


def plan_row(search: Search, place: int) -> PlanRow:
    """Candidate `place`, in words."""
    tried, found, space = search.tried, search.found, search.space
    figures = {name: float(getattr(found, name)[place]) for name in _FIGURES}
    density = float(tried.density[place])
    law = _law(search.question.shape, density, figures["tokens"], search.question.seq_len)
    step_s = float(found.step_s[place])
    return PlanRow(
        system=space.systems[tried.system[place]],
        num_csx=int(tried.num_csx[place]),
        batch_size=int(tried.batch_size[place]),
        microbatch=int(tried.microbatch[place]),
        density=density,
        schedule=space.schedules[tried.schedule[place]],
        tokens_per_parameter=float(tried.tokens_per_parameter[place]),
        step_time_s=step_s,
        closed_form_step_time_s=float(search.closed_form_s[place]),
        engine="event" if search.is_simulated[place] else "closed form",
        tokens_per_s=float(tried.batch_size[place] * search.question.seq_len / step_s),
        run_time_s=float(found.run_s[place]),
        # A loss that also knows the batch and the schedule has the law's range.
        loss_low=figures["loss"] * (law.low / law.value),
        loss_high=figures["loss"] * (law.high / law.value),
        missed={name: float(excess[place]) for name, excess in search.missed.excess.items() if excess[place] > 0},
        **figures,
    )


@lru_cache
def _law(shape: ModelShape, density: float, tokens: float, seq_len: int) -> LossProjection:
    """What the law says of rows, which share few densities and lengths."""
    return project_loss(shape, density=density, tokens=tokens, seq_len=seq_len)


def _axes(space: Space) -> dict[str, list[float | str]]:
    return {
        "system": list(space.systems),
        "num_csx": list(space.num_csx),
        "batch_size": list(space.batch_sizes),
        "density": list(space.densities),
        "schedule": list(space.schedules),
        "tokens_per_parameter": list(space.tokens_per_parameter),
    }


def _caveats(search: Search) -> list[str]:
    place = search.shown
    if place is None:
        return []
    question = search.question
    density, tokens = float(search.tried.density[place]), float(search.found.tokens[place])
    law = _law(question.shape, density, tokens, question.seq_len)
    return [
        "masks are static and drawn at random: a loss that was really reached comes from wse-sim train",
        *law.caveats,
        "the gain of a decay to zero was published for 610M parameters and dense models",
    ]


def _assumed(question: Question, systems: Iterable[str]) -> dict[str, Sourced]:
    """The constants behind plans on `systems` for which nothing better than an assumption is known, by name."""
    operations, found = question.operations, dict(question.economics.assumed_constants)
    for system in systems:
        found |= priced(load_cluster(system, 1), question.economics).assumed_constants
    found |= {f"operations.{name}": operations.constants[name] for name in operations.assumed}
    lines = uncertain_coefficients("optimal_batch", "critical_batch")
    found |= {f"power_lines.{name}": constant for name, constant in lines.items()}
    return dict(sorted(found.items()))
