"""The plot of a study: loss against learning rate, one curve for each value of the axis."""

import math
from collections.abc import Sequence

from training.axis import Axis
from training.transfer_result import ParametrizationResult, ValueResult
from wse_sim.report.curves import Curve, Panel

# A rate far too high would leave no room on the page for the bowls: what is this far above the best is not drawn.
_HIGHEST = 1.35


def panels(results: Sequence[ParametrizationResult], over: Axis) -> list[Panel]:
    """One panel for each parameterization."""
    return [_panel(result, over) for result in results]


def _panel(result: ParametrizationResult, over: Axis) -> Panel:
    best = min(value.best_loss for value in result.values if value.best_loss is not None)
    return Panel(
        title=f"{result.parametrization}: {result.verdict}",
        x_label="base learning rate",
        y_label="held-out loss, nats per byte",
        curves=[_curve(value, over, _HIGHEST * best) for value in result.values],
        x_scale="log2",
    )


def _curve(value: ValueResult, over: Axis, highest: float) -> Curve:
    shown = [rate for rate in value.rates if rate.loss.value is not None and rate.loss.value <= highest]
    has_interval = all(rate.loss.low is not None for rate in shown)
    return Curve(
        label=f"{over} {value.value:g}",
        x=[2.0**rate.log2_lr for rate in shown],
        y=[rate.loss.value or math.nan for rate in shown],
        low=[rate.loss.low or math.nan for rate in shown] if has_interval else None,
        high=[rate.loss.high or math.nan for rate in shown] if has_interval else None,
        is_marked=True,
    )
