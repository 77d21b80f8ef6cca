"""The kernels of the engines, run by Python with every memory access checked, give the times that SimPy gives."""

import json
import os
import subprocess
import sys

import pytest

from tests.campaigns import RecordFigures
from tests.release_check import ROOT

FEW = {"random_program": 60, "over_many_steps": 6, "long_program": 4}
MANY = {"random_program": 2_000, "over_many_steps": 100, "long_program": 60}
PROGRAM = """
import json, sys
from tests.engine.test_engines_agree import campaign, drawn
from wse_sim.engine.pointers import pointer, _same_array
assert pointer is _same_array
print(json.dumps(campaign(named for kind, n in json.loads(sys.argv[1]).items() for named in drawn(kind, n))))
"""


def checked(n_of: dict[str, int]) -> dict[str, str | int]:
    """A campaign, in a process of its own, in which nothing is compiled."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(n_of)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    figures: dict[str, str | int] = json.loads(done.stdout)
    return figures


@pytest.mark.slow
def test_engines_agree_with_every_access_checked() -> None:
    assert checked(FEW)["values that differ"] == 0


@pytest.mark.campaign
def test_engines_agree_for_many_programs_with_every_access_checked(record_figures: RecordFigures) -> None:
    record_figures("engine", checked(MANY))
