"""From constraints to a front: all candidates in closed form, then its finalists by the event engine."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from wse_sim.errors import choose
from wse_sim.plan.constraints import Constraints, Violations, violations
from wse_sim.plan.front import pareto_front
from wse_sim.plan.outcomes import Outcomes, Question, outcomes, run_at
from wse_sim.plan.space import Candidates, FloatArray, IntArray, Space, candidates
from wse_sim.simulate import step_time_s
from wse_sim.spec.cluster import load_cluster

Objective = Literal["cost", "time", "energy", "carbon", "loss", "systems"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
_N_FINALISTS = 32  # along the front
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
        Place of the candidate of least objective among those that keep to all constraints; of the one that misses them
        least, where none does. Both are simulated. None = there is none.
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
        return self.missed.is_kept

    @property
    def largest_closed_form_error(self) -> float:
        """Of the finalists' step times, relative to the event engine's."""
        simulated = self.found.step_s[self.is_simulated]
        errors = np.abs(self.closed_form_s[self.is_simulated] / simulated - 1.0)
        return float(errors.max(initial=0.0))


def search(question: Question, space: Space, constraints: Constraints, *, objective: str | None = None) -> Search:
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
    aim = choose(_default_objective(constraints) if objective is None else objective, OBJECTIVES, "objective")
    tried = candidates(space)
    found = outcomes(question, space, tried)
    closed_form_s, step_s, is_simulated = found.step_s, found.step_s.copy(), np.zeros(len(tried), bool)
    while True:
        missed = violations(constraints, tried, found)
        front = _front(found, missed.is_kept)
        finalists = _finalists(aim, tried, found, missed, front)
        todo = finalists[~is_simulated[finalists]]
        if not len(todo):
            break
        # What is simulated may fall out of the front, or out of the constraints: others come in its place.
        step_s[todo] = [_simulated_s(question, space, tried, place) for place in todo.tolist()]
        is_simulated[todo] = True
        found = outcomes(question, space, tried, step_s)
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
        best=_first(_best_first(aim, tried, found, missed)),
        nearest_miss=None if len(front) else _first(_nearest(found, missed)),
    )


def _default_objective(constraints: Constraints) -> Objective:
    return "loss" if constraints.said and constraints.target_loss is None else "cost"


def _front(found: Outcomes, kept: npt.NDArray[np.bool_]) -> IntArray:
    """Places of those `kept` that are not dominated."""
    places = np.flatnonzero(kept)
    return places[pareto_front(np.stack([found.wall_clock_s, found.cost_usd, found.loss], axis=1)[places])]


def _finalists(aim: str, tried: Candidates, found: Outcomes, missed: Violations, front: IntArray) -> IntArray:
    """Those next to the best, and more along the front; the nearest misses where nothing keeps to the constraints."""
    if not len(front):
        return _nearest(found, missed)[:_NEAR_BEST]
    near_best = _best_first(aim, tried, found, missed)[:_NEAR_BEST]
    along = front[np.unique(np.linspace(0, len(front) - 1, _N_FINALISTS).round().astype(np.int64))]
    return np.union1d(near_best, along)


def _simulated_s(question: Question, space: Space, tried: Candidates, place: int) -> float:
    """Step time of a candidate by the event engine."""
    run = run_at(question, space, tried, place)
    return step_time_s(run, load_cluster(run.system, run.num_csx))


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


def _best_first(aim: str, tried: Candidates, found: Outcomes, missed: Violations) -> IntArray:
    """Places of the candidates that keep to all constraints, that of least figure first.

    Of equal ones the cheapest, then the fastest, then that of least loss.
    """
    keys = (found.loss, found.wall_clock_s, found.cost_usd, _figure(aim, tried, found))
    places = np.flatnonzero(missed.is_kept)
    return places[np.lexsort([key[places] for key in keys])]


def _first(places: IntArray) -> int | None:
    return int(places[0]) if len(places) else None


def _nearest(found: Outcomes, missed: Violations) -> IntArray:
    """Places of the candidates that fit, that which misses the constraints least first."""
    places = np.flatnonzero(found.wall == 0)
    return places[np.argsort(missed.worst[places], kind="stable")]
