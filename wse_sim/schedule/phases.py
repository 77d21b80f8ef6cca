"""A run whose masks change, as phases of steps that cost the same."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from wse_sim.spec.run import Run

_DENSITIES_PER_UNIT = 100  # a density that moves is priced to the nearest percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Steps of a run that cost the same.

    Parameters
    ----------
    n_steps :
        Need not be whole: the last step of a run seldom is.
    is_mask_update :
        Whether each of these steps also changes the masks.
    """

    n_steps: float
    density: float
    is_mask_update: bool


def phases(run: Run) -> list[Phase]:
    """The phases of `run`, those of the same cost taken together, in the order in which each is first met.

    Gradual pruning follows s(t) = s_end (1 - (1 - t)^3) over the time in which masks change.

    Source: Zhu and Gupta, arXiv 1710.01878, Eq. (1).
    """
    updates = run.mask_updates
    if updates is None:
        return [Phase(n_steps=run.n_steps, density=run.density, is_mask_update=False)]
    if updates.algorithm == "spdf":
        n_sparse = run.n_steps * updates.until
        return [
            Phase(n_steps=n_sparse, density=run.density, is_mask_update=False),
            Phase(n_steps=run.n_steps - n_sparse, density=1.0, is_mask_update=False),
        ]
    n_updates = int(run.n_steps * updates.until // updates.every_steps)
    n_steps: dict[tuple[float, bool], float] = {}

    def add(count: float, density: float, is_mask_update: bool) -> None:
        if count > 0:
            n_steps[density, is_mask_update] = n_steps.get((density, is_mask_update), 0.0) + count

    for density, count in _updates_by_density(run, updates.algorithm, n_updates):
        add(count * (updates.every_steps - 1), density, False)
        add(count, density, True)
    add(run.n_steps - n_updates * updates.every_steps, run.density, False)
    return [
        Phase(n_steps=count, density=density, is_mask_update=is_mask_update)
        for (density, is_mask_update), count in n_steps.items()
    ]


def _updates_by_density(run: Run, algorithm: str, n_updates: int) -> Iterator[tuple[float, int]]:
    """The densities at which masks are changed, falling, and how often at each: found, not counted one by one."""

    def density_at(update: int) -> float:
        if algorithm != "gmp":
            return run.density
        exact = 1.0 - (1.0 - run.density) * (1.0 - (1.0 - update / n_updates) ** 3)
        return max(run.density, round(exact * _DENSITIES_PER_UNIT) / _DENSITIES_PER_UNIT)

    first = 0
    while first < n_updates:
        density = density_at(first)
        end = bisect_left(range(n_updates), True, lo=first, key=lambda update: density_at(update) < density)
        yield density, end - first
        first = end
