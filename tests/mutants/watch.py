"""Which tests call which functions of a file."""

import ast
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest

OURS = ("wse_sim", "models", "training", "tests")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a run of the tests shows of a file. A function is known by its first line, decorators included.

    Parameters
    ----------
    source :
        The file as it is.
    called :
        Functions that each test calls, the quickest test first.
    called_by_all :
        Functions that imports call, or fixtures that tests share.
    """

    source: str
    called: Mapping[str, Sequence[int]]
    called_by_all: Sequence[int]

    def is_quick(self, line_number: int) -> bool:
        """Whether a change in that line is one of a function that no import calls."""
        function = function_of(self.source, line_number)
        return function is not None and function not in self.called_by_all

    def tests_of(self, line_number: int) -> list[str]:
        """The tests that may notice such a change, the quickest first."""
        function = function_of(self.source, line_number)
        return [test for test, functions in self.called.items() if function in functions]


class Watch:
    """Sees which functions of a file the tests call."""

    def __init__(self, path: str) -> None:
        self._path, self._took_s = path, dict[str, float]()
        self._called, self._by_all = dict[str, set[int]](), set[int]()
        self._now = self._by_all
        sys.setprofile(self._note)

    @property
    def result(self) -> dict[str, Any]:
        """`called` and `called_by_all`."""
        tests = sorted(self._called, key=lambda test: self._took_s[test])
        return {"called": {test: sorted(self._called[test]) for test in tests}, "called_by_all": sorted(self._by_all)}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        _clear_caches()
        self._now = self._called.setdefault(item.nodeid, set())
        began_s = time.perf_counter()
        try:
            return (yield)
        finally:
            self._took_s[item.nodeid] = time.perf_counter() - began_s

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        of_test = self._now
        if fixturedef.scope != "function":
            self._now = self._by_all
        try:
            return (yield)
        finally:
            self._now = of_test

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename == self._path:
            self._now.add(frame.f_code.co_firstlineno)


def function_of(source: str, line_number: int) -> int | None:
    """The outermost function in whose body the line is; None for what stands outside of functions."""
    within: list[ast.stmt] = ast.parse(source).body
    while within:
        around = next((s for s in within if s.lineno <= line_number <= (s.end_lineno or s.lineno)), None)
        if isinstance(around, ast.FunctionDef) and line_number >= around.body[0].lineno:
            return min(line.lineno for line in (around, *around.decorator_list))
        within = around.body if isinstance(around, ast.ClassDef) else []
    return None


def _clear_caches() -> None:
    """So that a test calls what it needs even where one before it has."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in OURS:
            for value in list(vars(module).values()):
                if callable(clear := getattr(value, "cache_clear", None)):
                    clear()
