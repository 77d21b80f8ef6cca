"""Questions for plans in tests, and their answers."""

from typing import Any

from wse_sim.planning.constraints import Constraints
from wse_sim.planning.outcomes import Question
from wse_sim.planning.search import Search, search
from wse_sim.planning.space import Space
from wse_sim.spec.economics import load_economics
from wse_sim.spec.load import load_model
from wse_sim.spec.operations import load_operations

SMALL = Space(num_csx=(1, 2, 4, 8), batch_sizes=(256, 512, 1024), tokens_per_parameter=(10.0, 20.0))
THIRSTY_CS3 = """
[units.cs3]
power_w = {value = 100000, kind = "assumed", source = "a test"}
rental_usd_per_h = {value = 10, kind = "assumed", source = "a test"}
"""
LIMITS = Constraints(deadline_s=5 * 86_400.0, max_cost_usd=60_000.0)


def question(model: str = "2.7b") -> Question:
    shape = load_model(model).shape
    return Question(
        shape=shape,
        seq_len=shape.seq_len,
        release="r2",
        seed=0,
        economics=load_economics(),
        operations=load_operations(),
    )


def found(constraints: Constraints = LIMITS, space: Space = SMALL, **given: Any) -> Search:
    return search(question(), space, constraints, **given)
