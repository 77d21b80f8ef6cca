"""The plan says who is masked, when and how much: roles by default, filters in order, densities to the weight."""

import numpy as np
import pytest

from models.build import build_model
from models.parametrization import BASES, Parametrization
from training.sparsity import plan_sparsity
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape
from wse_sim.spec.sparsity import GMP, SET, SPDF, Algorithm, RigL, Static, Update, group
from wse_sim.spec.sparsity.hyper import Linear
from wse_sim.workload.sparsity import exact_nonzeros

SHAPE = ModelShape(name="t", n_layers=2, d_model=32, n_heads=2, d_ff=128, vocab_size=256, seq_len=16)
N_HIDDEN = 2 * 12 * 32**2


def test_the_hidden_matrices_are_masked_and_nothing_else() -> None:
    plan = plan_sparsity([Static()], SHAPE, density=0.25, n_steps=10)
    assert len(plan.densities) == 8
    assert set(plan.densities.values()) == {0.25}
    assert plan.hidden.keys() == plan.densities.keys()
    assert plan.n_hidden == N_HIDDEN
    assert not plan.is_dynamic


def test_density_one_masks_nothing() -> None:
    for algorithm in (Static(), SET(), RigL(), GMP(), SPDF(lift_at=5)):
        plan = plan_sparsity([algorithm], SHAPE, density=1.0, n_steps=10)
        assert (plan.groups, plan.density, plan.is_dynamic) == ((), 1.0, False)


def test_the_first_filter_that_matches_wins_and_the_rest_stays_dense() -> None:
    algorithms = group({"blocks.0.mlp.*": Static(sparsity=0.75), "*mlp*": Static(sparsity=0.5)})
    plan = plan_sparsity(algorithms, SHAPE, density=1.0, n_steps=10)
    assert {name.split(".weight")[0]: density for name, density in plan.densities.items()} == {
        "blocks.0.mlp.up": 0.25, "blocks.0.mlp.down": 0.25, "blocks.1.mlp.up": 0.5, "blocks.1.mlp.down": 0.5,
    }  # fmt: skip
    # Two thirds of the hidden weights are in the feed-forward layers, half of them in each block.
    assert plan.density == pytest.approx((0.25 + 0.5 + 1.0) / 3)


def test_a_filter_reaches_matrices_of_other_roles_but_no_vectors() -> None:
    plan = plan_sparsity([Static(sparsity=0.5, param_filter="*")], SHAPE, density=1.0, n_steps=10)
    assert {"token.weight", "position.weight"} < plan.densities.keys()
    assert not any("norm" in name or "bias" in name for name in plan.densities)
    assert plan.density == pytest.approx(0.5)


@pytest.mark.parametrize("filters", [("*mpl*",), ("*mlp*", "blocks.1.mlp.*")])
def test_a_filter_without_a_match_is_refused(filters: tuple[str, ...]) -> None:
    with pytest.raises(SpecError, match=r"matches no matrix that is left; there are .*blocks\.0\.attention"):
        plan_sparsity(group(dict.fromkeys(filters, Static(sparsity=0.5))), SHAPE, density=1.0, n_steps=10)


def test_gmp_without_a_schedule_goes_from_dense_to_the_density_along_a_cubic() -> None:
    plan = plan_sparsity([GMP(update=Update(freq=10, stop=0.75))], SHAPE, density=0.2, n_steps=60)
    masked = plan.groups[0]
    assert list(masked.steps) == [0, 10, 20, 30, 40]
    assert [masked.density(step) for step in masked.steps] == pytest.approx(
        [0.2 + 0.8 * (1 - step / 40) ** 3 for step in masked.steps], abs=1e-12
    )
    assert (masked.density(0), masked.density(40), plan.density) == (1.0, 0.2, 0.2)


def test_sparsity_point_nine_leaves_a_tenth_and_not_one_weight_less() -> None:
    plan = plan_sparsity([Static(sparsity=0.9)], SHAPE, density=1.0, n_steps=10)
    assert plan.density == 0.1
    assert plan.groups[0].n_live(0)["blocks.0.mlp.up.weight"] == int(0.1 * 128 * 32)


@pytest.mark.parametrize("density", [0.5, 0.25, 0.1])
def test_erk_keeps_the_total_and_leaves_small_matrices_denser(density: float) -> None:
    plan = plan_sparsity([Static(distribution="erk")], SHAPE, density=density, n_steps=10)
    densities = plan.densities
    n_live = sum(exact_nonzeros(int(np.prod(shape)), densities[name]) for name, shape in plan.hidden.items())
    assert n_live == int(density * N_HIDDEN)
    assert densities["blocks.0.attention.out.weight"] > densities["blocks.0.mlp.up.weight"]


@pytest.mark.parametrize("algorithm", [RigL(), SET(update=Update(freq=5)), GMP(update=Update(freq=5))])
def test_masks_start_at_step_zero_where_it_is_an_update_step(algorithm: Algorithm) -> None:
    expected = N_HIDDEN if isinstance(algorithm, GMP) else N_HIDDEN // 4
    assert _n_live_at_start(algorithm) == expected


@pytest.mark.parametrize("kind", [RigL, SET, GMP])
def test_masks_start_dense_where_it_is_not(kind: type[RigL] | type[SET] | type[GMP]) -> None:
    assert _n_live_at_start(kind(update=Update(freq=5, start=5))) == N_HIDDEN


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        (SPDF(lift_at=10), "step 10 of 10"),
        (SPDF(lift_at=0), "step 0 of 10"),
        (RigL(update=Update(freq=5, start=20)), "no step"),
        (RigL(balance_out_groups=5), "balance_out_groups is 5"),
        (SET(sparsity=Linear(init=0.5, slope=0.06)), "leaves none"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused_before_the_first_step(algorithm: Algorithm, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        plan_sparsity([algorithm], SHAPE, density=0.25, n_steps=10)


def _n_live_at_start(algorithm: Algorithm) -> int:
    plan = plan_sparsity([algorithm], SHAPE, density=0.25, n_steps=10)
    built = build_model(
        SHAPE,
        Parametrization(name="smupar", base=BASES["bytes-64"]),
        seed=0,
        density=plan.densities,
        weight_decay=0.1,
        eps=1e-8,
        start_masks=lambda model: plan.start_masks(model, 0),
    )
    return sum(int(built.masks.mask(name).sum()) for name in built.masks)
