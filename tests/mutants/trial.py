"""Whether the tests notice a mutant: pytest in a forked process for which the file is what the mutant says it is.

Most mutants change the body of a function that no import has called yet. They are tried in forks of a process in which
pytest has collected the tests: the function gets the code of the mutant, and its tests run at once. The others, of
constants, tables, defaults and classes, are tried in forks in which all libraries are imported and nothing of ours.
"""

import contextlib
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from types import CodeType, FunctionType, ModuleType

import pytest
from hypothesis import Phase, settings

from tests.mutants.changes import Mutant
from tests.mutants.forks import Outcome, outcomes
from tests.mutants.watch import OURS, Watch, Watched, function_of

Verdicts = Iterator[tuple[Mutant, Outcome, float]]

# Plugins that are warm already are not rewritten, and need not be. With one seed the verdicts are the same every time.
_QUIET = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
_OPTIONS = ("-x", "-s", "-p", "no:cacheprovider", "--hypothesis-seed=0", *_QUIET)
_SPARE = 5  # times the CPU time that the tests need without a mutant, and
_AT_LEAST_S = 5  # so much more, until a mutant is taken to run for ever
_FOR_EVER_S = 3600  # for what is good


def verdicts(file: str, tests: Sequence[str], mutants: Sequence[Mutant], n_jobs: int) -> Verdicts:
    """What became of each mutant of a file, and the CPU time of its trial; without one the tests must pass."""
    with TemporaryDirectory() as scratch:
        watched, cpu_s = _watched(file, tests, scratch)
        most_s = round(_SPARE * cpu_s) + _AT_LEAST_S
        quick = [mutant for mutant in mutants if watched.is_quick(mutant.line_number)]
        found = Path(scratch, "verdicts")
        server = _Server(watched, quick, scratch, found, n_jobs, most_s)
        _must_pass(lambda: _pytest(tests, scratch, [server]), scratch)
        for line in found.read_text().splitlines():
            index, outcome, took_s = json.loads(line)
            yield quick[index], outcome, took_s
        slow = [mutant for mutant in mutants if mutant not in quick]
        work = ((mutant, lambda mutant=mutant: _pytest(tests, scratch, [_Ordered(watched)], mutant)) for mutant in slow)
        yield from outcomes(work, n_jobs, most_s)


def _watched(file: str, tests: Sequence[str], scratch: str) -> tuple[Watched, float]:
    """What the tests call, and the CPU time that they take in a process that has imported all libraries."""
    kept, path = Path(scratch, "watched"), os.path.abspath(file)

    def watch() -> int:
        before, plugin = set(sys.modules), Watch(path)
        code = _pytest(tests, scratch, [plugin])
        libraries = [name for name in sys.modules if name not in before and name.partition(".")[0] not in OURS]
        kept.write_text(json.dumps([libraries, plugin.result]))
        return code

    _must_pass(watch, scratch)
    libraries, result = json.loads(kept.read_text())
    for name in libraries:
        with contextlib.suppress(ImportError):  # some are made by others and cannot be imported themselves
            importlib.import_module(name)
    watched = Watched(source=Path(path).read_text(encoding="utf-8"), **result)
    return watched, _must_pass(lambda: _pytest(tests, scratch, []), scratch)


def _must_pass(run: Callable[[], int], scratch: str) -> float:
    """The CPU time of what must be good without a mutant."""
    ((_, outcome, cpu_s),) = outcomes([(None, run)], 1, _FOR_EVER_S)
    said = "\n".join(path.read_text() for path in Path(scratch).glob("*/output"))
    assert outcome == "survived", f"{outcome}: the tests fail without a mutant\n{said}"
    return cpu_s


def _pytest(tests: Sequence[str], scratch: str, plugins: Sequence[object], mutant: Mutant | None = None) -> int:
    """Run pytest in this process, which ends with it."""
    _settle(scratch)
    if mutant is not None:
        sys.meta_path.insert(0, _InPlace(mutant))
    return int(pytest.main([*_OPTIONS, *tests], [_Sure(), *plugins]))


