"""The density of all hidden matrices is that of the trainer's masks."""

from collections.abc import Sequence

import pytest

from tests.spec.sparsity.test_stretching import RIGL
from training.sparsity.plan import plan_sparsity
from wse_sim.spec.load import load_model
from wse_sim.spec.sparsity import GMP, SPDF, Algorithm, Static, Update
from wse_sim.spec.sparsity.density import density_together, hidden_matrices
from wse_sim.spec.sparsity.hyper import Cubic

N_STEPS = 1000
ALGORITHMS: Sequence[tuple[Algorithm, ...]] = (
    (Static(),),
    (Static(sparsity=0.9),),
    (Static(sparsity=0.5, param_filter="*.attention.*"), Static(sparsity=0.75, param_filter=("*",))),
    (Static(sparsity=0.5, param_filter=("blocks.3.*", "token.weight")),),
    (SPDF(sparsity=0.75, lift_at=0.5),),
    (GMP(sparsity=Cubic(final=0.9, stop=0.8), update=Update(freq=30, stop=0.6)),),
)


@pytest.mark.parametrize("model", ["111m", "llama-2-70b"])
@pytest.mark.parametrize("algorithms", ALGORITHMS)
def test_density_is_that_of_the_masks_that_are_trained(model: str, algorithms: tuple[Algorithm, ...]) -> None:
    shape = load_model(model).shape
    plan = plan_sparsity(algorithms, shape, density=1.0, n_steps=N_STEPS)
    assert hidden_matrices(shape) == {name: rows * columns for name, (rows, columns) in plan.hidden.items()}
    assert density_together(algorithms, shape, n_steps=N_STEPS) == pytest.approx(plan.density, rel=1e-12)


def test_an_algorithm_without_a_sparsity_has_the_density_of_the_run() -> None:
    shape = load_model("111m").shape
    assert density_together((RIGL,), shape, n_steps=N_STEPS, density=0.25) == 0.25
