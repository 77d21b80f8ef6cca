"""The door for configurations: ours in TOML, Cerebras ModelZoo's in YAML."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from wse_sim.errors import SpecError, errors_at
from wse_sim.spec.configuration import SAME_DENSITY, Configuration, RunTable, TrainingTable
from wse_sim.spec.load import convert, load_model, read_toml
from wse_sim.spec.model_zoo import SUFFIXES, Ledger, read_model_zoo
from wse_sim.spec.sparsity import configure


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A configuration, and what became of the keys of the files; nothing is to be said of those of our own form."""

    files: tuple[str, ...]
    configuration: Configuration
    ledger: Ledger


def read_configuration(paths: Sequence[str]) -> Reading:
    """The run that a file describes, or several files of Cerebras ModelZoo as its phases.

    Parameters
    ----------
    paths :
        One `*.toml`, or `*.yaml` files in the order in which they run.

    Raises
    ------
    SpecError
        When a file cannot be read or is wrong; names file, key and, of YAML, the line.
    """
    suffixes = {Path(path).suffix.lower() for path in paths}
    if suffixes and suffixes <= set(SUFFIXES):
        configuration, ledger = read_model_zoo(paths)
    elif suffixes == {".toml"} and len(paths) == 1:
        with errors_at(paths[0]):
            configuration, ledger = _read_own(paths[0]), Ledger()
    else:
        raise SpecError(
            f"configuration {', '.join(paths)}: one file *.toml is read, or one or several *.yaml of Cerebras ModelZoo"
        )
    return Reading(files=tuple(paths), configuration=configuration, ledger=ledger)


def _read_own(path: str) -> Configuration:
    tables = read_toml(path)
    if "run" not in tables:
        hint = (
            ": this is a run's config.toml; wse-sim transfer --config reads it"
            if "n_steps" in tables
            else ", which says seq_len at least (wse-sim explain config prints whole ones)"
        )
        raise SpecError(f"{path}: there is no table [run]{hint}")
    preset = load_model(path)
    if preset.recipe_mup is not None:
        raise SpecError(f"{path}: a configuration has one recipe, [recipe]; [recipe_mup] is one more")
    configuration = Configuration(
        shape=preset.shape,
        recipe=preset.recipe,
        base=preset.base,
        run=convert(_run_table(tables["run"], path), RunTable, f"{path} [run]"),
        training=convert(tables.get("training", {}), TrainingTable, f"{path} [training]"),
    )
    return _settled(configuration, is_density_said="density" in tables["run"])


def _settled(configuration: Configuration, *, is_density_said: bool) -> Configuration:
    """The same with the density that its algorithms make, which one that is said must be."""
    run = configuration.run
    made = configuration.density_of_sparsity
    if not is_density_said:
        return replace(configuration, run=replace(run, density=made))
    if abs(made - run.density) > SAME_DENSITY:
        raise SpecError(f"run.density is {run.density:g}, but run.sparsity makes it {made:.6g}: leave one out")
    return configuration


def _run_table(table: Any, path: str) -> Any:
    if isinstance(table, dict) and "sparsity" in table:
        return {**table, "sparsity": configure(table["sparsity"], f"{path}: run.sparsity")}
    return table