def _settle(scratch: str) -> None:
    """Output, temporary files and examples of this process go to a folder of its own."""
    folder = mkdtemp(dir=scratch)
    output = os.open(f"{folder}/output", os.O_CREAT | os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ |= {"PYTEST_DEBUG_TEMPROOT": folder, "HYPOTHESIS_STORAGE_DIRECTORY": f"{folder}/examples"}


class _Sure:
    """A plugin: an example that fails is enough, the least one is not looked for."""

    def pytest_collection(self) -> None:
        settings.register_profile("sure", settings.default, phases=(Phase.explicit, Phase.generate))
        settings.load_profile("sure")


class _Ordered:
    """A plugin: the quickest tests first."""

    def __init__(self, watched: Watched) -> None:
        self._rank = {test: rank for rank, test in enumerate(watched.called)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self._rank[item.nodeid])


class _Server:
    """A plugin: where tests are collected, forks for each mutant instead of running them."""

    def __init__(
        self, watched: Watched, mutants: Sequence[Mutant], scratch: str, found: Path, n_jobs: int, most_s: int
    ) -> None:
        self._watched, self._mutants, self._scratch = watched, mutants, scratch
        self._found, self._n_jobs, self._most_s = found, n_jobs, most_s

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        work = ((index, lambda mutant=mutant: self._try(session, mutant)) for index, mutant in enumerate(self._mutants))
        _must_pass(lambda: self._run(session.items), self._scratch)
        with self._found.open("w") as found:
            for verdict in outcomes(work, self._n_jobs, self._most_s):
                found.write(json.dumps(verdict) + "\n")
        return True

    def _try(self, session: pytest.Session, mutant: Mutant) -> int:
        _give_code(mutant)
        by_name = {item.nodeid: item for item in session.items}
        return self._run([by_name[test] for test in self._watched.tests_of(mutant.line_number)])

    def _run(self, items: Sequence[pytest.Item]) -> int:
        _settle(self._scratch)
        for item, following in zip(items, (*items[1:], None), strict=False):  # no items, no test that may notice
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if item.session.testsfailed:
                return 1
        return 0


def _give_code(mutant: Mutant) -> None:
    """Give the function that the mutant changes its new code, wherever it has been imported to."""
    code = compile(mutant.source, os.path.abspath(mutant.file), "exec", dont_inherit=True)
    line = function_of(mutant.source, mutant.line_number)
    (new,) = [code for code in _codes(code) if code.co_firstlineno == line and code.co_name[0] != "<"]
    functions = _functions(sys.modules[_module_of(mutant)])
    changed = [function for function in functions if function.__code__.co_qualname == new.co_qualname]
    assert changed, f"{mutant.file}: no function {new.co_qualname}"
    for function in changed:
        function.__code__ = new


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(holder: ModuleType | type) -> Iterator[FunctionType]:
    """The functions of a module, those of its classes included, under whatever wraps them."""
    for value in list(vars(holder).values()):
        if isinstance(value, type) and isinstance(holder, ModuleType) and value.__module__ == holder.__name__:
            yield from _functions(value)
        for function in (value, *(getattr(value, name, None) for name in ("fget", "__func__", "__wrapped__"))):
            if isinstance(function, FunctionType):
                yield function


def _module_of(mutant: Mutant) -> str:
    return mutant.file.removesuffix(".py").replace("/", ".")


class _InPlace:
    """A finder for one module, the source of which is a mutant's."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != _module_of(self._mutant):
            return None
        loader = _SourceLoader(name, os.path.abspath(self._mutant.file))
        loader.source = self._mutant.source
        return importlib.util.spec_from_file_location(name, loader.path, loader=loader)


class _SourceLoader(SourceFileLoader):
    source = ""

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec", dont_inherit=True)
