"""`wse-sim explain parametrization`: the rules, and what they make of the tensors of a model."""

import re
from typing import TYPE_CHECKING, Any

from wse_sim.cli.output import print_json, print_tables
from wse_sim.errors import choose

if TYPE_CHECKING:
    from rich.table import Table

    from models.parametrization import BaseHyperparameters
    from wse_sim.spec.model import ModelPreset

_BLOCKS = re.compile(r"(?P<blocks>blocks\.[\d.,]*\d)\.(?P<own>.+)")
# AdamW's of the GPT-3 paper (arXiv 2005.14165, Appendix B) and of every recipe here that says none of its own.
_WEIGHT_DECAY, _EPS = 0.1, 1e-8


def print_parametrization(
    *,
    model: str | None,
    density: float,
    parametrization: str | None,
    base: str | None,
    weight_decay_scaling: str | None,
    depth_alpha: float | None,
    sparsity_algorithm: str | None,
    as_json: bool,
) -> None:
    """Print the rules of a parameterization and, of a model where one is named, the numbers of every tensor.

    Parameters
    ----------
    parametrization :
        None = what the model's own file says; SμPar of a preset, or where a file says none.
    """
    from msgspec import to_builtins

    from models.explanation import explanation
    from models.parametrization import Parametrization
    from wse_sim.spec.load import load_model
    from wse_sim.spec.sparsity import ALGORITHMS

    preset = load_model(model) if model else None
    parametrization = parametrization or _of_the_file(model, preset)
    chosen = Parametrization(
        name=parametrization,  # type: ignore[arg-type]  # Parametrization checks it
        base=_base(base, preset, parametrization),
        weight_decay_scaling=weight_decay_scaling or "none",  # type: ignore[arg-type]  # click has checked it
        depth_alpha=1.0 if depth_alpha is None else depth_alpha,
    )
    algorithm = choose(sparsity_algorithm or "static", (*ALGORITHMS, "topk", "dense"), "sparsity algorithm")
    recipe = preset.recipe_for(parametrization) if preset else None
    decay = recipe.weight_decay if recipe else None
    said = explanation(
        chosen,
        preset.shape if preset else None,
        density=density,
        algorithm=algorithm,
        weight_decay=_WEIGHT_DECAY if decay is None else decay,
        eps=recipe.adam_eps if recipe else _EPS,
    )
    content: dict[str, Any] = to_builtins(said)
    if preset and preset.recipe and preset.base not in (None, chosen.base):
        own = preset.recipe.parametrization
        said_of_base = f"the base values of {model} are for {own} and are not taken here: --parametrization {own} does"
        content["caveats"] = (*content["caveats"], said_of_base)
    if as_json:
        print_json(content)
    else:
        _print(content)


def _of_the_file(model: str | None, preset: "ModelPreset | None") -> str:
    from wse_sim.spec.load import model_names

    is_own = model is not None and model.lower() not in model_names()
    return preset.recipe.parametrization if preset and preset.recipe and is_own else "smupar"


def _base(name: str | None, preset: "ModelPreset | None", parametrization: str) -> "BaseHyperparameters":
    from models.bases import BASES, base_for

    return base_for(preset, parametrization) if name is None else BASES[choose(name, BASES, "base")]


def _print(content: dict[str, Any]) -> None:
    from wse_sim.report.tables import plain_table

    rules = [(r["role"], r["init_std"], r["lr"], r["weight_decay"], r["eps"]) for r in content["rules"]]
    multipliers = [(m["name"], m["rule"], _number(m["value"])) for m in content["multipliers"]]
    print_tables(
        _head(content),
        "",
        plain_table(("role", "init std", "learning rate", "weight decay", "eps"), rules, title="Rules"),
        "",
        plain_table(("factor on", "rule", "value"), multipliers, title="Forward pass", right=("value",)),
    )
    if content["tensors"]:
        header = ("tensor", "role", "shape", "init std", "lr", "wd", "lr × wd", "eps")
        table = plain_table(header, _tensor_cells(content["tensors"]), title="Tensors", right=header[3:])
        print_tables("", table)
    for caveat in content["caveats"]:
        print_tables("", f"caveat: {caveat}")


def _head(content: dict[str, Any]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    base, factors = content["base"], content["factors"]
    depth = f", {base['depth_base']} layers" if base["depth_base"] else ""
    alphas = (
        ""
        if content["parametrization"] == "sp"
        else (
            f", α_in {_number(base['embedding_multiplier'])}, α_out {_number(base['logits_multiplier'])}, "
            f"α_attention {_number(base['attention_multiplier'])}"
        )
    )
    lines = {
        "base": f"width {base['d_base']}{depth}: η {_number(base['peak_lr'])}, σ {_number(base['init_std'])}{alphas}",
        "": f"{base['kind']}: {base['source']}",
        "AdamW": f"λ {content['weight_decay']:g}, ε {content['eps']:g}; weight decay scaling: "
        f"{content['weight_decay_scaling']}",
    }
    name = content["parametrization"]
    title = name if factors is None else f"{name} for {content['model']}, hidden density {content['density']:g}"
    if factors:
        lines["factors"] = ", ".join(
            f"{symbol} = {_number(factors[key])}"
            for key, symbol in (("m_d", "m_d"), ("m_rho", "m_rho"), ("m_depth", "m_L"), ("n_layers", "L"))
        )
    table = Table.grid(padding=(0, 2, 0, 0))
    table.title, table.title_justify, table.title_style = Text(title, "bold"), "left", ""
    for key, line in lines.items():
        table.add_row(key, line)
    return table


def _tensor_cells(tensors: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """A row for each tensor, those of the same blocks under a heading."""
    cells: list[tuple[str, ...]] = []
    heading = ""
    for row in tensors:
        block, own_name = _split(row["name"])
        if block != heading:
            heading = block
            cells.append((block, *[""] * 7))
        init = _number(row["init_std"]) if row["start"] == "normal" else f"all {row['start']}"
        numbers = (_number(row[key]) for key in ("lr", "weight_decay", "lr_wd", "eps"))
        shape = " × ".join(map(str, row["shape"]))
        cells.append((f"  {own_name}" if block else own_name, row["role"], shape, init, *numbers))
    return cells


def _split(name: str) -> tuple[str, str]:
    """`blocks.0..31` and the name within; "" and the whole name outside of the blocks."""
    match = _BLOCKS.match(name)
    return (match["blocks"], match["own"]) if match else ("", name)


def _number(value: float | None) -> str:
    """Four significant digits at most, without zeros behind them."""
    return "–" if value is None else f"{value:.4g}"
