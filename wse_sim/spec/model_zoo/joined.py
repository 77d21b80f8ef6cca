"""Several phases as one run: masks that are lifted between two of them, or a batch size that changes."""

import msgspec

from wse_sim.errors import SpecError
from wse_sim.spec.configuration import Configuration
from wse_sim.spec.model import Phase as BatchPhase
from wse_sim.spec.model import Recipe
from wse_sim.spec.model_zoo.learning_rate import LearningRate, join, written
from wse_sim.spec.model_zoo.ledger import Ledger
from wse_sim.spec.model_zoo.reading import Phase
from wse_sim.spec.sparsity import SPDF, Algorithm, Static

_SAME_OF_RECIPE = ("parametrization", "adam_eps", "betas", "weight_decay", "clip")
_NOT_ONE = "they are not phases of one run; give the files one by one"
_MOMENTS = "phases: AdamW's moments and the order of the data go on from one to the next here"
_PROJECTED = "phases: a projected loss is that of masks that stay"


def joined(phases: list[Phase], ledger: Ledger) -> Configuration:
    """The run that consecutive phases make.

    Raises
    ------
    SpecError
        When they are not phases of one run.
    """
    if len(phases) == 1:
        return phases[0].configuration
    recipes = [phase.configuration.recipe for phase in phases]
    if any(recipe is None for recipe in recipes) or any(phase.rate is None for phase in phases):
        raise SpecError("phases of one run need an optimizer and a schedule that wse-sim knows; give one file")
    _require_same_model(phases)
    if len({recipe.batch_size for recipe in recipes if recipe}) > 1:
        return _with_other_batches(phases, ledger)
    return _with_lifted_masks(phases, ledger)


def _require_same_model(phases: list[Phase]) -> None:
    first = phases[0].configuration
    for phase in phases[1:]:
        other = phase.configuration
        if msgspec.structs.replace(other.shape, name=first.shape.name) != first.shape:
            raise SpecError(f"the phases have models of different shapes: {_NOT_ONE}")
        pairs = {key: (getattr(first.recipe, key), getattr(other.recipe, key)) for key in _SAME_OF_RECIPE}
        pairs["seq_len"] = first.run.seq_len, other.run.seq_len
        for key, (ours, theirs) in pairs.items():
            if ours != theirs:
                raise SpecError(f"the phases have {key} {ours} and {theirs}: {_NOT_ONE}")


def _with_lifted_masks(phases: list[Phase], ledger: Ledger) -> Configuration:
    """One schedule after the other; masks that a later phase does not have are lifted where it begins."""
    first = phases[0].configuration
    rate = join([(phase.rate, phase.n_steps) for phase in phases if phase.rate])
    n_steps = sum(phase.n_steps for phase in phases)
    sparsity, density = _masks(phases)
    recipe = _recipe(first, rate, n_steps=n_steps)
    differs = (_MOMENTS,) if sparsity == first.run.sparsity else (_MOMENTS, _PROJECTED)
    return _made(first, recipe, rate, ledger, sparsity=sparsity, density=density, differs=differs)


def _masks(phases: list[Phase]) -> tuple[tuple[Algorithm, ...], float]:
    runs = [phase.configuration.run for phase in phases]
    if all((run.sparsity, run.density) == (runs[0].sparsity, runs[0].density) for run in runs):
        return runs[0].sparsity, runs[0].density
    n_sparse = next(
        k for k, run in enumerate(runs) if run.density != runs[0].density or run.sparsity != runs[0].sparsity
    )
    is_lifted = all(run.density == 1.0 for run in runs[n_sparse:])
    if not is_lifted or not all(isinstance(algorithm, Static) for algorithm in runs[0].sparsity):
        raise SpecError(f"masks change between the phases, other than static ones that are lifted: {_NOT_ONE}")
    lift_at = sum(phase.n_steps for phase in phases[:n_sparse])
    lifted = tuple(SPDF(**msgspec.structs.asdict(algorithm), lift_at=lift_at) for algorithm in runs[0].sparsity)
    return lifted, runs[0].density


def _with_other_batches(phases: list[Phase], ledger: Ledger) -> Configuration:
    """One schedule counted in steps of two batch sizes: the later file's counter goes on at the tokens seen so far."""
    if len(phases) != 2:
        raise SpecError(f"batch sizes change between {len(phases)} phases, two are understood: {_NOT_ONE}")
    before, after = phases
    small, large = before.configuration.recipe, after.configuration.recipe
    assert small
    assert large
    assert before.rate
    assert after.rate
    whole = [rate.n_steps for rate in (before.rate, after.rate)]
    if None in whole or before.configuration.run != after.configuration.run:
        raise SpecError(f"batch sizes change between the phases, and masks or seeds too: {_NOT_ONE}")
    ends = [(steps or 0) * recipe.batch_size for steps, recipe in zip(whole, (small, large), strict=True)]
    seen = before.n_steps * small.batch_size
    goes_on = abs(ends[0] - ends[1]) < max(small.batch_size, large.batch_size) and (small.peak_lr, small.decay) == (
        large.peak_lr,
        large.decay,
    )
    if not goes_on or seen % large.batch_size or seen >= ends[1]:
        raise SpecError(
            f"batch sizes change from {small.batch_size} to {large.batch_size}, but the two schedules do not end after "
            f"the same sequences ({ends[0]:,} and {ends[1]:,}): {_NOT_ONE}"
        )
    first_step = seen // large.batch_size
    recipe = msgspec.structs.replace(
        large,
        phases=(
            _batch_phase(small, 0, before.n_steps, whole[0] or 0),
            _batch_phase(large, first_step, after.n_steps, whole[1] or 0),
        ),
    )
    said = f"phases: the first {before.n_steps:,} steps have {small.batch_size} sequences, here {large.batch_size}"
    run = after.configuration.run
    return _made(
        after.configuration, recipe, after.rate, ledger, sparsity=run.sparsity, density=run.density, differs=(said,)
    )


def _batch_phase(recipe: Recipe, first_step: int, last_step: int, whole: int) -> BatchPhase:
    return BatchPhase(
        batch_size=recipe.batch_size,
        num_csx=recipe.num_csx,
        first_step=first_step,
        last_step=last_step,
        warmup_steps=recipe.warmup_steps,
        decay_steps=whole - recipe.warmup_steps,
    )


def _recipe(first: Configuration, rate: LearningRate, *, n_steps: int) -> Recipe:
    assert first.recipe
    return msgspec.structs.replace(
        first.recipe,
        n_steps=n_steps,
        warmup_steps=rate.n_warmup_steps,
        peak_lr=rate.peak,
        end_lr_fraction=rate.end_fraction,
        decay=rate.decay,
    )


def _made(
    like: Configuration,
    recipe: Recipe,
    rate: LearningRate,
    ledger: Ledger,
    *,
    sparsity: tuple[Algorithm, ...],
    density: float,
    differs: tuple[str, ...],
) -> Configuration:
    base = like.base and msgspec.structs.replace(like.base, peak_lr=recipe.peak_lr)
    return msgspec.structs.replace(
        like,
        recipe=recipe,
        base=base,
        run=msgspec.structs.replace(
            like.run, sparsity=sparsity, density=density, differs=ledger.differences("simulation")
        ),
        training=msgspec.structs.replace(
            like.training,
            **written(rate, recipe.n_steps)._asdict(),
            differs=(*ledger.differences("training"), *differs),
        ),
    )
