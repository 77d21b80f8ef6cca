"""What a run took from its recipe, its configuration or the defaults, because the command does not say it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.config_option import configured
from wse_sim.cli.options import given_options

if TYPE_CHECKING:
    from rich.text import Text

_BY_DEFAULT = "by default"


def filled_in(options: Mapping[str, Any], *, system: str, num_csx: int, batch_size: int) -> "list[Text]":
    """A line with the kind and number of systems and the batch as far as nobody said them; none where all are said.

    Parameters
    ----------
    options :
        Of the command.
    system, num_csx, batch_size :
        Of the run that was made of them.
    """
    from rich.text import Text

    given = given_options(click.get_current_context())
    taken = {"num_csx": num_csx, "batch_size": batch_size, "system": system}
    by_source: dict[str, list[str]] = {}
    for name, source in _sources(options, has_batch="batch_size" in given).items():
        if name not in given:
            by_source.setdefault(source, []).append(f"--{name.replace('_', '-')} {taken[name]}")
    words = "; ".join(f"{' and '.join(of)} {source}" for source, of in by_source.items())
    return [Text(f"filled in: {words}", "dim")] if words else []


def _sources(options: Mapping[str, Any], *, has_batch: bool) -> dict[str, str]:
    """Where each is from if it is not given: as `wse_sim.runs` takes them."""
    config = configured(options["config"])
    if config is not None:
        of_file = "from the configuration"
        num_csx = of_file if config.read(None).num_csx else _BY_DEFAULT
        return {"num_csx": num_csx, "batch_size": of_file, "system": _BY_DEFAULT}
    from wse_sim.spec.load import as_preset

    preset = as_preset(options["model"])
    of_recipe = f"from the recipe of {preset.shape.name}"
    is_of_recipe = not has_batch and preset.recipe is not None and preset.recipe.num_csx is not None
    return {
        "num_csx": of_recipe if is_of_recipe else _BY_DEFAULT,
        "batch_size": of_recipe,
        "system": _BY_DEFAULT,
    }
