"""Parameters, recipes and non-zeros, against printed figures."""

import msgspec
import pytest

from wse_sim.errors import SpecError
from wse_sim.spec.load import data_path, load_model, read_toml
from wse_sim.spec.model import ModelShape
from wse_sim.workload.sparsity import exact_nonzeros
from wse_sim.workload.transformer import (
    embedding_weights,
    linear_matrices,
    linear_weights,
    n_parameters,
    nonzero_parameters,
    vectors_per_block,
)

CEREBRAS_GPT = ("111m", "256m", "590m", "1.3b", "2.7b", "6.7b", "13b")
WARMUP_TOKENS = 375e6


def published(name: str) -> dict[str, float]:
    table: dict[str, float] = read_toml(data_path("models", f"{name}.toml"))["published"]
    return table


@pytest.mark.parametrize("name", CEREBRAS_GPT)
def test_parameter_counts_equal_the_published_ones(name: str) -> None:
    assert n_parameters(load_model(name).shape) == published(name)["n_parameters"]


def test_parameters_of_111m_by_hand() -> None:
    d, layers = 768, 10
    expected = 50257 * d + 2048 * d + layers * (12 * d * d + 13 * d) + 2 * d
    assert n_parameters(load_model("111m").shape) == expected == 111_050_496


def test_vectors_of_a_block_share_out_the_last_norm() -> None:
    # 13 d a block: two norms of 2 d, biases of 4 d for attention, 5 d for the feed-forward layer; 2 d at the end.
    assert vectors_per_block(load_model("111m").shape) == 13 * 768 + 2 * 768 / 10


def test_llama_7b_has_the_checkpoints_parameters() -> None:
    assert n_parameters(load_model("llama-7b").shape) == 6_738_415_616


def test_gpt_j_is_within_a_thousandth_of_the_checkpoint() -> None:
    assert n_parameters(load_model("gpt-j-6b").shape) == pytest.approx(
        6_050_882_784, rel=1e-3
    )  # one norm, fewer biases


@pytest.mark.parametrize(
    ("name", "weights", "tokens"),
    [("d2z-111m", "0.1094", "2.19"), ("d2z-610m", "0.6062", "12.1"), ("d2z-1.7b", "1.713", "34.3")],
)
def test_alibi_swiglu_models_have_the_printed_weights_and_tokens(name: str, weights: str, tokens: str) -> None:
    shape = load_model(name).shape
    counted = embedding_weights(shape) + linear_weights(shape)  # the paper's formula leaves norms and biases out
    assert f"{counted / 1e9:.4g}" == weights == f"{published(name)['matrix_parameters'] / 1e9:.4g}"
    assert f"{20 * counted / 1e9:.3g}" == tokens == f"{published(name)['n_tokens'] / 1e9:.3g}"


@pytest.mark.parametrize(("name", "printed"), [("d2z-266m", "0.27"), ("d2z-3.3b", "3.3")])
def test_the_deep_models_of_the_collapse_paper_have_about_the_weights_of_their_names(name: str, printed: str) -> None:
    shape = load_model(name).shape
    assert f"{(embedding_weights(shape) + linear_weights(shape)) / 1e9:.2g}" == printed


def test_rmsnorm_has_no_bias() -> None:
    shape = load_model("111m").shape
    rms = msgspec.structs.replace(shape, norm="rmsnorm")
    assert n_parameters(shape) - n_parameters(rms) == (2 * shape.n_layers + 1) * shape.d_model


@pytest.mark.parametrize("name", CEREBRAS_GPT)
def test_recipe_gives_the_published_tokens_at_twenty_per_parameter(name: str) -> None:
    preset = load_model(name)
    assert preset.recipe is not None
    tokens = preset.recipe.n_steps * preset.recipe.batch_size * preset.shape.seq_len
    assert f"{tokens:.2e}" == f"{published(name)['n_tokens']:.2e}"
    assert f"{tokens / n_parameters(preset.shape):.2f}" == "20.00"


@pytest.mark.parametrize("name", CEREBRAS_GPT)
def test_warmup_is_375_million_tokens_to_one_step(name: str) -> None:
    preset = load_model(name)
    assert preset.recipe is not None
    step_tokens = preset.recipe.batch_size * preset.shape.seq_len
    assert abs(preset.recipe.warmup_steps * step_tokens - WARMUP_TOKENS) < step_tokens


def test_grouped_keys_and_swiglu_have_their_matrices() -> None:
    shape = ModelShape(
        name="g",
        n_layers=2,
        d_model=64,
        n_heads=8,
        n_kv_heads=2,
        d_ff=96,
        vocab_size=10,
        seq_len=4,
        feed_forward="swiglu",
    )
    sizes = {matrix.name: (matrix.n_out, matrix.n_in) for matrix in linear_matrices(shape)}
    assert sizes == {
        "q": (64, 64),
        "k": (16, 64),
        "v": (16, 64),
        "attention_out": (64, 64),
        "ffn_gate": (96, 64),
        "ffn_up": (96, 64),
        "ffn_out": (64, 96),
    }
    assert linear_weights(shape) == 2 * (2 * 64 * 64 + 2 * 16 * 64 + 3 * 96 * 64)


@pytest.mark.parametrize("name", CEREBRAS_GPT)
def test_density_one_masks_nothing(name: str) -> None:
    shape = load_model(name).shape
    assert nonzero_parameters(shape, 1.0) == n_parameters(shape)


def test_nonzeros_grow_with_density() -> None:
    shape = load_model("111m").shape
    counts = [nonzero_parameters(shape, density) for density in (0.01, 0.1, 0.25, 0.5, 0.9, 1.0)]
    assert counts == sorted(set(counts))


def test_exact_nonzeros_are_cut_down_and_never_none() -> None:
    assert exact_nonzeros(10, 0.25) == 2
    with pytest.raises(SpecError, match=r"at least 0\.1"):
        exact_nonzeros(10, 0.01)
    assert exact_nonzeros(10, 1.0) == 10


@pytest.mark.parametrize("density", [0.0, -0.1, 1.01, float("nan")])
def test_a_density_outside_its_range_is_refused(density: float) -> None:
    with pytest.raises(SpecError, match="above 0 and at most 1"):
        nonzero_parameters(load_model("111m").shape, density)
