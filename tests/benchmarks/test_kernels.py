"""What `wse-sim bench engine` measures beside the engines does the same work."""

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import kernels, twins
from wse_sim.cli import engine_speed
from wse_sim.engine.run import ends_of_steps_ps


@pytest.mark.slow  # compiles the event engine once more
def test_every_kernel_ends_its_steps_at_the_same_times(tmp_path: Path) -> None:
    program = engine_speed.step(engine_speed.SMALL_STEP, 12)
    found = kernels.kernels(tmp_path, with_bare_des=True)
    assert len(found) == 7 if twins.COMPILER else 5
    for kernel in found.values():
        assert np.array_equal(kernel(program)(), ends_of_steps_ps(program, "reference"))


def test_an_engine_that_records_elsewhere_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_RECORDS", "no such line")
    with pytest.raises(RuntimeError, match="records in another way"):
        kernels.without_recording(tmp_path)
