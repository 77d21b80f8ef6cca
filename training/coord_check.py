"""The coordinate check: do activations, and what training does to them, keep their size over width, density or depth?

A parameterization transfers hyper-parameters only if the size of activations, at the start and while the weights move,
does not depend on what the models differ in. A few steps on small models show it. Sizes alone can look right while
updates are wrong, as long as the start outweighs them; so the change since the start is looked at too, on sequences
that are not trained on.

Source: SμPar (arXiv 2405.15743), Figure 5; the change since the start: Tensor Programs V (arXiv 2203.03466), Figure 5.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor, nn

from models.build import build_model
from models.gpt import GPT
from models.parametrization import BASES, BaseHyperparameters, Parametrization, ParametrizationName
from training.axis import Axis, checked_values, scaled
from training.data import Corpus, TrainOrder, fitted, require_enough
from training.data.source import BYTE_VALUES
from training.optimizer import build_optimizer, compute_gradient, set_lr
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number

Site = Literal["embedding", "attention", "mlp", "residual", "logits"]

_D_HEAD = 32
_CLIP = 1.0
_WEIGHT_DECAY = 0.1
_BETAS = (0.9, 0.95)
_EPS = 1e-8


class CoordCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The set-up of one check.

    Parameters
    ----------
    over, values :
        What the models differ in.
    n_seeds :
        Runs of each model.
    seq_len, batch_size :
        Tokens per sequence, and sequences per step.
    d_model, n_layers, density :
        Of all models, where the axis does not say otherwise.
    n_steps :
        Forward passes that are looked at: the first one before any update.
    peak_lr :
        Base learning rate, constant over the steps. At the papers' 1e-2 models go their own ways within ten steps: the
        slope over widths 64 to 512 scatters by 0.12 from seed to seed, at 2e-3 by 0.04.
    d_base, depth_base :
        Where the base hyper-parameters are taken to be tuned.
    vocab_size :
        Of the data, and of the models.
    """

    over: Axis
    values: tuple[int | float, ...]
    n_seeds: int = 3
    n_steps: int = 10
    d_model: int = 256
    n_layers: int = 2
    density: float = 1.0
    seq_len: int = 64
    batch_size: int = 4
    peak_lr: float = 2e-3
    d_base: int = 64
    depth_base: int = 2
    vocab_size: int = BYTE_VALUES

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "values", checked_values(self.over, self.values))
        for key in ("n_seeds", "seq_len", "batch_size", "vocab_size"):
            check_number(key, getattr(self, key), f"coordinate check: {key}")
        check_number("steps_checked", self.n_steps, "coordinate check: n_steps")
        if self.n_steps < 2:
            raise SpecError(f"coordinate check: n_steps is {self.n_steps}, it must be at least 2")
        if not self.peak_lr > 0:
            raise SpecError(f"coordinate check: peak_lr is {self.peak_lr}, it must be positive")
        for value in self.values:
            self.model(value)  # raises

    def model(self, value: float) -> tuple[ModelShape, float]:
        """Shape and density at a value of the axis."""
        shape = ModelShape(
            name="coord-check",
            n_layers=self.n_layers,
            d_model=self.d_model,
            n_heads=max(1, self.d_model // _D_HEAD),
            d_ff=4 * self.d_model,
            vocab_size=self.vocab_size,
            seq_len=self.seq_len,
        )
        return scaled(shape, self.density, self.over, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """What stands at a site of one model in one forward pass.

    Parameters
    ----------
    step :
        From 1: the pass before the first update.
    size :
        Mean |activation|; over all layers for `attention` and `mlp`, which are the outputs of those layers. `embedding`
        is what enters the first layer, `residual` what leaves the last.
    change :
        Mean |activation - the one at step 1|.
    """

    parametrization: ParametrizationName
    value: float
    seed: int
    step: int
    site: Site
    size: float
    change: float


def check_coordinates(
    corpus: Corpus, name: ParametrizationName, setup: CoordCheck, on_model: Callable[[], object] = lambda: None
) -> list[Activation]:
    """Activations of every value, seed, step and site.

    Parameters
    ----------
    on_model :
        Called after each model, one for each value and seed.

    Raises
    ------
    SpecError
        When the corpus is too small.
    """
    corpus = fitted(corpus, setup.vocab_size)
    require_enough(corpus, seq_len=setup.seq_len, batch_size=setup.batch_size)
    activations: list[Activation] = []
    with _one_thread():
        for value in setup.values:
            for seed in range(setup.n_seeds):
                activations += _one_model(corpus, name, value, seed, setup)
                on_model()
    return activations


def vocabulary_for(corpus: Corpus) -> int:
    """Entries that models of a corpus need.

    Raises
    ------
    SpecError
        When nothing says how many there are.
    """
    if corpus.vocab_size is None:
        raise SpecError(
            f"data {corpus.fingerprint.source!r}: nothing says how large the vocabulary is: a side-car with vocab_size "
            'beside the file would, {"dtype": "uint16", "vocab_size": 50257}'
        )
    return max(BYTE_VALUES, corpus.vocab_size)


def check_base(name: ParametrizationName, setup: CoordCheck) -> BaseHyperparameters:
    """The published hyper-parameters of SμPar, taken as tuned at the check's base width and depth."""
    return msgspec.structs.replace(
        BASES["smupar-sweep-sp" if name == "sp" else "smupar-paper"],
        d_base=setup.d_base,
        depth_base=setup.depth_base,
        peak_lr=setup.peak_lr,
    )


def _one_model(
    corpus: Corpus, name: ParametrizationName, value: float, seed: int, setup: CoordCheck
) -> Iterator[Activation]:
    shape, density = setup.model(value)
    rules = Parametrization(name=name, base=check_base(name, setup))
    built = build_model(shape, rules, seed=seed, density=density, weight_decay=_WEIGHT_DECAY, eps=_EPS)
    optimizer = build_optimizer(built.model, built.table, betas=_BETAS)
    set_lr(optimizer, 1.0)
    order = TrainOrder(corpus.train, setup.seq_len, seed)
    n, size = setup.n_steps, setup.batch_size
    looked_at, _ = order.batch(n * size, size)  # the batch after the last one that is trained on
    first = _at_sites(built.model, looked_at)
    for step in range(1, n + 1):
        for site, here in _at_sites(built.model, looked_at).items():
            yield Activation(
                parametrization=name,
                value=value,
                seed=seed,
                step=step,
                site=site,
                size=float(here.abs().mean()),
                change=float((here - first[site]).abs().mean()),
            )
        compute_gradient(built.model, built.masks, optimizer, order.batch((step - 1) * size, size), _CLIP)
        optimizer.step()


@torch.no_grad()
def _at_sites(model: GPT, inputs_BT: Tensor) -> dict[Site, Tensor]:
    """Activations at every site; those of attention and MLP stacked over layers."""
    seen: dict[Site, list[Tensor]] = {"embedding": [], "attention": [], "mlp": [], "residual": [], "logits": []}
    hooks = [
        model.get_submodule("blocks.0").register_forward_pre_hook(partial(_keep_input, seen["embedding"])),
        model.norm_out.register_forward_pre_hook(partial(_keep_input, seen["residual"])),
    ]
    for block in model.blocks:
        hooks.append(block.get_submodule("attention").register_forward_hook(partial(_keep_output, seen["attention"])))
        hooks.append(block.get_submodule("mlp").register_forward_hook(partial(_keep_output, seen["mlp"])))
    seen["logits"].append(model(inputs_BT))
    for hook in hooks:
        hook.remove()
    return {site: torch.stack(tensors) for site, tensors in seen.items()}


def _keep_input(into: list[Tensor], module: nn.Module, inputs: Sequence[Any]) -> None:
    into.append(inputs[0])


def _keep_output(into: list[Tensor], module: nn.Module, inputs: Sequence[Any], output: Tensor) -> None:
    into.append(output)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums split over other threads round otherwise, and models this small gain nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
