"""The C++ engine that the numba engine is measured against does the same work."""

import ctypes
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.benchmarks import twins
from tests.benchmarks.des_twin import build_des, run_des_twin
from tests.engine.programs import many_steps, programs
from wse_sim.engine.des import run_des
from wse_sim.schedule.program import Program

EXAMPLES = settings(max_examples=150)


def test_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twins, "COMPILER", None)
    with pytest.raises(RuntimeError, match="no C\\+\\+ compiler"):
        build_des(tmp_path)


# A machine without a compiler measures no twins, so there is nothing that these could claim there.
if twins.COMPILER is not None:

    @pytest.fixture(scope="module")
    def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
        return build_des(tmp_path_factory.mktemp("twins"))

    @EXAMPLES
    @given(program=programs() | many_steps())
    def test_cpp_engine_has_the_same_times_and_the_same_events(library: ctypes.CDLL, program: Program) -> None:
        expected, found = run_des(program), run_des_twin(library, program)
        assert found.same_times_as(expected)
        assert found.n_events == expected.n_events

    def test_refused_source_is_quoted(tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match=r"g\+\+ refuses des\.cpp:\n.*error"):
            twins.build("des", tmp_path, {})
