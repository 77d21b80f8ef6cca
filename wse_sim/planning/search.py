"""From constraints to a front: all candidates in closed form, then its finalists by the event engine."""

import logging
import time
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from wse_sim.errors import choose
from wse_sim.planning.constraints import Constraints, Violations, violations
from wse_sim.planning.front import pareto_front
from wse_sim.planning.outcomes import Outcomes, Question, Steps, outcomes, run_at, steps_in_closed_form
from wse_sim.planning.space import Candidates, FloatArray, IntArray, Space, candidates
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.simulation import step_time_s
from wse_sim.spec.cluster import load_cluster

_log = logging.getLogger(__name__)

Objective = Literal["cost", "time", "energy", "carbon", "loss", "systems"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
_NEAR_MISSES = 8  # simulated at a time where nothing keeps to the constraints
_MARGIN = 0.02  # by which the closed form may be slower than the event engine, and a candidate be overlooked


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Every candidate, and what came of it.

    Parameters
    ----------
    tried, found, missed : n
        Candidates; their outcomes; how far they are from the constraints. With the steps of finalists simulated, the
        others in closed form.
    closed_form_s : (n,)
        Step times in closed form; nan where a step fits into no memory.
    is_simulated : (n,)
        Whose step is that of a finalist.
    front :
        Places of the candidates that keep to all constraints and are not dominated in wall clock, cost and loss, the
        fastest first. All are simulated.
    best, nearest_miss :
        Place of the candidate of least objective among those that keep to all constraints; of the one that misses them
        least, where none does, and of these again that of least objective. Both are simulated. None = there is none.
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
    def shown(self) -> int | None:
        """The best, or the nearest miss where there is none."""
        return self.nearest_miss if self.best is None else self.best

    @property
    def largest_closed_form_error(self) -> float:
        """Of the finalists' step times, relative to the event engine's."""
        known = self.is_simulated & (self.found.wall == 0)
        errors = np.abs(self.closed_form_s[known] / self.found.step_s[known] - 1.0)
        return float(errors.max(initial=0.0))


def search(
    question: Question,
    space: Space,
    constraints: Constraints,
    *,
    objective: str | None = None,
    watch: Watch = UNWATCHED,
) -> Search:
    """The candidates of `space` that keep to `constraints`, and the best of them.

    Parameters
    ----------
    objective :
        What is least in the best candidate; None = loss; cost with a target loss, or without limits.
    watch :
        Hears of finalists that are simulated.

    Raises
    ------
    SpecError
        When there are no candidates, or the objective is unknown.
    """
    aim = choose(_default_objective(constraints) if objective is None else objective, OBJECTIVES, "objective")
    started_s = time.perf_counter()
    tried = candidates(space)
    steps = steps_in_closed_form(question, space, tried)
    _log.info("%s candidates in closed form: %.3g s", f"{len(tried):,}", time.perf_counter() - started_s)
    simulated_s = _simulated_finalists(question, space, constraints, aim, tried, steps, watch)
    is_simulated = ~np.isnan(simulated_s)
    _log.info("%s of them simulated: %.3g s in all", f"{is_simulated.sum():,}", time.perf_counter() - started_s)
    found = outcomes(question, space, tried, _with_times(steps, simulated_s, otherwise=1.0))
    missed = violations(constraints, tried, found)
    front = _front(found, missed.is_kept)
    return Search(
        question=question,
        space=space,
        constraints=constraints,
        objective=aim,  # type: ignore[arg-type]  # `choose` has checked the name
        tried=tried,
        found=found,
        missed=missed,
        closed_form_s=steps.step_s,
        is_simulated=is_simulated,
        front=front,
        best=_best(aim, tried, found, missed.is_kept) if len(front) else None,
        nearest_miss=None if len(front) else next(iter(_nearest(aim, tried, found, missed).tolist()), None),
    )


def _simulated_finalists(
    question: Question,
    space: Space,
    constraints: Constraints,
    aim: str,
    tried: Candidates,
    steps: Steps,
    watch: Watch,
) -> FloatArray:
    """(n,): step times by the event engine; nan where a step is that of no finalist.

    A step that was not simulated is taken to be as fast as it may be. Where it turns out slower, others come in the
    place of its candidates, until no other may belong there.
    """
    simulated_s = np.full(len(tried), np.nan)
    while True:
        hoped = outcomes(question, space, tried, _with_times(steps, simulated_s, otherwise=1.0 - _MARGIN))
        finalists = _finalists(aim, tried, hoped, violations(constraints, tried, hoped))
        todo = finalists[np.isnan(simulated_s[finalists])]
        if not len(todo):
            return simulated_s
        places = todo[np.unique(tried.step[todo], return_index=True)[1]].tolist()
        watch.begin(len(places), "finalists")
        for place in places:
            simulated_s[tried.step == tried.step[place]] = _simulated_s(question, space, tried, place)
            watch.came()


def _with_times(steps: Steps, simulated_s: FloatArray, *, otherwise: float) -> Steps:
    """`steps` with simulated times where there are some, otherwise with so many times those of the closed form."""
    return replace(steps, step_s=np.where(np.isnan(simulated_s), otherwise * steps.step_s, simulated_s))


def _default_objective(constraints: Constraints) -> Objective:
    return "loss" if constraints.said and constraints.target_loss is None else "cost"


def _front(found: Outcomes, kept: npt.NDArray[np.bool_]) -> IntArray:
    """Places of those `kept` that are not dominated."""
    places = np.flatnonzero(kept)
    return places[pareto_front(np.stack([found.wall_clock_s, found.cost_usd, found.loss], axis=1)[places])]


def _finalists(aim: str, tried: Candidates, found: Outcomes, missed: Violations) -> IntArray:
    """The front and the best; the nearest misses where nothing keeps to the constraints."""
    if not missed.is_kept.any():
        return _nearest(aim, tried, found, missed)[:_NEAR_MISSES]
    return np.append(_front(found, missed.is_kept), _best(aim, tried, found, missed.is_kept))


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


def _best(aim: str, tried: Candidates, found: Outcomes, kept: npt.NDArray[np.bool_]) -> int:
    """Place of the least figure of those `kept`; of equal ones the cheapest, then the fastest, then of least loss."""
    figure = _figure(aim, tried, found)
    return int(_least_first(np.flatnonzero(kept & (figure == figure[kept].min())), found)[0])


def _nearest(aim: str, tried: Candidates, found: Outcomes, missed: Violations) -> IntArray:
    """Places of the candidates that fit, that which misses the constraints least first; of equal ones as of the best.

    A constraint that many miss by as much, such as power, is no reason to take the dearest of them.
    """
    return _least_first(np.flatnonzero(found.wall == 0), found, missed.worst, _figure(aim, tried, found))


def _least_first(places: IntArray, found: Outcomes, *keys: FloatArray) -> IntArray:
    """`places` in ascending order of the first of `keys`, then of the others, cost, wall clock and loss."""
    in_order = (*keys, found.cost_usd, found.wall_clock_s, found.loss)
    return places[np.lexsort([key[places] for key in reversed(in_order)])]
