"""Parameters, recipes and non-zeros, against printed figures."""

import pytest

from wse_sim.errors import SpecError
from wse_sim.spec.load import data_path, load_model, read_toml
from wse_sim.spec.model import ModelShape
from wse_sim.workload.sparsity import exact_nonzeros
from wse_sim.workload.transformer import linear_matrices, linear_weights, n_parameters, nonzero_parameters

CEREBRAS_GPT = ("111m", "256m", "590m", "1.3b", "2.7b", "6.7b", "13b")
WARMUP_TOKENS = 375e6


def published(name: str) -> dict[str, float]:
    table: dict[str, float] = read_toml(data_path("models", f"{name}.toml"))["published"]
    return table


def alibi_swiglu(d_model: int, n_layers: int, d_ff: int) -> ModelShape:
    return ModelShape(
        name="collapse",
        n_layers=n_layers,
        d_model=d_model,
        n_heads=d_model // 64,
        d_ff=d_ff,
        vocab_size=50257,
        seq_len=2048,
        feed_forward="swiglu",
        positions="alibi",
        has_biases=False,
    )


@pytest.mark.parametrize("name", CEREBRAS_GPT)
def test_parameter_counts_equal_the_published_ones(name: str) -> None:
    assert n_parameters(load_model(name).shape) == published(name)["n_parameters"]


def test_parameters_of_111m_by_hand() -> None:
    d, layers = 768, 10
    expected = 50257 * d + 2048 * d + layers * (12 * d * d + 13 * d) + 2 * d
    assert n_parameters(load_model("111m").shape) == expected == 111_050_496


def test_llama_7b_has_the_checkpoints_parameters() -> None:
    assert n_parameters(load_model("llama-7b").shape) == 6_738_415_616


def test_gpt_j_is_within_a_thousandth_of_the_checkpoint() -> None:
    assert n_parameters(load_model("gpt-j-6b").shape) == pytest.approx(
        6_050_882_784, rel=1e-3
    )  # one norm, fewer biases


@pytest.mark.parametrize(
    ("d_model", "n_layers", "d_ff", "printed"),
    [(768, 10, 2048, "0.1094"), (2048, 10, 5461, "0.6062"), (2048, 32, 5461, "1.713")],
)
def test_alibi_swiglu_models_of_the_collapse_paper(d_model: int, n_layers: int, d_ff: int, printed: str) -> None:
    shape = alibi_swiglu(d_model, n_layers, d_ff)
    without_norms = n_parameters(shape) - (2 * n_layers + 1) * d_model  # the paper's formula leaves norms out
    assert f"{without_norms / 1e9:.4g}" == printed


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
