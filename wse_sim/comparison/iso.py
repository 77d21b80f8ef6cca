"""What each way comes to in the same time, and what each takes to the same loss."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from wse_sim.comparison.ways import loss_of
from wse_sim.laws.cerebras_gpt import LossProjection, dense_equivalent_size, project_loss, projected_losses
from wse_sim.report.comparison import ClusterWay, IsoLoss, IsoTime, LossCurve, Way
from wse_sim.spec.run import Run
from wse_sim.workload.transformer import n_parameters

_MOST_DOUBLINGS = 40  # of the run's tokens, within which a loss is looked for
_TOLERANCE = 1e-13  # of a number of tokens
_PAID = ("energy_j", "carbon_kg", "cost_usd")
_FIRST, _LAST = 0.05, 1.5  # of the wafers' run, and of the longest one: where curves begin and end
_N_POINTS = 40


def iso_time(run: Run, ways: Mapping[str, Way]) -> dict[str, IsoTime]:
    """Tokens and projected loss of each way in the time of the steps of the run on wafers; empty without a law."""
    found = {}
    for name, way in ways.items():
        tokens = run.tokens * (way.tokens_per_s / ways["wafer"].tokens_per_s)
        loss = loss_of(run, way.density, tokens)
        if loss is None:
            return {}
        is_known = loss.value <= math.log(run.shape.vocab_size)  # whoever guesses evenly has that: no law begins there
        found[name] = IsoTime(
            tokens=tokens,
            tokens_per_parameter=tokens / n_parameters(run.shape),
            loss=loss if is_known else None,
        )
    return found


def iso_loss(run: Run, ways: Mapping[str, Way]) -> dict[str, IsoLoss]:
    """What each way takes to the projected loss of the run on wafers; empty without a law."""
    target = ways["wafer"].loss
    return {} if target is None else {name: _iso_loss(run, way, target) for name, way in ways.items()}


def loss_curves(run: Run, ways: Mapping[str, Way]) -> dict[str, LossCurve]:
    """Projected loss of each way against the time of its steps, around the ends of the runs; empty without a law."""
    if ways["wafer"].loss is None:
        return {}
    longest_s = max(way.run_time_s for way in ways.values() if isinstance(way, ClusterWay))
    times_s = np.geomspace(_FIRST * ways["wafer"].run_time_s, _LAST * longest_s, _N_POINTS)
    curves = {}
    for name, way in ways.items():
        size = dense_equivalent_size(run.shape, way.density)
        losses = projected_losses(run.shape, size, run.tokens * times_s / way.run_time_s, seq_len=run.seq_len)
        curves[name] = LossCurve(time_s=tuple(times_s.tolist()), loss=tuple(losses.tolist()))
    return curves


def tokens_to_loss(loss_after: Callable[[float], float], target: float, start: float) -> float | None:
    """The tokens after which a falling law of the loss reaches `target`; None where it is not reached.

    Parameters
    ----------
    start :
        Where the search starts; the answer itself where the law says `target` there.
    """
    at_start = loss_after(start)
    if at_start == target:
        return start
    factor = 2.0 if at_start > target else 0.5
    low, high = start, start
    for _ in range(_MOST_DOUBLINGS):
        low, high = high, high * factor
        if (loss_after(high) > target) is not (at_start > target):
            return _bisected(loss_after, target, *sorted((low, high)))
    return None


def _bisected(loss_after: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Between `low`, where the loss is above the target, and `high`, where it is not."""
    while high / low - 1.0 > _TOLERANCE:
        middle = math.sqrt(low * high)
        if not low < middle < high:
            break
        low, high = (middle, high) if loss_after(middle) > target else (low, middle)
    return high


def _iso_loss(run: Run, way: Way, target: LossProjection) -> IsoLoss:
    size = dense_equivalent_size(run.shape, way.density)

    def loss_after(tokens: float) -> float:
        return float(projected_losses(run.shape, size, tokens, seq_len=run.seq_len))

    tokens = tokens_to_loss(loss_after, target.value, run.tokens)
    if tokens is None:
        most = 2.0**_MOST_DOUBLINGS
        return IsoLoss(
            tokens=None,
            tokens_per_parameter=None,
            run_time_s=None,
            **dict.fromkeys(_PAID),
            reason=f"{target.law} does not reach {target.value:.4f} within {most:.0e} times the tokens of the run",
            caveats=(),
        )
    share = tokens / run.tokens  # energy and cost go with time
    paid = {name: getattr(way, name) * share if isinstance(way, ClusterWay) else None for name in _PAID}
    return IsoLoss(
        tokens=tokens,
        tokens_per_parameter=tokens / n_parameters(run.shape),
        run_time_s=way.run_time_s * share,
        **paid,
        reason="",
        caveats=project_loss(run.shape, density=way.density, tokens=tokens, seq_len=run.seq_len).caveats,
    )
