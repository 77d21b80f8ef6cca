"""From constraints to a front: all candidates in closed form, then its finalists by the event engine."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from wse_sim.errors import choose
from wse_sim.plan.constraints import Constraints, Violations, violations
from wse_sim.plan.front import pareto_front
from wse_sim.plan.outcomes import Outcomes, Question, outcomes, planned_run
from wse_sim.plan.space import Candidates, FloatArray, IntArray, Space, candidates
from wse_sim.simulate import step_time_s
from wse_sim.spec.cluster import load_cluster

Objective = Literal["cost", "time", "energy", "carbon", "loss", "systems"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
N_FINALISTS = 32
_NEAR_BEST = 8  # candidates next to the best one are simulated too: their order may change


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Every candidate, and what came of it.

    Parameters
    ----------
    tried, found, missed : n
        Candidates; their outcomes; how far they are from the constraints. Finalists' are simulated, the others' are in
        closed form.
    closed_form_s : (n,)
        Step times in closed form.
    is_simulated : (n,)
    front :
        Places of the candidates that keep to all constraints and are not dominated in wall clock, cost and loss, the
        fastest first.
    best, nearest_miss :
        Place of the candidate of least objective on the front; of the one that misses the constraints least, where none
        keeps to them. None = there is none.
    """

    question: Question
    space: Space
    constraints: Constraints
    objective: Objective
    tried: Candidates
    found: Outcomes
    missed: Violations
    closed_form_s: FloatArray
    is_simulated: npt.NDArray[np.bool_]
    front: IntArray
    best: int | None
    nearest_miss: int | None

    @property
    def is_feasible(self) -> npt.NDArray[np.bool_]:
        """(n,): candidates that fit and keep to all constraints."""
        return _is_feasible(self.found, self.missed)

    @property
    def largest_closed_form_error(self) -> float:
        """Of the finalists' step times, relative to the event engine's."""
        simulated = self.found.step_s[self.is_simulated]
        errors = np.abs(self.closed_form_s[self.is_simulated] / simulated - 1.0)
        return float(errors.max(initial=0.0))


def search(
    question: Question,
    space: Space,
    constraints: Constraints,
    *,
    objective: str | None = None,
    n_finalists: int = N_FINALISTS,
) -> Search:
    """The candidates of `space` that keep to `constraints`, and the best of them.

    Parameters
    ----------
    objective :
        What is least in the best candidate; None = cost where a target loss is given, loss where another limit is, else
        cost.

    Raises
    ------
    SpecError
        When there are no candidates, or the objective is unknown.
    """
    aim = _default_objective(constraints) if objective is None else objective
    aim = choose(aim, OBJECTIVES, "objective")
    tried = candidates(space)
    found = outcomes(question, space, tried)
    missed = violations(constraints, tried, found)
    closed_form_s = found.step_s
    front = _front(found, _is_feasible(found, missed))
    chosen = _finalists(aim, tried, found, missed, front, n_finalists)
    step_s = closed_form_s.copy()
    for place in chosen.tolist():
        step_s[place] = _simulated_s(question, space, tried, place)
    found = outcomes(question, space, tried, step_s)
    missed = violations(constraints, tried, found)
    is_simulated = np.zeros(len(tried), bool)
    is_simulated[chosen] = True
    is_feasible = _is_feasible(found, missed)
    front = front[is_feasible[front]]
    front = front[_front(found[front], np.ones(len(front), bool))]
    return Search(
        question=question,
        space=space,
        constraints=constraints,
        objective=aim,  # type: ignore[arg-type]  # `choose` has checked the name
        tried=tried,
        found=found,
        missed=missed,
        closed_form_s=closed_form_s,
        is_simulated=is_simulated,
        front=front,
        best=_least(aim, tried, found, front[is_simulated[front]]),
        nearest_miss=None if is_feasible.any() else _nearest(found, missed),
    )


def _default_objective(constraints: Constraints) -> Objective:
    return "loss" if constraints.said and constraints.target_loss is None else "cost"


def _is_feasible(found: Outcomes, missed: Violations) -> npt.NDArray[np.bool_]:
    return np.asarray((found.wall == 0) & (missed.worst <= 0))


def _front(found: Outcomes, kept: npt.NDArray[np.bool_]) -> IntArray:
    """Places of those `kept` that are not dominated."""
    places = np.flatnonzero(kept)
    return places[pareto_front(np.stack([found.wall_clock_s, found.cost_usd, found.loss], axis=1)[places])]


def _finalists(
    aim: str, tried: Candidates, found: Outcomes, missed: Violations, front: IntArray, n_finalists: int
) -> IntArray:
    """Those next to the best, and more along the front; the nearest misses where nothing keeps to the constraints."""
    if not len(front):
        order = np.argsort(np.where(found.wall == 0, missed.worst, np.inf), kind="stable")
        return order[: min(_NEAR_BEST, int((found.wall == 0).sum()))]
    near_best = front[np.lexsort((found.wall_clock_s[front], _figure(aim, tried, found)[front]))][:_NEAR_BEST]
    along = front[np.unique(np.linspace(0, len(front) - 1, n_finalists).round().astype(np.int64))]
    return np.union1d(near_best, along)


def _simulated_s(question: Question, space: Space, tried: Candidates, place: int) -> float:
    """Step time of a candidate by the event engine."""
    system, num_csx = space.systems[tried.system[place]], int(tried.num_csx[place])
    sizes = {"batch_size": int(tried.batch_size[place]), "microbatch": int(tried.microbatch[place])}
    run = planned_run(question, system, float(tried.density[place]), num_csx=num_csx, **sizes)
    return step_time_s(run, load_cluster(system, num_csx))


def _figure(aim: str, tried: Candidates, found: Outcomes) -> FloatArray:
    figures = {
        "cost": found.cost_usd,
        "time": found.wall_clock_s,
        "energy": found.energy_j,
        "carbon": found.carbon_kg,
        "loss": found.loss,
        "systems": tried.num_csx.astype(np.float64),
    }
    return figures[aim]


def _least(aim: str, tried: Candidates, found: Outcomes, places: IntArray) -> int | None:
    """The one of `places` with the least figure; of equal ones the cheapest, then the fastest."""
    if not len(places):
        return None
    order = np.lexsort((found.wall_clock_s[places], found.cost_usd[places], _figure(aim, tried, found)[places]))
    return int(places[order[0]])


def _nearest(found: Outcomes, missed: Violations) -> int | None:
    if not (found.wall == 0).any():
        return None
    return int(np.argmin(np.where(found.wall == 0, missed.worst, np.inf)))
