"""The models and the data files of the project, by name."""

import os
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from os import PathLike
from pathlib import Path
from typing import Any

from wse_sim.errors import SpecError, choose
from wse_sim.spec.base import BaseHyperparameters
from wse_sim.spec.hugging_face import shape_from_hugging_face
from wse_sim.spec.model import ModelPreset, ModelShape, Recipe
from wse_sim.spec.model_zoo import SUFFIXES, read_model_zoo
from wse_sim.spec.reading import convert, read_json, read_toml
from wse_sim.spec.sourced import Sourced

__all__ = [
    "NO_MODEL",
    "ModelLike",
    "as_preset",
    "canonical",
    "convert",
    "data_digest",
    "data_names",
    "data_path",
    "is_file",
    "load_model",
    "load_named",
    "load_release",
    "model_names",
    "read_json",
    "read_toml",
    "release_names",
    "without_citation",
]

ModelLike = str | PathLike[str] | ModelShape | ModelPreset  # what `as_preset` takes

NO_MODEL = "--model is missing: name a preset (wse-sim list), a config.json or a shape TOML"
_CITATION_KEYS = ("source", "kind")
# [run] and [training] make a configuration of a model (`wse_sim.spec.read_configuration`).
_MODEL_TABLES = ("shape", "recipe", "recipe_mup", "base", "run", "training", "published")


def data_path(*parts: str) -> Traversable:
    """The file or folder of the project's own data that the steps `parts` lead to."""
    return (files("wse_sim") / "data").joinpath(*parts)


def data_names(folder: str) -> tuple[str, ...]:
    """The names, sorted, of the data files in `folder`, without their suffix."""
    entries = (entry.name for entry in data_path(folder).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in entries if name.endswith(".toml")))


def data_digest() -> str:
    """Of the content of all data files."""
    digest = sha256()
    for path in sorted(_files_below(data_path()), key=str):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_file(name: str) -> bool:
    """Whether what the user named is a file of their own rather than one of the data."""
    return name.endswith(".toml")


def canonical(name: str) -> str:
    """A name in the data in small letters, as it stands there; that of a user's own file as it is."""
    return name if is_file(name) else name.lower()


def load_named(folder: str, name: str, what: str) -> dict[str, Any]:
    """The content of the data file called `name` in `folder`, in any case, or of the user's own, `*.toml`.

    Raises
    ------
    SpecError
        When there is none; the message calls it `what` and lists those there are.
    """
    if is_file(name):
        return read_toml(name)
    return read_toml(data_path(folder, choose(name.lower(), data_names(folder), what) + ".toml"))


def without_citation(table: dict[str, Any]) -> dict[str, Any]:
    """`table` without the keys that say where its numbers come from."""
    return {key: value for key, value in table.items() if key not in _CITATION_KEYS}


def model_names() -> tuple[str, ...]:
    """The names of the model presets, sorted."""
    return data_names("models")


def load_model(name_or_path: str) -> ModelPreset:
    """The model that the user named.

    Parameters
    ----------
    name_or_path :
        A preset's name (`111m`, in any case), a file `*.toml` with a table [shape] and maybe [recipe] and what differs
        from it in μP, [recipe_mup], a Hugging Face `config.json`, or the folder that holds one, or a configuration of
        Cerebras ModelZoo, `*.yaml`.

    Raises
    ------
    SpecError
        When it is none of these or its content is wrong.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return _model_from(read_toml(path), where=name_or_path)
    if path.suffix.lower() in SUFFIXES:
        return read_model_zoo([name_or_path])[0].preset
    if os.path.isfile(path / "config.json"):  # which any name can be asked, a long one too
        path = path / "config.json"
    if path.suffix == ".json":
        return ModelPreset(
            shape=shape_from_hugging_face(read_json(path), name=path.resolve().parent.name, where=str(path))
        )
    return _preset(name_or_path.lower())


def as_preset(model: ModelLike) -> ModelPreset:
    """The model that the user named, or made: a shape comes without a recipe.

    Raises
    ------
    SpecError
        As `load_model`, and when it is something else.
    """
    if isinstance(model, ModelPreset):
        return model
    if isinstance(model, ModelShape):
        return ModelPreset(shape=model)
    if isinstance(model, str | PathLike):
        return load_model(str(model))
    raise SpecError(f"model is a {type(model).__name__}: name a preset or a file, or give a ModelShape or ModelPreset")


@cache
def _preset(name: str) -> ModelPreset:
    return _model_from(load_named("models", name, "model"), where=f"data/models/{name}.toml")


def release_names() -> tuple[str, ...]:
    """The names of the software releases whose rate is known, sorted."""
    return tuple(sorted(read_toml(data_path("releases.toml"))))


@cache
def load_release(name: str) -> Sourced:
    """The factor that the software release called `name` puts on the rate of computation, relative to release 2.

    A release that is more exact than the data (R2.0.3, 1.7.1) is the one of the data that it belongs to (r2, r1.7).

    Raises
    ------
    SpecError
        When the release is unknown.
    """
    releases = convert(read_toml(data_path("releases.toml")), dict[str, Sourced], "data/releases.toml")
    parts = name.lower().removeprefix("r").split(".")
    for n_parts in range(len(parts), 0, -1):
        family = "r" + ".".join(parts[:n_parts])
        if family in releases:
            return releases[family]
    return releases[choose(name.lower(), releases, "software release")]


def _files_below(folder: Traversable) -> Iterator[Traversable]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files_below(entry)
        elif entry.name.endswith(".toml"):
            yield entry


def _model_from(tables: dict[str, Any], where: str) -> ModelPreset:
    for table in tables:
        choose(table, _MODEL_TABLES, f"table in {where}")
    if not isinstance(tables.get("shape"), dict):
        raise SpecError(f"{where}: there is no table [shape]; it holds name, n_layers, d_model, n_heads, d_ff, ...")
    shape = convert(without_citation(tables["shape"]), ModelShape, f"{where} [shape]")
    recipe = _table(tables, "recipe", where)
    of_mup = _table(tables, "recipe_mup", where)
    base = _table(tables, "base", where)
    return ModelPreset(
        shape=shape,
        recipe=_recipe(recipe, f"{where} [recipe]") if recipe else None,
        # The same run but for what the table says.
        recipe_mup=_recipe({**recipe, **of_mup}, f"{where} [recipe_mup]") if of_mup else None,
        base=convert(base, BaseHyperparameters, f"{where} [base]") if base else None,
    )


def _table(tables: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise SpecError(f"{where}: {name} must be a table, [{name}]")
    return table


def _recipe(table: dict[str, Any], where: str) -> Recipe:
    said = {**without_citation(table), "source": table.get("source")}
    phases = said.get("phases")
    if isinstance(phases, list) and all(isinstance(phase, dict) for phase in phases):
        said["phases"] = [without_citation(phase) for phase in phases]
    return convert(said, Recipe, where)
