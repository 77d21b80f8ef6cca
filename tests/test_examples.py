"""Every example runs, and prints what it promises."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PROMISES = {
    "01_simulate_a_step.py": ["density 1: ", "density 0.25: ", "wafer compute"],
    "02_when_sparsity_pays.py": ["111m", "13b"],
    "03_three_engines_agree.py": [
        "run_des: every finish time equal: True",
        "run_max_plus: every finish time equal: True",
    ],
}


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PROMISES)


@pytest.mark.parametrize("name", PROMISES)
def test_example_keeps_its_promise(name: str) -> None:
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for promise in PROMISES[name]:
        assert promise in done.stdout
