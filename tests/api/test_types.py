"""A user's script is checked by mypy, as strictly as this package."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPT = """
# mypy: disallow-untyped-calls, disallow-any-generics, disallow-untyped-defs, strict-equality
import wse_sim

result = wse_sim.simulate("13b", system="cs3", num_csx=4, batch_size=1080, density=0.25, tokens="26.3B")
reveal_type(result.tokens_per_s)
reveal_type(result.to_dict())
reveal_type(wse_sim.compare("13b", num_gpus=32).wafer.energy_j)
best = wse_sim.plan("13b", deadline="10d", num_csx=[4, 8]).best
reveal_type(best)
reveal_type(wse_sim.sweep("13b", num_csx="1,2", set={"csx.power_w": 2e4}).n_ok)
reveal_type(wse_sim.project(model="2.7b").loss)
reveal_type(wse_sim.train("111m", budget="10s").measured.val_loss)
reveal_type(wse_sim.load_run("run").rows[0].loss)
wse_sim.simulate("13b", num_cs=4)
wse_sim.simulate("13b", num_csx=[4])
"""
# No result holds anything of it, and to read it takes longer than all else.
WITHOUT_TORCH = """
[[tool.mypy.overrides]]
module = "torch.*"
follow_imports = "skip"
"""
REVEALED = (
    *("float", "dict[str, Any]", "float", "wse_sim.planning.result.PlanRow | None"),
    *("int", "float", "float", "float | None"),
)


@pytest.mark.slow
def test_types_of_results_are_known_and_wrong_parameters_are_seen(tmp_path: Path) -> None:
    """By a process of its own: millions of objects stay when mypy has ended, which later tests would pay for."""
    script, settings = tmp_path / "script.py", tmp_path / "mypy.toml"
    script.write_text(SCRIPT)
    settings.write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8") + WITHOUT_TORCH, encoding="utf-8")
    mypy = [sys.executable, "-m", "mypy", "--config-file", str(settings), str(script)]
    done = subprocess.run(mypy, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    lines = [line.partition(": ")[2].replace("builtins.", "") for line in done.stdout.splitlines()]
    assert [line for line in lines if line.startswith("note: Revealed")] == [
        f'note: Revealed type is "{name}"' for name in REVEALED
    ]
    errors = [line for line in lines if line.startswith("error")]
    assert len(errors) == 2
    assert 'Unexpected keyword argument "num_cs" for "simulate"' in errors[0]
    assert 'Argument "num_csx" to "simulate" has incompatible type' in errors[1]
