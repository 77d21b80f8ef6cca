"""The TOML files that users write, as types: each function makes the type of one document."""

from collections.abc import Iterable
from inspect import getdoc
from typing import Any, TypedDict

from msgspec.structs import fields


def model() -> type:
    from wse_sim.spec.model import ModelShape, Phase, Recipe

    class ShapeTable(ModelShape, frozen=True, kw_only=True):
        source: str = ""
        kind: str = ""

    class PhaseTable(Phase, frozen=True, kw_only=True):
        source: str = ""
        kind: str = ""

    class RecipeTable(Recipe, frozen=True, kw_only=True):
        phases: tuple[PhaseTable, ...] = ()
        kind: str = ""

    class _ModelFile(TypedDict):
        shape: ShapeTable

    class ModelFile(_ModelFile, total=False):
        """A model: its shape, and if it has one its recipe, and what differs from that in μP."""

        recipe: RecipeTable
        recipe_mup: _all_optional(RecipeTable, "RecipeOfMup")  # type: ignore[valid-type]
        published: dict[str, float | str]

    return ModelFile


def system() -> type:
    from wse_sim.spec.cluster import Csx, load_cluster

    names = (name.removeprefix("csx.") for name in load_cluster("cs2", 1).constants if name.startswith("csx."))
    return _table_of_constants(Csx, "SystemFile", names, total=True)


def operations() -> type:
    from wse_sim.spec.operations import Operations, load_operations

    return _table_of_constants(Operations, "OperationsFile", load_operations().constants, total=False)


def economics() -> type:
    from wse_sim.spec.economics import EconomicsFile

    return _all_optional(EconomicsFile, EconomicsFile.__name__)


def _table_of_constants(cls: type, name: str, constants: Iterable[str], *, total: bool) -> type:
    """A typed dictionary of constants with their sources; its docstring is that of `cls`, which has them as numbers."""
    from wse_sim.spec.sourced import Sourced

    made: Any = TypedDict(name, dict.fromkeys(constants, Sourced), total=total)  # type: ignore[misc]
    made.__doc__ = getdoc(cls)
    return made


def _all_optional(cls: type, name: str) -> type:
    """A typed dictionary of what a struct has, none of it required."""
    made: Any = TypedDict(name, {field.name: field.type for field in fields(cls)}, total=False)  # type: ignore[misc]
    made.__doc__ = getdoc(cls)
    return made
