"""Base hyper-parameters from the `model:` block of the published form: initial weights, and what makes a run one of μP.

Source: Cerebras ModelZoo 2.10, gpt2_model.py: which initializer is whose default, and by what μP scales it.
"""

import math
from typing import Any, Literal

from wse_sim.errors import SpecError
from wse_sim.spec.base import BaseHyperparameters
from wse_sim.spec.model import ModelShape
from wse_sim.spec.model_zoo.ledger import Section

_SAME_STD = 1e-9  # relative: the files have 16 digits
_SAME_WIDENING = 1e-3  # the published base filter sizes are rounded (682.6 for 682.67)
_CUT = 2.0  # standard deviations
_OUTSIDE_MUP = "acts in μP alone: mup_base_hidden_size and mup_base_filter_size are not there"

Parametrization = Literal["sp", "mup"]


def parametrization_of(model: Section) -> Parametrization:
    """μP where its two base sizes are there.

    Raises
    ------
    SpecError
        When one of them is there without the other, or μP is said in its first form.
    """
    if "output_logits_scale" in model:
        raise SpecError(
            f"{model.place('output_logits_scale')}: says μP as it was written before release 2.3 of ModelZoo: "
            "mup_base_hidden_size and mup_base_filter_size would be right (its config converter makes them)"
        )
    there = [key in model for key in ("mup_base_hidden_size", "mup_base_filter_size")]
    if any(there) and not all(there):
        missing = "mup_base_filter_size" if there[0] else "mup_base_hidden_size"
        raise SpecError(f"{model.place()}: there is no {missing}: μP needs both of its base sizes")
    return "mup" if all(there) else "sp"


def base_of(
    model: Section, shape: ModelShape, parametrization: Parametrization, *, peak_lr: float, cannot_train: list[str]
) -> BaseHyperparameters:
    """The base hyper-parameters of the block.

    Parameters
    ----------
    cannot_train :
        Takes a reason for each thing that would make another model of it.
    """
    is_needed = not {"initializer", "embedding_initializer"} <= set(model.keys)
    plain = model.number("initializer_range", "σ where no initializer says another" if is_needed else "", 0.02)
    sigma = _std(model, "initializer", "σ", cannot_train)
    embedding = _std(model, "embedding_initializer", "σ of embeddings", cannot_train) or plain
    depth = math.sqrt(2 * shape.n_layers)
    residual = _std(model, "output_layer_initializer", "σ of what ends a residual branch", cannot_train)
    if parametrization == "sp" and residual is None:
        residual = (plain if sigma is None else sigma * depth) / depth
    _note_own_initializers_of_ffn(model)
    sigma = plain if sigma is None else sigma
    # SP's rule divides by sqrt(2 L) what the file has divided already; μP's divides what the file has not.
    residual = (plain if residual is None else residual) * (depth if parametrization == "sp" else 1.0)
    multipliers: dict[str, Any] = (
        _mup(model, shape, cannot_train) if parametrization == "mup" else _outside_mup(model, shape)
    )
    return BaseHyperparameters(
        peak_lr=peak_lr,
        init_std=sigma,
        embedding_init_std=None if _same(embedding, sigma) else embedding,
        residual_init_std=None if _same(residual, sigma) else residual,
        source=model.document.where,
        **multipliers,
    )


def _mup(model: Section, shape: ModelShape, cannot_train: list[str]) -> dict[str, float]:
    d_base = model.integer("mup_base_hidden_size", "d_base of μP")
    d_ff_base = model.number("mup_base_filter_size", "checked against d_base: layers widen together")
    m_d, m_ff = shape.d_model / d_base, shape.d_ff / d_ff_base if d_ff_base else math.inf
    if abs(m_ff / m_d - 1.0) > _SAME_WIDENING:
        cannot_train.append(
            f"feed-forward is {m_ff:.4g} times as wide as mup_base_filter_size, the model {m_d:.4g} times as "
            "mup_base_hidden_size: μP here lets both widen together"
        )
    if not model.flag("scale_qk_dot_by_d", "scores are scaled by 1/d_head", True):
        cannot_train.append("scale_qk_dot_by_d is false: μP here scales scores by 1/d_head")
    logits = model.number("output_logits_alpha", "α_out", 1.0) or 1.0
    by_width = model.flag("scale_output_logits_by_d", "logits are scaled by α_out / m_d, or by its square root", True)
    return {
        "d_base": d_base,
        "embedding_multiplier": model.number("embeddings_scale", "α_in", 1.0),
        "logits_multiplier": logits if by_width else logits * math.sqrt(m_d),
        "attention_multiplier": model.number("attention_logits_alpha", "α_attention", 1.0),
    }


def _outside_mup(model: Section, shape: ModelShape) -> dict[str, float]:
    for key, harmless in (
        ("scale_qk_dot_by_d", False), ("scale_output_logits_by_d", True), ("embeddings_scale", 1),
        ("output_logits_alpha", None), ("attention_logits_alpha", 1),
    ):  # fmt: skip
        model.switch(key, harmless, _OUTSIDE_MUP, "training")
    return {"d_base": shape.d_model}


def _std(model: Section, key: str, became: str, cannot_train: list[str]) -> float | None:
    """Standard deviation of an initializer; None where there is none."""
    if key not in model:
        return None
    initializer = model.section(key)
    kind = initializer.word("name", "", "truncated_normal")
    if kind not in ("truncated_normal", "normal"):
        cannot_train.append(f"{key} is {kind}: initial weights here are normal, cut off at {_CUT:g} σ")
        for name in initializer.keys:
            initializer.ignore(name, f"of {kind}", "training")
        return None
    std: float = initializer.number("std", became)
    initializer.one_way("name", kind, "truncated_normal", f"normal weights are cut off at {_CUT:g} σ here", "training")
    for key, ours in (("mean", 0.0), ("a", -_CUT * std), ("b", _CUT * std)):
        value = initializer.value(key, "", ours)
        is_same = isinstance(value, int | float) and math.isclose(value, ours, rel_tol=_SAME_STD)
        initializer.one_way(key, value, value if is_same else ours, f"is {ours:g} here", "training")
    initializer.finish()
    return std


def _note_own_initializers_of_ffn(model: Section) -> None:
    for key, other in (
        ("ffn_initializer", "initializer"), ("ffn_output_layer_initializer", "output_layer_initializer"),
    ):  # fmt: skip
        model.ignore(key, f"feed-forward starts as attention does here, by {other}", "training")
    model.ignore("lr_adjustment_groups", "learning rates follow the parameterization alone here", "training")


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_SAME_STD)
