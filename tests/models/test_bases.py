"""The base hyper-parameters are those of the papers, and each model finds its own."""

import msgspec
import pytest

from models.bases import BASES, BaseHyperparameters, base_for
from wse_sim.errors import SpecError
from wse_sim.spec.load import load_model


def test_bases_are_those_of_the_papers() -> None:
    smupar = BASES["smupar-paper"]  # SμPar, Table 3
    assert (smupar.peak_lr, smupar.init_std) == (1.62e-2, 0.08665602)
    assert (smupar.embedding_multiplier, smupar.logits_multiplier) == (9.1705, 1.0951835)
    mup = BASES["cerebras-gpt-mup"]  # Cerebras-GPT, Section 3.3
    assert (mup.d_base, mup.depth_base, mup.peak_lr, mup.init_std, mup.embedding_multiplier) == (
        256,
        24,
        6e-3,
        0.08,
        10,
    )


def test_the_bytes_base_takes_attention_back_to_one_over_the_root_of_the_head() -> None:
    assert BASES["bytes-64"].attention_multiplier / 32 == pytest.approx(32**-0.5, rel=1e-15)


def test_every_base_says_where_it_comes_from() -> None:
    assert all(base.source for base in BASES.values())
    assert {base.kind for base in BASES.values()} == {"published", "derived", "assumed"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("peak_lr", 0.0), ("peak_lr", -0.5), ("depth_base", 0), ("depth_base", -1), ("residual_init_std", 0.0)],
        *[("density_base", 1.5), ("density_base", 0.0), ("density_base", -0.5)],
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(SpecError, match=field):
        msgspec.structs.replace(BASES["bytes-64"], **{field: value})


def test_a_base_that_says_no_more_multiplies_nothing() -> None:
    base = BaseHyperparameters(d_base=64, peak_lr=0.01, init_std=0.02, source="a test")
    assert (base.embedding_multiplier, base.logits_multiplier, base.attention_multiplier) == (1.0, 1.0, 1.0)
    assert (base.density_base, base.depth_base, base.sigma("embedding")) == (1.0, None, 0.02)


def test_the_ends_of_the_ranges_are_taken() -> None:
    ends = {"depth_base": 1, "density_base": 1.0, "peak_lr": 1e-9, "embedding_init_std": 0.5, "residual_init_std": None}
    taken = msgspec.structs.replace(BASES["bytes-64"], **ends)
    assert {field: getattr(taken, field) for field in ends} == ends


def test_embeddings_and_residual_outputs_may_start_with_deviations_of_their_own() -> None:
    own = {"embedding_init_std": 0.3, "residual_init_std": 0.2, "init_std": 0.1}
    base = msgspec.structs.replace(BASES["bytes-64"], **own)
    sigmas = {role: base.sigma(role) for role in ("embedding", "position", "hidden_in", "hidden_out", "output")}
    assert sigmas == {"embedding": 0.3, "position": 0.3, "hidden_in": 0.1, "hidden_out": 0.2, "output": 0.1}
    without = msgspec.structs.replace(base, embedding_init_std=None, residual_init_std=None)
    assert {without.sigma(role) for role in sigmas} == {0.1}


def test_a_model_that_comes_with_a_base_is_trained_from_it() -> None:
    preset = msgspec.structs.replace(load_model("111m"), base=BASES["bytes-64"])
    assert base_for(preset, "sp") == base_for(preset, "smupar") == BASES["bytes-64"]
    assert base_for(None, "smupar") == BASES["smupar-paper"]


@pytest.mark.parametrize(
    ("model", "parametrization", "peak_lr", "init_std"),
    [
        ("13b", "sp", 1.2e-4, 0.02),  # its own recipe's rate
        ("13b", "mup", 6e-3, 0.08),
        ("d2z-610m", "mup", 1.62e-2, 0.08665602),  # published with SμPar's base
        ("d2z-610m", "sp", 6e-4, 0.02),  # its recipe's rate is μP's and means nothing here
        ("111m", "smupar", 1.62e-2, 0.08665602),
        ("llama-2-7b", "sp", 3e-4, 0.02),
    ],
)
def test_a_model_is_trained_from_its_own_base(
    model: str, parametrization: str, peak_lr: float, init_std: float
) -> None:
    base = base_for(load_model(model), parametrization)
    assert (base.peak_lr, base.init_std) == (peak_lr, init_std)
