"""`des.cpp` as an engine: on the memory that the numba engine builds, with its names of fields."""

import ctypes
from pathlib import Path

import numpy as np

from tests.benchmarks.twins import build, integer_constants, pointer
from wse_sim.engine import des
from wse_sim.engine.result import Finish
from wse_sim.schedule.program import Program


def build_des(directory: Path) -> ctypes.CDLL:
    return build("des", directory, integer_constants(des))


def run_des_twin(library: ctypes.CDLL, program: Program) -> Finish:
    """Finish times of every task, by the C++ engine."""
    memory, heap, times = des._memory(program), des._heap(program), np.empty(program.n_tasks, np.int64)
    memory[des.IS_RECORDING] = 1
    library.run_des(pointer(memory), pointer(heap), pointer(times))
    return Finish.of(program, times, int(memory[des.N_EVENTS]))
