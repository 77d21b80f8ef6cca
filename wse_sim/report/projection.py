"""A projected loss as one table of figures, for programs and for people."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from rich.console import RenderableType

from wse_sim.laws.cerebras_gpt import CONVENTION, project_loss
from wse_sim.laws.observation import Sample
from wse_sim.laws.power_lines import recommend
from wse_sim.laws.projection import EQUATIONS, Projection
from wse_sim.laws.published import published_laws
from wse_sim.report.quantities import count, of_density, percent, significant
from wse_sim.report.tables import plain_table
from wse_sim.spec.load import data_path, read_toml
from wse_sim.spec.model import ModelPreset, ModelShape, Recipe
from wse_sim.spec.run import TOKENS_PER_PARAMETER
from wse_sim.workload.flops import Convention
from wse_sim.workload.transformer import n_parameters, nonzero_parameters

Content = dict[str, Any]

_HEADER = ("figure", "value", "range or remark")


def from_runs(projection: Projection) -> Content:
    """A projection from runs, as `wse-sim project --json` prints it."""
    prediction = projection.prediction
    return {
        **_target(projection.target, projection.law.convention),
        "loss": prediction.value,
        "loss_low": prediction.low,
        "loss_high": prediction.high,
        "loss_unit": "nats/byte",
        "intervals": prediction.intervals,
        "law": msgspec.to_builtins(projection.law),
        "extrapolation": projection.extrapolation,
        "rows": [_row(projection, number) for number in range(len(projection.rows))],
        "caveats": list(projection.caveats),
    }


def from_the_papers(shape: ModelShape, *, density: float, tokens_per_parameter: float | None) -> Content:
    """The loss by the published law of Cerebras-GPT, in the same keys.

    Raises
    ------
    SpecError
        When the density is not in (0, 1].
    """
    tokens = (tokens_per_parameter or TOKENS_PER_PARAMETER) * n_parameters(shape)
    projected = project_loss(shape, density=density, tokens=tokens)
    laws = published_laws()
    return {
        **_target(Sample(shape=shape, density=density, tokens=tokens, seq_len=shape.seq_len), CONVENTION),
        "loss": projected.value,
        "loss_low": projected.low,
        "loss_high": projected.high,
        "loss_unit": "nats/token",
        "law": {
            "name": "power",
            "equation": EQUATIONS["power"],
            "reason": f"published: {projected.law}",
            "coefficients": msgspec.to_builtins(laws.cerebras_gpt),
            "residual_std": laws.cerebras_gpt_residual.relative_std,
            "convention": CONVENTION,
        },
        "effective_flops": projected.effective_flops,
        "extrapolation": {"flops": projected.effective_flops / laws.cerebras_gpt_validity.flops_high},
        "rows": [],
        "caveats": list(projected.caveats),
    }


def recommended_for(preset: ModelPreset, tokens_per_parameter: float) -> Content:
    """Batch, timescale and weight decay for the model as it is, at the batch and learning rate of its recipe if any."""
    size, recipe = n_parameters(preset.shape), preset.recipe
    recommended = recommend(
        tokens=tokens_per_parameter * size,
        parameters=size,
        seq_len=preset.shape.seq_len,
        batch_size=recipe.batch_size if recipe else None,
        peak_lr=_hidden_lr(preset.shape, recipe) if recipe else None,
    )
    return {"kind": "projected", "tokens": tokens_per_parameter * size, **msgspec.to_builtins(recommended)}


def _hidden_lr(shape: ModelShape, recipe: Recipe) -> float:
    """Peak learning rate of the hidden matrices: under μP a recipe names that of its base's width."""
    if recipe.parametrization == "sp":
        return recipe.peak_lr
    assert recipe.base is not None, "a recipe of μP names its base"
    d_base: int = read_toml(data_path("bases.toml"))[recipe.base]["d_base"]
    return recipe.peak_lr * d_base / shape.d_model


def projection_tables(content: Content) -> Iterator[RenderableType]:
    """The same for a terminal: the target, the law, the rows, the advice, and what to know before using it."""
    yield plain_table(
        _HEADER, target_lines(content), title=f"{content['model']}{of_density(content['density'])}: projected"
    )
    yield ""
    yield plain_table(_HEADER, _law_lines(content["law"]), title=f"Law: {content['law']['equation']}")
    if content["rows"]:
        yield ""
        header = ("layers × width", "density", "tokens", "seeds", "measured", "law", "off")
        rows = [_row_cells(row) for row in content["rows"]]
        yield plain_table(header, rows, title="Rows: measured loss and what the law makes of it", right=header[1:])
    yield ""
    advice = "Power Lines (arXiv 2505.13738) for this model on text tokens: projected"
    yield plain_table(_HEADER, _advice_lines(content["recommended"]), title=advice)
    yield ""
    yield "Before you use it"
    for caveat in content["caveats"]:
        yield f"- {caveat}"


