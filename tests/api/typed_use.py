"""A user's script as mypy sees it: the types of results are known, and a wrong parameter is an error.

mypy reads this file with the rest of the project, as strictly as the package; nothing runs it. An error that is
expected and does not come is one itself.
"""

# mypy: disallow-untyped-calls, disallow-any-generics, disallow-untyped-defs, strict-equality, warn-unused-ignores

from typing import Any, assert_type

import wse_sim
from wse_sim.planning.result import PlanRow

result = wse_sim.simulate("13b", system="cs3", num_csx=4, batch_size=1080, density=0.25, tokens="26.3B")
assert_type(result.tokens_per_s, float)
assert_type(result.to_dict(), dict[str, Any])
assert_type(wse_sim.compare("13b", num_gpus=32).wafer.energy_j, float)
assert_type(wse_sim.plan("13b", deadline="10d", num_csx=[4, 8]).best, PlanRow | None)
assert_type(wse_sim.sweep("13b", num_csx="1,2", set={"csx.power_w": 2e4}).n_ok, int)
assert_type(wse_sim.project(model="2.7b").loss, float)
assert_type(wse_sim.train("111m", budget="10s").measured.val_loss, float)
assert_type(wse_sim.load_run("run").rows[0].loss, float | None)
wse_sim.simulate("13b", num_cs=4)  # type: ignore[call-arg]
wse_sim.simulate("13b", num_csx=[4])  # type: ignore[arg-type]
