"""The compiled engines with every memory access checked pass the same tests as without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SAME_TESTS = ("test_engines_agree.py", "test_fast_forward.py")
LEFT_OUT = (
    "not agree_to_the_tick and not campaign"  # SimPy takes most of their time, and the rest runs all that is compiled
)


@pytest.mark.slow
def test_agreement_and_fast_forward_hold_with_bounds_checked(tmp_path: Path) -> None:
    code = (
        "import sys, pytest\n"
        "from wse_sim.engine.pointers import pointer, _same_array\n"
        "assert pointer is _same_array\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', *sys.argv[1:]]))\n"
    )
    # The compiled cache does not know the two modes apart. Low optimisation: compiling takes longer than running.
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "1"}
    words = [sys.executable, "-c", code, *(str(HERE / name) for name in SAME_TESTS), "-k", LEFT_OUT]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
