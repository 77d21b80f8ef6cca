"""A compiled kernel that comes out of the cache does what it did when it was compiled, without a compiler."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from wse_sim.engine import native
from wse_sim.engine.native import native_kernel


def twice(x: int) -> int:
    return 2 * x


def double_five(memory: Any) -> None:
    for i in range(5):
        memory[i] = twice(memory[i])


def doubles(kernel: Any) -> bool:
    memory = np.arange(6)
    kernel(memory)
    return memory.tolist() == [0, 2, 4, 6, 8, 5]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    path = tmp_path / "source.py"
    path.write_text("first", encoding="utf-8")
    return path


def is_compiled(source: Path) -> bool:
    """Whether the kernel had to be compiled; it works in any case."""
    with patch.object(native, "_compiled", wraps=native._compiled) as compiled:
        assert doubles(native_kernel(source, double_five, [twice]))
    return bool(compiled.called)


def test_a_kernel_is_compiled_once_and_then_read(source: Path) -> None:
    assert is_compiled(source)
    assert not is_compiled(source)


def test_another_source_is_compiled_anew(source: Path) -> None:
    is_compiled(source)
    source.write_text("second", encoding="utf-8")
    assert is_compiled(source)


def test_a_cache_that_cannot_be_written_costs_time_only(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(source))  # a file, so that no folder can be made in it
    assert is_compiled(source)
    assert is_compiled(source)


def test_a_damaged_entry_is_made_again(source: Path, tmp_path: Path) -> None:
    is_compiled(source)
    (entry,) = (tmp_path / "cache").rglob("*.o")
    entry.write_bytes(entry.read_bytes()[:-1])
    assert is_compiled(source)
    assert not is_compiled(source)


def test_python_runs_it_on_demand(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    kernel = native_kernel(source, double_five, [twice])
    assert doubles(kernel)
    assert not (source.parent / "cache").exists()
    with pytest.raises(IndexError):
        kernel(np.arange(4))
