"""The coordinate check: do activations keep their size when density or width changes?

A parameterization transfers hyper-parameters only if the size of activations, at the start and while the weights
move, does not depend on what changes between the models. A few steps on small models show it.

Source: SμPar (arXiv 2405.15743), Figure 5.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from models.build import build_model
from models.parametrization import BASES, BaseHyperparameters, Parametrization, ParametrizationName
from training.data import Corpus, TrainOrder
from training.optimizer import build_optimizer, compute_gradient, set_lr
from wse_sim.spec.model import ModelShape

Site = Literal["attention", "mlp"]
_SP_INIT_STD = 0.02166  # SμPar, Table 4
_CLIP = 1.0
_WEIGHT_DECAY = 0.1
_BETAS = (0.9, 0.95)
_EPS = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordCheck:
    """The set-up of one check.

    Parameters
    ----------
    peak_lr :
        Base learning rate, constant over the steps.
    d_base :
        Base width of μP and SμPar.
    """

    n_layers: int = 2
    d_head: int = 32
    seq_len: int = 64
    batch_size: int = 4
    n_steps: int = 10
    peak_lr: float = 1e-2
    d_base: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """Mean |output| over a site of all layers in the forward pass of one step.

    Parameters
    ----------
    step :
        From 1: the forward pass before the first update.
    """

    parametrization: ParametrizationName
    density: float
    d_model: int
    seed: int
    step: int
    site: Site
    mean_abs: float


def check_coordinates(
    corpus: Corpus,
    name: ParametrizationName,
    *,
    densities: Sequence[float],
    widths: Sequence[int],
    seeds: Sequence[int],
    setup: CoordCheck | None = None,
) -> list[Activation]:
    """Activations of every density, width, seed and step."""
    plan = setup or CoordCheck()
    return [
        activation
        for density in densities
        for d_model in widths
        for seed in seeds
        for activation in _one_model(corpus, name, density, d_model, seed, plan)
    ]


def log_log_slope(
    activations: Sequence[Activation], *, against: Literal["density", "d_model"], step: int, site: Site
) -> float:
    """Slope of log mean |activation| against log density or width, seeds averaged; 0 where size does not depend on it.

    Least squares, after averaging the logarithms over seeds.
    """
    points: dict[float, list[float]] = defaultdict(list)
    for activation in activations:
        if activation.step == step and activation.site == site:
            points[getattr(activation, against)].append(float(np.log(activation.mean_abs)))
    x = np.log(np.array(list(points)))
    y = np.array([np.mean(values) for values in points.values()])
    return float(np.polyfit(x, y, 1)[0])


def _one_model(
    corpus: Corpus, name: ParametrizationName, density: float, d_model: int, seed: int, setup: CoordCheck
) -> list[Activation]:
    rules = Parametrization(name=name, base=_base(name, setup))
    built = build_model(_shape(d_model, setup), rules, seed=seed, density=density, weight_decay=_WEIGHT_DECAY)
    optimizer = build_optimizer(built.model, built.table, betas=_BETAS, eps=_EPS)
    set_lr(optimizer, 1.0)
    order = TrainOrder(corpus.train, setup.seq_len, seed)
    sizes: dict[Site, list[Tensor]] = {"attention": [], "mlp": []}
    for index in range(setup.n_layers):
        for site, recorded in sizes.items():
            built.model.get_submodule(f"blocks.{index}.{site}").register_forward_hook(_recorder(recorded))
    activations = []
    for step in range(setup.n_steps):
        batch = order.batch(step * setup.batch_size, setup.batch_size)
        compute_gradient(built.model, built.masks, optimizer, batch, _CLIP)
        optimizer.step()
        for site, recorded in sizes.items():
            activations.append(
                Activation(
                    parametrization=name,
                    density=density,
                    d_model=d_model,
                    seed=seed,
                    step=step + 1,
                    site=site,
                    mean_abs=float(torch.stack(recorded).mean()),
                )
            )
            recorded.clear()
    return activations


def _shape(d_model: int, setup: CoordCheck) -> ModelShape:
    return ModelShape(
        name=f"coord-check-{d_model}",
        n_layers=setup.n_layers,
        d_model=d_model,
        n_heads=d_model // setup.d_head,
        d_ff=4 * d_model,
        vocab_size=256,
        seq_len=setup.seq_len,
    )


def _recorder(into: list[Tensor]) -> Any:
    def record(module: nn.Module, inputs: Any, output: Tensor) -> None:
        into.append(output.detach().abs().mean())

    return record


def _base(name: ParametrizationName, setup: CoordCheck) -> BaseHyperparameters:
    paper = BASES["smupar-paper"]
    return BaseHyperparameters(
        d_base=setup.d_base,
        peak_lr=setup.peak_lr,
        init_std=_SP_INIT_STD if name == "sp" else paper.init_std,
        embedding_multiplier=paper.embedding_multiplier,
        logits_multiplier=paper.logits_multiplier,
        source=paper.source,
    )
