"""An algorithm written for a run of one length, in a run of another: masks change as often in the course of it."""

from typing import Any

import msgspec

from wse_sim.spec.sparsity.algorithms import SPDF, Algorithm, Static
from wse_sim.spec.sparsity.hyper import Cosine, Cubic, Exp, Hyperparameter, Linear, Power
from wse_sim.spec.sparsity.updates import Update


def stretched(algorithm: Algorithm, *, of: int, n_steps: int) -> Algorithm:
    """The algorithm with every step, and everything that is per step, in a run of `n_steps` as it is in one of `of`.

    Fractions of the run, and what counts updates, stay as they are.
    """
    if of == n_steps or isinstance(algorithm, Static):
        return algorithm
    ratio = n_steps / of
    if isinstance(algorithm, SPDF):
        return msgspec.structs.replace(algorithm, lift_at=_position(algorithm.lift_at, of))
    changes: dict[str, Any] = {
        name: _hyperparameter(value, of, ratio)
        for name in ("sparsity", "drop_fraction")
        if (value := getattr(algorithm, name, None)) is not None
    }
    update = Update(freq=1) if algorithm.update is None else algorithm.update
    return msgspec.structs.replace(algorithm, update=_update(update, of, ratio), **changes)


def _position(position: int | float, of: int) -> int | float:
    """A step as the fraction of the run that it is."""
    return min(1.0, position / of) if isinstance(position, int) else position


def _update(update: Update, of: int, ratio: float) -> Update:
    if update.steps is not None:
        return Update(steps=tuple(sorted({round(step * ratio) for step in update.steps})))
    assert update.freq is not None
    return Update(
        freq=max(1, round(update.freq * ratio)),
        start=_position(update.start, of) if update.start else 0,
        stop=None if update.stop is None else _position(update.stop, of),
    )


def _hyperparameter(value: Hyperparameter, of: int, ratio: float) -> Hyperparameter:
    match value:
        case Cosine():
            # A half period may be longer than the run, which a fraction of it cannot say.
            period = value.half_period
            long = isinstance(period, int) and period > of
            return msgspec.structs.replace(value, half_period=round(period * ratio) if long else _position(period, of))
        case Cubic():
            return msgspec.structs.replace(value, start=_position(value.start, of), stop=_position(value.stop, of))
        case Linear():
            return msgspec.structs.replace(value, slope=value.slope / ratio)
        case Exp():
            return msgspec.structs.replace(value, gamma=value.gamma / ratio)
        case Power():
            return msgspec.structs.replace(value, beta=value.beta ** (1.0 / ratio))
        case _:
            return value
