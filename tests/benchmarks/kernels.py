"""What `wse-sim bench engine` holds the engines against, and their kernels alone, without the set-up in Python.

A kernel is prepared for a program outside the measured time; what is then measured is one compiled function. C++ and
numba get the same memory. A copy of the event engine without the lines that record shows what they cost when recording
is off.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tests.benchmarks import twins
from tests.benchmarks.des_twin import build_des
from tests.benchmarks.lean_simpy import run_lean_simpy
from wse_sim.cli.engine_speed import (
    DES_BARE,
    DES_CPP,
    DES_KERNEL,
    DES_KERNEL_RECORDING,
    MAX_PLUS_CPP,
    MAX_PLUS_KERNEL,
    MAX_PLUS_KERNEL_RECORDING,
)
from wse_sim.engine import des, max_plus
from wse_sim.schedule.program import IntArray, Program

__all__ = ["kernels", "run_lean_simpy"]

# Takes a program, gives the function to be measured; that gives back the end of every step.
Kernel = Callable[[Program], Callable[[], IntArray]]

_RECORDS = "    if M[IS_RECORDING]:\n        _record(M, F, server, finish)\n"


def kernels(directory: Path, *, with_bare_des: bool) -> dict[str, Kernel]:
    """By name; those in C++ only where there is a compiler. What is built is left in `directory`."""
    found = {
        DES_KERNEL: _des_kernel(des._run),
        DES_KERNEL_RECORDING: _des_kernel(des._run, is_recording=True),
        MAX_PLUS_KERNEL: _max_plus_kernel(max_plus._run),
        MAX_PLUS_KERNEL_RECORDING: _max_plus_kernel(max_plus._run, is_recording=True),
    }
    if with_bare_des:
        found[DES_BARE] = _des_kernel(without_recording(directory)._run)
    if twins.COMPILER is not None:
        run_des = build_des(directory).run_des
        run_max_plus = twins.build("max_plus", directory, twins.integer_constants(max_plus)).run
        found[DES_CPP] = _des_kernel(lambda *arrays: run_des(*map(twins.pointer, arrays)))
        found[MAX_PLUS_CPP] = _max_plus_kernel(lambda memory: run_max_plus(twins.pointer(memory)))
    return found


def without_recording(directory: Path) -> ModuleType:
    """A copy of the event engine that cannot record; to be compiled when it first runs."""
    source = Path(des.__file__).read_text(encoding="utf-8")
    if source.count(_RECORDS) != 1:
        raise RuntimeError("the event engine records in another way than this knows: change _RECORDS")
    copy = directory / "des_without_recording.py"
    copy.write_text(source.replace(_RECORDS, ""), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(copy.stem, copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _des_kernel(run: Callable[..., Any], *, is_recording: bool = False) -> Kernel:
    def prepare(program: Program) -> Callable[[], IntArray]:
        memory, heap = des._memory(program), des._heap(program)
        memory[des.IS_RECORDING] = is_recording
        times = np.full(program.n_tasks * is_recording, -1)  # written to, so that the system has given the memory

        def measured() -> IntArray:
            run(memory, heap, times)
            return memory[memory[des.STEP_ENDS] :][: program.n_steps]

        return measured

    return prepare


def _max_plus_kernel(run: Callable[..., Any], *, is_recording: bool = False) -> Kernel:
    def prepare(program: Program) -> Callable[[], IntArray]:
        memory = max_plus._memory(program, is_recording, False)
        head = memory[: max_plus._RINGS + memory[max_plus.N_RINGS] * max_plus._RING].copy()

        def measured() -> IntArray:
            memory[: len(head)] = head  # a recorded run fills its rings to the end: start at their beginning again
            run(memory)
            return memory[memory[max_plus.STEP_ENDS] :][: program.n_steps]

        return measured

    return prepare
