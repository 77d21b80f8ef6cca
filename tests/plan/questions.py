"""Questions for plans in tests."""

from wse_sim.plan.outcomes import Question
from wse_sim.spec.economics import load_economics
from wse_sim.spec.load import load_model
from wse_sim.spec.operations import load_operations


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
