"""The sparse scaling law of Frantar et al. against the 48 runs that it was fitted to.

The printed coefficients give the printed objective, residuals and hold-out. They are not where the objective is least:
the authors' optimizer stopped early (its tolerance, 1e-5, is above the gradient of an objective of 1e-5).
"""

import numpy as np
import pytest

from wse_sim.laws.fit import fit
from wse_sim.laws.published import published_laws, sparse_t5_runs
from wse_sim.laws.sparse import SPARSE
from wse_sim.spec.load import data_path, read_toml

LAW = published_laws().sparse_t5
TABLES = read_toml(data_path("laws", "t5_c4.toml"))
RUNS = sparse_t5_runs()
INPUTS = tuple(np.array(column) for column in (RUNS.density, RUNS.nonzeros, RUNS.steps))
LOSSES = np.array(RUNS.loss)
HELD_OUT = TABLES["held_out"]


@pytest.fixture(scope="module")
def refitted():
    return fit(SPARSE, INPUTS, LOSSES)


def held_out_residual(law) -> float:
    predicted = law.loss(HELD_OUT["density"], HELD_OUT["nonzeros"], HELD_OUT["steps"])
    return float(predicted / HELD_OUT["loss"] - 1.0)


def mean_huber(residuals: np.ndarray, delta: float = 1e-3) -> float:
    size = np.abs(residuals)
    return float(np.where(size > delta, delta * (size - delta / 2), size**2 / 2).mean())


def test_the_table_is_the_grid_of_the_paper() -> None:
    assert LOSSES.size == 48
    assert set(RUNS.density) == {1.0, 0.5, 0.25, 0.125}
    assert len(set(RUNS.nonzeros)) == 4
    assert set(RUNS.steps) == {250_000, 500_000, 1_000_000}


def test_published_coefficients_give_the_published_objective() -> None:
    objective = mean_huber(np.log(LAW.loss(*INPUTS) / LOSSES))
    assert objective == pytest.approx(TABLES["objective"]["value"], rel=1e-6)  # eight digits are printed


def test_published_coefficients_give_the_published_residuals_and_hold_out() -> None:
    relative = LAW.loss(*INPUTS) / LOSSES - 1.0
    assert f"{100 * np.sqrt((relative**2).mean()):.2f}" == "1.04"
    assert f"{100 * np.abs(relative).max():.1f}" == "2.7"
    assert f"{100 * held_out_residual(LAW):.1f}" == "-1.0"


def test_a_fit_that_converges_finds_a_lower_objective_from_every_start(refitted) -> None:
    assert refitted.n_agreeing == refitted.n_starts == 25
    assert refitted.objective == pytest.approx(4.8801e-6, rel=1e-4)
    assert refitted.objective < 0.65 * TABLES["objective"]["value"]
    assert f"{100 * refitted.residual_std:.2f} {100 * refitted.largest_residual:.2f}" == "0.71 1.56"


def test_the_coefficients_there_are_not_the_published_ones(refitted) -> None:
    law = refitted.law.in_units(1e6, 1e5)
    found = (law.a_s, law.b_s, law.c_s, law.b_n, law.e, law.b_d, law.c)
    assert found == pytest.approx((0.43624, 1.34497, 1.69517, 0.23168, 0.41761, 0.38464, 0.83037), rel=1e-4)
    # Only the exponent of the size is well held by the 48 runs.
    assert law.b_n == pytest.approx(LAW.b_n, rel=0.06)
    assert law.b_s > 1.8 * LAW.b_s
    assert law.b_d > 1.8 * LAW.b_d
    # On the one larger run that was held out, the published coefficients are nearer.
    assert f"{100 * held_out_residual(law):.1f}" == "-1.9"


def test_the_worth_of_a_nonzero_depends_on_which_of_the_two_is_asked(refitted) -> None:
    densities = (0.5, 0.25, 0.125, 1 / 16, 1e-12)
    for law, printed in ((LAW, "1.59 2.16 2.63 2.98 3.64"), (refitted.law, "1.77 2.27 2.51 2.62 2.69")):
        assert " ".join(f"{law.dense_equivalent(1.0, density):.2f}" for density in densities) == printed
