"""The TOML files that users write, as types: each function makes the type of one document."""

from collections.abc import Iterable
from inspect import getdoc
from typing import Any, NotRequired, TypedDict

from msgspec import Struct
from msgspec.structs import fields


def model() -> type:
    from wse_sim.spec.base import BaseHyperparameters
    from wse_sim.spec.configuration import RunTable, TrainingTable
    from wse_sim.spec.model import ModelShape, Phase, Recipe

    class ShapeTable(ModelShape, frozen=True, kw_only=True):
        """The shape of a decoder or encoder transformer, and where it is from.

        Parameters
        ----------
        source :
            Where it is published.
        kind :
            `published`, `derived` or `assumed`.
        """

        source: str = ""
        kind: str = ""

    class PhaseTable(Phase, frozen=True, kw_only=True):
        """A stretch of a run with one batch size, and where it is from.

        Parameters
        ----------
        source :
            Where it is published.
        kind :
            `published`, `derived` or `assumed`.
        """

        source: str = ""
        kind: str = ""

    class RecipeTable(Recipe, frozen=True, kw_only=True):
        """How a published model was trained.

        Parameters
        ----------
        kind :
            `published`, `derived` or `assumed`.
        """

        phases: tuple[PhaseTable, ...] = ()
        kind: str = ""

    class _ModelFile(TypedDict):
        shape: ShapeTable

    class ModelFile(_ModelFile, total=False):
        """A model: its shape, its recipe if it has one, and what differs from that in μP; with a run, a configuration.

        Parameters
        ----------
        base :
            Hyper-parameters of its own, by the parameterization of its recipe.
        run, training :
            What makes a configuration of it, for --config.
        published :
            Figures of it that are published, to be held against what follows from its shape and recipe.
        """

        recipe: RecipeTable
        recipe_mup: _all_optional(RecipeTable, "RecipeOfMup")  # type: ignore[valid-type]
        base: BaseHyperparameters
        run: RunTable
        training: TrainingTable
        published: dict[str, float | str]

    return ModelFile


def system() -> type:
    from wse_sim.spec.cluster import Csx, MemoryX, SwarmX, load_cluster

    names: dict[str, list[str]] = {"csx": [], "memoryx": [], "swarmx": []}
    for constant in load_cluster("cs2", 1).constants:
        part, _, name = constant.partition(".")
        names[part].append(name)
    others = {
        "name": str,
        "memoryx": _table_of_constants(MemoryX, "MemoryX", names["memoryx"], total=False),
        "swarmx": _table_of_constants(SwarmX, "SwarmX", names["swarmx"], total=False),
    }
    return _table_of_constants(Csx, "SystemFile", names["csx"], total=True, **others)


def operations() -> type:
    from wse_sim.spec.operations import Operations, load_operations

    return _table_of_constants(Operations, "OperationsFile", load_operations().constants, total=False)


def economics() -> type:
    from wse_sim.spec.economics import EconomicsFile

    return _all_optional(EconomicsFile, EconomicsFile.__name__)


def _table_of_constants(cls: type, title: str, constants: Iterable[str], /, *, total: bool, **others: type) -> type:
    """A typed dictionary of constants with their sources; its docstring is that of `cls`, which has them as numbers.

    Parameters
    ----------
    total :
        Whether the constants are required; `others` never are.
    """
    from wse_sim.spec.sourced import Sourced

    keys: Any = dict.fromkeys(constants, Sourced) | {other: NotRequired[of] for other, of in others.items()}
    made: Any = TypedDict(title, keys, total=total)  # type: ignore[misc]
    made.__doc__ = getdoc(cls)
    return made


def _all_optional(cls: type, name: str) -> type:
    """A typed dictionary of what a struct has, none of it required; its docstring has also those that `cls` extends."""
    made: Any = TypedDict(name, {field.name: field.type for field in fields(cls)}, total=False)  # type: ignore[misc]
    made.__doc__ = "\n\n".join(getdoc(of_class) or "" for of_class in cls.__mro__ if of_class not in (Struct, object))
    return made
