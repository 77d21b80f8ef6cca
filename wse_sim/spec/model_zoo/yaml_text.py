"""YAML in, plain values out: nothing is executed, nothing is said twice, and no small file becomes a large one.

The values are those of PyYAML's safe loader, with one addition: a number without a point or a sign in its exponent
(`6e-4`, `1e-8`, `1E5`) is a number, which YAML 1.1 takes for text and every author of a configuration means as one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from wse_sim.errors import SpecError
from wse_sim.files import read_bytes
from wse_sim.spec.reading import LONGEST_WHOLE, text_of

if TYPE_CHECKING:
    from yaml import MappingNode, Node, SafeLoader

_MOST_BYTES = 1 << 20
_MOST_VALUES = 20_000  # aliases counted each time they are used
_DEEPEST = 64
_EXPONENT = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+")
_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + name for name in ("null", "bool", "int", "float"))
_COLLECTIONS = frozenset((_TAG + "map", _TAG + "seq"))
_TEXTS = frozenset(_TAG + name for name in ("str", "timestamp", "value"))

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlDocument:
    """What a YAML file says.

    Parameters
    ----------
    lines :
        Line, from 1, on which each value begins, by the keys and list positions that lead to it.
    """

    where: str
    content: dict[str, Any]
    lines: dict[KeyPath, int] = field(repr=False)

    def place(self, path: KeyPath) -> str:
        """File, line and key of a value, for a message; of the nearest thing around it where it is not there."""
        known = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in self.lines), ())
        line = f", line {self.lines[known]}" if known else ""
        return f"{self.where}{line}: {dotted(path)}" if path else f"{self.where}{line}"


def dotted(path: KeyPath) -> str:
    """Keys with points between them, list positions in brackets: `trainer.init.schedulers[0].LinearLR`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def read_yaml(path: str) -> YamlDocument:
    """The mapping that a YAML file holds.

    Raises
    ------
    SpecError
        When the file cannot be read, is not one YAML document of plain values, says a key twice, or is too large.
    """
    import yaml

    raw = read_bytes(Path(path))
    if len(raw) > _MOST_BYTES:
        raise SpecError(f"{path}: has {len(raw):,} bytes, a configuration has at most {_MOST_BYTES:,}")
    text = text_of(raw, path, "YAML")
    try:
        loader = _loader(text, path)
        node = loader.get_single_node()
        reader = _Reader(path, loader)
        content = reader.value(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise SpecError(f"{path}{line}: is not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise SpecError(f"{path}: nests more than {_DEEPEST} deep") from None
    if not isinstance(content, dict):
        raise SpecError(f"{path}: holds {_kind(content)}, it must hold one mapping, `trainer:`")
    return YamlDocument(where=path, content=content, lines=reader.lines)


def _loader(text: str, where: str) -> "SafeLoader":
    """PyYAML's, which stops at a file that holds too much rather than to lay out all of it first."""
    import yaml

    class Loader(yaml.SafeLoader):
        n_values = 0

        def compose_node(self, parent: "Node | None", index: int) -> "Node | None":
            self.n_values += 1
            if self.n_values > 2 * _MOST_VALUES:  # keys are counted here
                raise _too_many(where)
            return super().compose_node(parent, index)

    return Loader(text)


def _too_many(where: str) -> SpecError:
    return SpecError(f"{where}: holds more than {_MOST_VALUES:,} values, aliases counted as they are used")


class _Reader:
    """Walks the nodes of one document, each alias as often as it is used."""

    def __init__(self, where: str, loader: "SafeLoader") -> None:
        self.where, self.loader = where, loader
        self.lines: dict[KeyPath, int] = {}
        self.n_values = 0

    def value(self, node: "Node", path: KeyPath) -> Any:
        from yaml import MappingNode, SequenceNode

        self.count(1)
        if len(path) > _DEEPEST:
            raise SpecError(f"{self.where}: nests more than {_DEEPEST} deep")
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, MappingNode | SequenceNode) and node.tag not in _COLLECTIONS:
            self.refuse(node)
        if isinstance(node, MappingNode):
            return {key: self.value(value, (*path, key)) for key, value in self.pairs(node)}
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, number)) for number, item in enumerate(node.value)]
        return self.scalar(node)

    def pairs(self, node: "MappingNode") -> Iterator[tuple[str, "Node"]]:
        """Keys and values; what `<<` brings in comes behind the mapping's own, which win."""
        own: dict[str, Node] = {}
        merged: list[tuple[str, Node]] = []
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                merged += self.merged(value_node)
                continue
            key = key_node.value
            if not isinstance(key, str):
                raise SpecError(f"{self.where}, line {key_node.start_mark.line + 1}: a key must be a word")
            if key in own:
                raise SpecError(f"{self.where}, line {key_node.start_mark.line + 1}: key {key!r} is said twice")
            own[key] = value_node
        yield from own.items()
        yield from {key: value for key, value in reversed(merged) if key not in own}.items()

    def merged(self, node: "Node") -> list[tuple[str, "Node"]]:
        from yaml import MappingNode, SequenceNode

        self.count(1)  # mappings that merge one another would go round for ever
        if isinstance(node, SequenceNode):
            return [pair for item in node.value for pair in self.merged(item)]
        if not isinstance(node, MappingNode):
            raise SpecError(f"{self.where}, line {node.start_mark.line + 1}: << takes mappings")
        pairs = list(self.pairs(node))
        self.count(len(pairs))
        return pairs

    def count(self, n: int) -> None:
        """Refuses what grows beyond the most values."""
        self.n_values += n
        if self.n_values > _MOST_VALUES:
            raise _too_many(self.where)

    def scalar(self, node: "Node") -> Any:
        if node.tag in _SCALARS:
            try:
                value = self.loader.construct_object(node)
            except ValueError:
                return node.value
            if isinstance(value, int) and value.bit_length() > LONGEST_WHOLE:
                line = node.start_mark.line + 1
                raise SpecError(f"{self.where}, line {line}: a whole number has more than {LONGEST_WHOLE} bits")
            return value
        if node.tag not in _TEXTS:
            self.refuse(node)
        if getattr(node, "style", None) is None and _EXPONENT.fullmatch(node.value):
            return float(node.value.replace("_", ""))
        return node.value

    def refuse(self, node: "Node") -> NoReturn:
        line = node.start_mark.line + 1
        raise SpecError(f"{self.where}, line {line}: {node.tag.removeprefix(_TAG)} is no plain value")


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
