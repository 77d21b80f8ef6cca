"""The run that schedules are looked at in: how long it is, and which learning rates and decays its tensors have."""

from dataclasses import dataclass

import msgspec

from training.schedules.ema import timescale, timescale_steps
from training.schedules.warmup import warmup_steps
from wse_sim.errors import SpecError
from wse_sim.spec.load import load_model
from wse_sim.spec.model import ModelPreset, Recipe
from wse_sim.spec.ranges import check_number
from wse_sim.spec.run import steps_of
from wse_sim.workload.transformer import n_parameters, nonzero_parameters

EXAMPLE = "d2z-610m"
# Of the example's hidden matrices: 1.62e-2 x 256/2048, the base of SμPar (arXiv 2405.15743), Table 3, by μP.
EXAMPLE_PEAK_LR = 2.025e-3
_WEIGHT_DECAY = 0.1  # D2Z, SμPar and Cerebras-GPT
_WARMUP = "10%"  # D2Z
_LEAST_ALPHA = 1e-30  # of a step: what it leaves of an update has a square that is not 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorGroup:
    """Tensors that share a learning rate and a weight decay.

    Parameters
    ----------
    peak_lr :
        Theirs, not the base learning rate that a parameterization scales.
    """

    name: str
    peak_lr: float
    weight_decay: float

    def __post_init__(self) -> None:
        if not (self.peak_lr > 0 and _LEAST_ALPHA <= self.peak_lr * self.weight_decay <= 1):
            raise SpecError(
                f"{self.name}: peak learning rate {self.peak_lr:g} and weight decay {self.weight_decay:g} must be "
                f"positive with a product of {_LEAST_ALPHA:g} to 1: without decay AdamW averages nothing"
            )

    @property
    def timescale_steps(self) -> float:
        return timescale_steps(self.peak_lr, self.weight_decay)

    def timescale(self, n_steps: int) -> float:
        return timescale(self.peak_lr, self.weight_decay, n_steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A run without its schedule.

    Parameters
    ----------
    groups :
        The first is what a schedule's average is computed for.
    """

    name: str
    n_steps: int
    n_warmup_steps: int
    groups: tuple[TensorGroup, ...]


def plain_setting(
    *,
    n_steps: int | None = None,
    warmup: str | None = None,
    peak_lr: float | None = None,
    weight_decay: float | None = None,
) -> Setting:
    """A run of one group of tensors; what is not given is the example's: 610M parameters, 20 tokens for each."""
    example = load_model(EXAMPLE)
    recipe = example.recipe
    assert recipe is not None
    is_example = all(value is None for value in (n_steps, warmup, peak_lr, weight_decay))
    n_steps = recipe.n_steps if n_steps is None else n_steps
    check_number("steps_shown", n_steps, "n_steps")
    tokens_per_step = recipe.batch_size * example.shape.seq_len
    return Setting(
        name="example: 610M parameters, 20 tokens for each" if is_example else "a run",
        n_steps=n_steps,
        n_warmup_steps=warmup_steps(warmup or _WARMUP, n_steps=n_steps, tokens_per_step=tokens_per_step),
        groups=(
            TensorGroup(
                name="hidden matrices",
                peak_lr=EXAMPLE_PEAK_LR if peak_lr is None else peak_lr,
                weight_decay=_WEIGHT_DECAY if weight_decay is None else weight_decay,
            ),
        ),
    )


def model_setting(
    model: str,
    *,
    parametrization: str | None = None,
    density: float = 1.0,
    n_steps: int | None = None,
    tokens_per_parameter: float | None = None,
    batch_size: int | None = None,
    warmup: str | None = None,
    peak_lr: float | None = None,
    weight_decay: float | None = None,
) -> Setting:
    """A run of a model, with its recipe's numbers where none are given.

    Parameters
    ----------
    parametrization :
        None = the recipe's; `smupar` where there is none.
    density :
        Of the hidden matrices, in (0, 1].
    tokens_per_parameter :
        In place of n_steps; embeddings count as parameters.
    peak_lr :
        The base learning rate, which the parameterization scales for each group.

    Raises
    ------
    SpecError
        When something is unknown or out of range, or neither given nor in a recipe.
    """
    preset = load_model(model)
    nonzero_parameters(preset.shape, density)  # raises
    name = parametrization or (preset.recipe.parametrization if preset.recipe else "smupar")
    recipe = preset.recipe_for(name) or preset.recipe
    steps, tokens_per_step = _length(preset, recipe, n_steps, tokens_per_parameter, batch_size)
    at = "" if tokens_per_parameter is None else f" at tpp {tokens_per_parameter:g}"
    check_number("steps_shown", steps, f"n_steps{at}")
    if warmup is None and recipe and n_steps is None and tokens_per_parameter is None:
        warmup = f"{recipe.warmup_steps * recipe.batch_size * preset.shape.seq_len} tokens"
    decay = (recipe and recipe.weight_decay) or _WEIGHT_DECAY if weight_decay is None else weight_decay
    return Setting(
        name=f"{preset.shape.name}, {name}, density {density:g}",
        n_steps=steps,
        n_warmup_steps=warmup_steps(warmup or _WARMUP, n_steps=steps, tokens_per_step=tokens_per_step),
        groups=_groups(preset, name, density, peak_lr, decay),
    )


def _length(
    preset: ModelPreset,
    recipe: Recipe | None,
    n_steps: int | None,
    tokens_per_parameter: float | None,
    batch_size: int | None,
) -> tuple[int, int]:
    """Steps, and tokens of each."""
    if n_steps is not None and tokens_per_parameter is not None:
        raise SpecError("--n-steps and --tpp are both given: use one of them")
    batch_size = recipe.batch_size if batch_size is None and recipe else batch_size
    if batch_size is None:
        raise SpecError(f"{preset.shape.name} comes with no recipe: say the sequences per step with --batch-size")
    check_number("batch_size", batch_size)
    seq_len = preset.shape.seq_len
    if tokens_per_parameter is not None:
        n_steps = steps_of(tokens_per_parameter, n_parameters(preset.shape), batch_size=batch_size, seq_len=seq_len)
    elif n_steps is None:
        if recipe is None:
            raise SpecError(f"{preset.shape.name} comes with no recipe: say how long it trains with --tpp or --n-steps")
        n_steps = round(recipe.n_steps * recipe.batch_size / batch_size)
    return n_steps, batch_size * seq_len


def _groups(
    preset: ModelPreset, parametrization: str, density: float, peak_lr: float | None, weight_decay: float
) -> tuple[TensorGroup, ...]:
    # Late: the plain setting needs neither.
    from models.bases import base_for
    from models.rules import factors_of, rules_of

    rules, base = rules_of(parametrization), base_for(preset, parametrization)
    if peak_lr is not None:
        base = msgspec.structs.replace(base, peak_lr=peak_lr)
    elif parametrization == "sp" and preset.recipe_for("sp") is None:
        raise SpecError(f"{preset.shape.name} has no published learning rate for sp: give it with --peak-lr")
    groups = []
    for name, role, of_density in (("hidden matrices", "hidden_in", density), ("embedding", "embedding", 1.0)):
        rule, factors = rules[role], factors_of(preset.shape, base, of_density)  # type: ignore[index]
        groups.append(
            TensorGroup(
                name=name,
                peak_lr=base.peak_lr * rule.lr_multiplier(factors),
                weight_decay=rule.weight_decay.of(weight_decay, factors),
            )
        )
    return tuple(groups)