def _target(target: Sample, convention: Convention) -> Content:
    return {
        "kind": "projected",
        "model": target.shape.name,
        "density": target.density,
        "params": n_parameters(target.shape),
        "nonzero_params": nonzero_parameters(target.shape, target.density),
        "vocab_size": target.shape.vocab_size,
        "seq_len": target.seq_len,
        "tokens": target.tokens,
        "tokens_per_parameter": target.tokens_per_parameter,
        "flops": target.flops(convention),
        "convention": convention,
    }


def _row(projection: Projection, number: int) -> Content:
    row = projection.rows[number]
    is_used = row in projection.choice.rows
    law = float(projection.loss([row.sample])[0][0]) if is_used else None
    shape = row.sample.shape
    return {
        "runs": list(row.names),
        "n_layers": shape.n_layers,
        "d_model": shape.d_model,
        "density": row.sample.density,
        "tokens": row.sample.tokens,
        "flops": row.sample.flops(projection.law.convention),
        "losses": list(row.losses),
        "loss": row.loss,
        "law_loss": law,
    }


def target_lines(content: Content) -> list[tuple[str, str, str]]:
    """Name, figure and note of each line about the target."""
    low, high = content["loss_low"], content["loss_high"]
    kept = f"{count(content['nonzero_params'])} non-zero, " if content["density"] < 1 else ""
    lines = [
        ("loss", f"{content['loss']:.4f} {content['loss_unit']}", f"{low:.4f} … {high:.4f}"),
        ("parameters", count(content["params"]), f"{kept}vocabulary of {content['vocab_size']:,}"),
        ("tokens", count(content["tokens"]), f"{significant(content['tokens_per_parameter'])} per parameter"),
        ("FLOPs", f"{content['flops']:.3e}", f"convention {content['convention']}"),
    ]
    if "effective_flops" in content and content["density"] < 1:
        lines.append(("", f"{content['effective_flops']:.3e}", "of the dense model of the same loss"))
    over = ", ".join(f"{name} × {significant(ratio)}" for name, ratio in content["extrapolation"].items())
    lines.append(("over the largest run", over, ""))
    return lines


def _law_lines(law: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    intervals = law.get("coefficient_intervals", {})
    lines = [("why", law["name"], law["reason"])]
    if "n_rows" in law:
        agreeing = f"{law['n_agreeing']} of {law['n_starts']} starts agree"
        lines.append(("fitted to", f"{law['n_rows']} rows", f"{law['n_runs']} runs; {agreeing}"))
    lines.append(("residuals", percent(law["residual_std"]), "standard deviation of measured over law"))
    for name, value in law["coefficients"].items():
        low, high = intervals.get(name, (value, value))
        lines.append((name, _coefficient(value), f"{_coefficient(low)} … {_coefficient(high)}" if low < high else ""))
    return lines


def _row_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    law = row["law_loss"]
    return (
        f"{row['n_layers']} × {row['d_model']}",
        f"{row['density']:g}",
        count(row["tokens"]),
        str(len(row["losses"])),
        f"{row['loss']:.4f}",
        "left out" if law is None else f"{law:.4f}",
        "" if law is None else f"{100 * (row['loss'] / law - 1):+.2f} %",
    )


def _advice_lines(recommended: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    lines = [
        ("AdamW timescale", f"{recommended['timescale']:.3f} of the run", "B / (lr × weight decay × D)"),
        ("batch of least loss", f"{recommended['optimal_batch_size']:,.0f} sequences", "grows as D^0.383"),
        ("critical batch", f"{recommended['critical_batch_size']:,.0f} sequences", "beyond it, ever less is gained"),
    ]
    at = f"at {recommended['batch_size']:,.0f} sequences"
    lines.append(("lr × weight decay", f"{recommended['lr_times_weight_decay']:.3g}", f"{at}, hidden layers' peak lr"))
    if recommended["weight_decay"] is not None:
        lines.append(
            (
                "weight decay",
                f"{recommended['weight_decay']:.3g}",
                f"at the recipe's {recommended['peak_lr']:.3g} there",
            )
        )
    lines.append(("not checked", f"{len(recommended['uncertain'])} coefficients", ", ".join(recommended["uncertain"])))
    return lines


def _coefficient(value: float) -> str:
    return "0" if abs(value) < 1e-6 else f"{value:.4g}"  # one that a fit drives to 0 never quite arrives
