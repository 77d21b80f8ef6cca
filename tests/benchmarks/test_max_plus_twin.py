"""The C++ twin of the max-plus engine runs the same recurrence: without that its speed would be no yardstick."""

from pathlib import Path

import numpy as np

from tests.benchmarks import twins
from tests.engine.long_programs import long_program
from wse_sim.engine import max_plus


def test_twin_leaves_the_same_memory_behind(tmp_path: Path) -> None:
    twin = twins.build("max_plus", tmp_path, twins.integer_constants(max_plus))
    for seed in range(60):
        memory = max_plus._memory(long_program(seed), False, False)
        memory[memory[max_plus.DRAINED] : memory[max_plus.UPDATED]] = 0  # the one part that is read only where written
        copy = memory.copy()
        max_plus._run(memory)
        twin.run(twins.pointer(copy))
        assert np.array_equal(memory, copy)
