"""FLOP conventions, against printed figures and vendor statements."""

import msgspec
import pytest

from wse_sim.errors import SpecError
from wse_sim.spec.load import data_path, load_model, read_toml
from wse_sim.workload.flops import (
    CONVENTIONS,
    Convention,
    attention_flops,
    embedding_flops,
    flop_reduction,
    linear_flops,
    logits_flops,
    model_flops_utilisation,
    softmax_flops,
    training_flops_per_token,
)
from wse_sim.workload.transformer import n_parameters, nonzero_parameters

CEREBRAS_GPT = ("111m", "256m", "590m", "1.3b", "2.7b", "6.7b", "13b")


def run_flops(name: str, convention: Convention) -> float:
    preset = load_model(name)
    assert preset.recipe is not None
    tokens = preset.recipe.n_steps * preset.recipe.batch_size * 2048
    return tokens * training_flops_per_token(preset.shape, 2048, convention=convention)


def published(name: str, key: str) -> float:
    return float(read_toml(data_path("models", f"{name}.toml"))["published"][key])


@pytest.mark.parametrize("name", CEREBRAS_GPT)
def test_paper_convention_gives_table_8(name: str) -> None:
    assert f"{run_flops(name, 'paper'):.1e}" == f"{published(name, 'training_flops'):.1e}"


@pytest.mark.parametrize("name", CEREBRAS_GPT[1:])
def test_algorithmic_convention_gives_the_older_table(name: str) -> None:
    assert f"{run_flops(name, 'algorithmic'):.1e}" == f"{published(name, 'training_flops_old_readme'):.1e}"


def test_the_older_tables_111m_entry_is_odd() -> None:
    assert f"{run_flops('111m', 'algorithmic'):.1e}" == "2.2e+18"
    assert published("111m", "training_flops_old_readme") == 2.5e18  # neither convention gives this one


def test_terms_of_111m_by_hand() -> None:
    shape = load_model("111m").shape  # 10 layers, d 768, 12 heads
    assert linear_flops(shape) == 72 * 10 * 768**2
    assert linear_flops(shape, 0.25) == 18 * 10 * 768**2
    assert attention_flops(shape, 2048) == 12 * 10 * 2048 * 768
    assert logits_flops(shape) == 6 * 768 * 50257
    assert embedding_flops(shape) == 4 * 768 * 50257
    assert softmax_flops(shape, 2048) == 9 * 10 * 12 * 2048


def test_palm_convention_is_six_n_and_attention() -> None:
    shape = load_model("1.3b").shape
    six_n = training_flops_per_token(shape, 2048, convention="6nd")
    assert six_n == 6 * n_parameters(shape)
    assert training_flops_per_token(shape, 2048, convention="palm") == six_n + 12 * 24 * 2048 * 2048


def test_an_encoder_has_logits_where_words_are_masked() -> None:
    shape = msgspec.structs.replace(load_model("111m").shape, logits_fraction=0.15)
    assert logits_flops(shape) == pytest.approx(0.15 * 6 * 768 * 50257, rel=1e-15)


def test_palm_convention_counts_no_masked_weights() -> None:
    n_masked = 0.75 * 12 * 10 * 768**2  # of 111M's 111,050,496 parameters, 12 L d^2 in linear layers
    expected = 6 * (111_050_496 - n_masked) + 12 * 10 * 2048 * 768
    assert training_flops_per_token(load_model("111m").shape, 2048, 0.25) == expected


def test_utilisation_is_the_flops_per_second_that_the_model_needs_over_the_peak() -> None:
    # PaLM, arXiv 2204.02311, Appendix B: MFU = tokens/s x (6 N + 12 L d s) / peak, here of 111M on 1 PFLOP/s.
    shape, dense = load_model("111m").shape, 6 * 111_050_496 + 12 * 10 * 2048 * 768
    found = model_flops_utilisation(shape, 2048, 0.25, tokens_per_s=5e5, peak_flops_per_s=1e15)
    assert found["dense_equivalent_mfu"] == pytest.approx(5e5 * dense / 1e15, rel=1e-15)
    assert found["mfu"] == pytest.approx(5e5 * (dense - 6 * 0.75 * 12 * 10 * 768**2) / 1e15, rel=1e-15)


def test_gpt3_xl_at_a_quarter_needs_two_and_a_half_times_fewer_flops() -> None:
    reduction = flop_reduction(load_model("1.3b").shape, seq_len=2048, density=0.25)
    assert f"{reduction:.3f}" == "2.494"  # SPDF, arXiv 2303.10464: 2.5x
    assert f"{100 * (1 - 1 / reduction):.1f}" == "59.9"  # vendor's blog: 60 % fewer


def test_gpt3_xl_pruned_to_84_percent() -> None:
    shape = load_model("1.3b").shape  # vendor's blog: 83.8 % sparse, 3x fewer FLOPs, 4.3x fewer parameters
    assert f"{flop_reduction(shape, seq_len=2048, density=0.162):.2f}" == "3.02"
    assert f"{n_parameters(shape) / nonzero_parameters(shape, 0.162):.2f}" == "4.34"


def test_variable_sparse_pretraining_of_6_7b_saves_64_percent() -> None:
    shape = load_model("6.7b").shape
    rest = attention_flops(shape, 2048) + logits_flops(shape) + embedding_flops(shape)  # softmax left out: with it 64.1
    sparse, dense = linear_flops(shape, 0.1) + rest, linear_flops(shape) + rest
    sparse_steps, dense_steps = 62_523, 9_379  # of 1040 sequences; the dense run has as many as the sparse phase
    share = (sparse_steps * sparse + dense_steps * dense) / (sparse_steps * dense)
    assert f"{100 * (1 - share):.1f}" == "64.2"


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_fewer_weights_never_need_more_flops(convention: Convention) -> None:
    shape = load_model("590m").shape
    counts = [training_flops_per_token(shape, 2048, rho, convention) for rho in (0.01, 0.1, 0.5, 0.99, 1.0)]
    assert counts == sorted(counts)


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(SpecError, match="FLOP convention"):
        training_flops_per_token(load_model("111m").shape, 2048, convention="chinchilla")  # type: ignore[arg-type]
