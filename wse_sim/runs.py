"""Runs as users describe them, with what they leave out taken from the model's recipe or from a configuration."""

from typing import Any

from msgspec.structs import replace

from wse_sim.errors import SpecError
from wse_sim.spec.configuration import Configuration
from wse_sim.spec.load import ModelLike, as_preset, canonical
from wse_sim.spec.model import ModelPreset
from wse_sim.spec.run import TOKENS_PER_PARAMETER, Run, mask_updates_of
from wse_sim.spec.sparsity import Static
from wse_sim.spec.written import parse_density
from wse_sim.wafer.masks import RunMasks
from wse_sim.workload.sparse_wide import sparse_wide
from wse_sim.workload.transformer import n_parameters

_SAME_DENSITY = 0.005


def resolve_run(
    preset: ModelPreset,
    *,
    num_csx: int | None = None,
    batch_size: int | None = None,
    seq_len: int | None = None,
    tokens: float | None = None,
    is_sparse_wide: bool = False,
    **given: Any,
) -> Run:
    """A run of the preset, with its published recipe's numbers where none are given.

    Parameters
    ----------
    num_csx :
        None = the recipe's, where the batch size is the recipe's too; else 1.
    tokens :
        None = 20 per parameter of the preset.
    is_sparse_wide :
        The model is widened so that its linear layers keep the non-zeros of the dense one.
    given :
        The other fields of `Run`, by name.

    Raises
    ------
    SpecError
        When there is neither a recipe nor a batch size, or the run is wrong.
    """
    shape, recipe = preset.shape, preset.recipe
    if recipe is None and batch_size is None:
        raise SpecError(f"{shape.name} comes with no recipe: say the sequences per step with --batch-size")
    of_recipe = recipe if batch_size is None else None
    given |= {name: canonical(given[name]) for name in ("system", "release") if name in given}
    return Run(
        shape=sparse_wide(shape, given.get("density", 1.0)) if is_sparse_wide else shape,
        num_csx=num_csx if num_csx is not None else (of_recipe and of_recipe.num_csx) or 1,
        batch_size=of_recipe.batch_size if of_recipe else batch_size or 0,
        seq_len=shape.seq_len if seq_len is None else seq_len,
        tokens=float(TOKENS_PER_PARAMETER * n_parameters(shape) if tokens is None else tokens),
        **given,
    )


def run_from(
    *,
    model: ModelLike,
    density: float | None = None,
    sparsity: float | None = None,
    sparsity_algorithm: str = "static",
    mask_update_steps: int | None = None,
    **given: Any,
) -> Run:
    """The run that a user describes in words and numbers, with what they leave out taken from the model's recipe.

    Parameters
    ----------
    model :
        Name of a preset, path of a shape TOML or a `config.json`, or what these hold.
    density, sparsity :
        One of the two.
    given :
        As for `resolve_run`.

    Raises
    ------
    SpecError
        When the input is wrong, or the batch size is missing and the model has no recipe.
    """
    return resolve_run(
        as_preset(model),
        density=parse_density(density, sparsity),
        mask_updates=mask_updates_of(sparsity_algorithm, mask_update_steps),
        **given,
    )


def run_from_configuration(
    configuration: Configuration,
    *,
    density: float | None = None,
    sparsity: float | None = None,
    sparsity_algorithm: str | None = None,
    mask_update_steps: int | None = None,
    **given: Any,
) -> Run:
    """The run that a configuration describes, and what is given beside it, which wins.

    Parameters
    ----------
    density, sparsity, sparsity_algorithm, mask_update_steps :
        None = the configuration's.
    given :
        As for `resolve_run`.

    Raises
    ------
    SpecError
        When what is given does not go with the configuration, or the run is wrong.
    """
    if sparsity_algorithm is not None:
        configuration = configuration.with_algorithm(Static())  # which takes any density
    if density is not None or sparsity is not None:
        configuration = configuration.at_density(parse_density(density, sparsity))
    updates = configuration.mask_updates
    if sparsity_algorithm is not None or mask_update_steps is not None:
        of_file = "static" if updates is None or updates.algorithm == "spdf" else updates.algorithm
        updates = mask_updates_of(sparsity_algorithm or of_file, mask_update_steps)
    of_the_file: dict[str, Any] = {
        "num_csx": configuration.num_csx,
        "batch_size": configuration.batch_size,
        "seq_len": configuration.run.seq_len,
        "tokens": configuration.tokens,
        "seed": configuration.run.seed,
    }
    return resolve_run(
        configuration.preset, density=configuration.run.density, mask_updates=updates, **(of_the_file | given)
    )


def density_of_masks(run: Run, masks: RunMasks) -> Run:
    """`run` at the density that `masks` have.

    Raises
    ------
    SpecError
        When the run asks for another density, or for masks that change.
    """
    if run.density != 1.0 and abs(run.density - masks.density) > _SAME_DENSITY:
        raise SpecError(
            f"density is {run.density:g}, but the masks of the run have {masks.density:.4g}: leave --density out"
        )
    if run.mask_updates is not None:
        raise SpecError("masks of a trained run cannot change: leave --sparsity-algorithm out")
    return replace(run, density=masks.density)
