"""The compiled engine with every memory access checked gives the same times as without."""

import os
import subprocess
import sys
from pathlib import Path


def test_bounds_checked_engine_matches_reference(tmp_path: Path) -> None:
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from hypothesis import given, settings\n"
        "from tests.engine.programs import programs\n"
        "from wse_sim.engine.des import run_des\n"
        "from wse_sim.engine.pointers import pointer, _same_array\n"
        "from wse_sim.engine.reference import run_reference\n"
        "assert pointer is _same_array\n"
        "@settings(max_examples=100, deadline=None, database=None)\n"
        "@given(programs())\n"
        "def check(program):\n"
        "    assert run_des(program).same_times_as(run_reference(program))\n"
        "check()\n"
    )
    # The compiled cache does not know the two modes apart.
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
