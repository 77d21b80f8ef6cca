"""Which mutants a source file has.

Of Cosmic Ray's operators those that are hard to notice, so that the share of killed ones flatters nobody. Arithmetic
becomes two others of its kind, and no bit operation, which on floats always raises. A comparison of numbers becomes the
two that imply all others but a constant (Kaminski, Ammann, Offutt, Journal of Systems and Software 86(8), 2013), and
where it is a condition also its contrary; that of words becomes its contrary alone.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider
from parso.tree import NodeOrLeaf

_ARITHMETIC = {
    "Add": ("Sub", "Mul"),
    "Sub": ("Add", "Mul"),
    "Mul": ("Div", "Add"),
    "Div": ("Mul", "FloorDiv"),
    "FloorDiv": ("Div", "Mul"),
    "Mod": ("FloorDiv", "Mul"),
    "Pow": ("Mul", "Div"),
    "BitOr": ("BitAnd", "BitXor"),
    "BitAnd": ("BitOr", "BitXor"),
}
_COMPARISON = {
    "Lt": ("LtE", "NotEq"),
    "LtE": ("Lt", "Eq"),
    "Gt": ("GtE", "NotEq"),
    "GtE": ("Gt", "Eq"),
    "Eq": ("LtE", "GtE", "NotEq"),
    "NotEq": ("Lt", "Gt", "Eq"),
    "Is": ("IsNot",),
    "IsNot": ("Is",),
}
_NAMES = (
    *(f"ReplaceBinaryOperator_{old}_{new}" for old, several in _ARITHMETIC.items() for new in several),
    *(f"ReplaceComparisonOperator_{old}_{new}" for old, several in _COMPARISON.items() for new in several),
    *("ReplaceUnaryOperator_USub_UAdd", "ReplaceUnaryOperator_Delete_Not", "AddNot"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop"),
    *("NumberReplacer", "ExceptionReplacer", "RemoveDecorator"),
)
_PROVIDER = OperatorProvider()
OPERATORS = {name: _PROVIDER[name]() for name in _NAMES}
_CONTRARIES = ("ReplaceComparisonOperator_Eq_NotEq", "ReplaceComparisonOperator_NotEq_Eq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A source file with one change.

    Parameters
    ----------
    line_number :
        Of the change, from 1.
    line, becomes :
        The source there before and after, without indentation. They and `file` name the mutant.
    source :
        The whole file.
    """

    file: str
    line_number: int
    line: str
    becomes: str
    source: str


def mutants_of(path: Path, file: str) -> list[Mutant]:
    """All mutants of a source file that can be compiled, in the order of their lines."""
    source = path.read_text(encoding="utf-8")
    found = {mutated: _mutant(file, source, mutated) for mutated in _sources(source) if _compiles(mutated)}
    return sorted(found.values(), key=lambda mutant: mutant.line_number)


def _sources(source: str) -> Iterator[str]:
    before = ""
    for statement in (child.get_code() for child in get_ast(source).children):
        after = source[len(before) + len(statement) :]
        yield from (before + mutated + after for mutated in _statements(statement))
        before += statement


def _statements(statement: str) -> Iterator[str]:
    nodes = list(ast_nodes(get_ast(statement)))
    for name, operator in OPERATORS.items():
        at = [node for node in nodes for _ in operator.mutation_positions(node)]
        for occurrence, node in enumerate(at):
            if not (_is_of_no_account(node) or _is_for_others(name, node)):
                with contextlib.suppress(AttributeError):  # ExceptionReplacer knows no name with a dot
                    yield mutate_code(statement, operator, occurrence)


def _is_for_others(operator: str, node: NodeOrLeaf) -> bool:
    """Whether a comparison is of words and the operator for numbers, or the other way round."""
    if not operator.startswith("ReplaceComparisonOperator") or "Is" in operator:
        return False
    return any(child.type == "string" for child in node.children) is not (operator in _CONTRARIES)


def _is_of_no_account(node: NodeOrLeaf) -> bool:
    """Whether it belongs to text, or to what is for readers and type checkers alone.

    The text of errors is what a `raise` says and what an f-string writes; whether an error is raised is decided outside
    of it. Docstrings and `__all__` are strings, which no operator changes.
    """
    while (parent := node.parent) is not None:
        if parent.type in ("raise_stmt", "fstring", "tfpdef"):
            return True
        if parent.type == "annassign" and (node is parent.children[1] or parent.children[1].get_code() == " TypeAlias"):
            return True
        if parent.type == "funcdef" and node is parent.annotation:
            return True
        if parent.type == "parameters" and node.type == "operator":  # the bare * and / of a signature
            return True
        node = parent
    return False


def _compiles(source: str) -> bool:
    try:
        compile(source, "<mutant>", "exec")
    except SyntaxError:
        return False
    return True


def _mutant(file: str, source: str, mutated: str) -> Mutant:
    before, after = source.splitlines(), mutated.splitlines()
    at = next(i for i, line in enumerate(before) if line.strip() and (i >= len(after) or line != after[i]))
    becomes = after[at].strip() if len(after) == len(before) else ""  # a decorator that is gone takes its line with it
    return Mutant(file=file, line_number=at + 1, line=before[at].strip(), becomes=becomes, source=mutated)
