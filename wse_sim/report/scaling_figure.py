"""Figures of a projected loss: what was measured, the law through it, and its way to the target."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wse_sim.laws.observation import Row
from wse_sim.laws.projection import Projection
from wse_sim.laws.published import published_laws
from wse_sim.report.curves import Curve, Panel, write_curves
from wse_sim.spec.load import data_path, model_names, read_toml

_N_ON_LINE = 60
_PROJECTED = "projected, with its interval"
_PUBLISHED = "Cerebras-GPT: published losses, and Eq. 1"


def write_projection_figure(projection: Projection, path: Path) -> None:
    """Losses of the runs over their compute, the law through them, and its way to the target with its interval.

    Raises
    ------
    SpecError
        When it cannot be written.
    """
    target, prediction = projection.target, projection.prediction
    flops = target.flops(projection.law.convention)
    curves = [_measured(projection, density) for density in _densities(projection.rows)]
    curves += [_law(projection, density) for density in _densities(projection.choice.rows)]
    curves += [_way_to_target(projection), _point(flops, prediction.value, prediction.low, prediction.high)]
    panel = Panel(
        title=f"{target.shape.name}, density {target.density:g}: {prediction.value:.3f} nats per byte, projected",
        x_label=f"training FLOPs (convention {projection.law.convention})",
        y_label="held-out loss, nats per byte",
        curves=curves,
        x_scale="log10",
    )
    write_curves([panel], path)


def write_published_figure(content: Mapping[str, Any], path: Path) -> None:
    """Eq. 1 of Cerebras-GPT, the seven models that it was fitted to, and the target.

    Parameters
    ----------
    content :
        As `wse_sim.report.projection.from_the_papers` gives it.

    Raises
    ------
    SpecError
        When it cannot be written.
    """
    laws, flops = published_laws(), content["effective_flops"]
    tables = [read_toml(data_path("models", f"{name}.toml")).get("published", {}) for name in model_names()]
    rows = sorted((row["training_flops"], row["pile_loss_sp"]) for row in tables if "pile_loss_sp" in row)
    valid = laws.cerebras_gpt_validity
    x = np.geomspace(min(valid.flops_low, flops), max(valid.flops_high, flops), _N_ON_LINE)
    measured = Curve(
        label=_PUBLISHED, x=[f for f, _ in rows], y=[loss for _, loss in rows], is_marked=True, is_joined=False
    )
    law = Curve(label=_PUBLISHED, x=x.tolist(), y=laws.cerebras_gpt.loss(x).tolist())
    target = _point(flops, content["loss"], content["loss_low"], content["loss_high"])
    panel = Panel(
        title=f"{content['model']}, density {content['density']:g}: {content['loss']:.3f} nats per token, projected",
        x_label="training FLOPs (convention paper; a sparse model's: of the dense one of equal loss)",
        y_label="Pile test loss, nats per token",
        curves=[measured, law, target],
        x_scale="log10",
    )
    write_curves([panel], path)


def _densities(rows: Sequence[Row]) -> list[float]:
    return sorted({row.sample.density for row in rows}, reverse=True)


def _measured(projection: Projection, density: float) -> Curve:
    rows = [row for row in projection.rows if row.sample.density == density]
    return Curve(
        label=f"density {density:g}: measured, and the law",
        x=[row.sample.flops(projection.law.convention) for row in rows],
        y=[row.loss for row in rows],
        low=[min(row.losses) for row in rows],
        high=[max(row.losses) for row in rows],
        is_marked=True,
        is_joined=False,
    )


def _law(projection: Projection, density: float) -> Curve:
    """The law from the first to the last of the rows of one density, in order of their compute."""
    convention = projection.law.convention
    samples = [row.sample for row in projection.choice.rows if row.sample.density == density]
    samples.sort(key=lambda sample: sample.flops(convention))
    values, _, _ = projection.loss(samples)
    x = [sample.flops(convention) for sample in samples]
    return Curve(label=f"density {density:g}: measured, and the law", x=x, y=values.tolist())


def _way_to_target(projection: Projection) -> Curve:
    """The law from the largest row to the target: everything it depends on grows in proportion."""
    convention, target = projection.law.convention, projection.target
    largest = max((row.sample for row in projection.choice.rows), key=lambda sample: sample.flops(convention))
    start = replace(largest, density=target.density)
    names = ("flops", *projection.fitted.form.inputs)
    first, last = (np.array(sample.inputs(names, convention)) for sample in (start, target))
    flops, *columns = np.geomspace(first, last, _N_ON_LINE).T
    values, low, high = projection.loss_at(columns)
    return Curve(
        label=_PROJECTED, x=flops.tolist(), y=values.tolist(), low=low.tolist(), high=high.tolist(), is_dashed=True
    )


def _point(flops: float, value: float, low: float, high: float) -> Curve:
    return Curve(label=_PROJECTED, x=[flops], y=[value], low=[low], high=[high], is_marked=True, is_joined=False)
