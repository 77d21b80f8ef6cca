"""The proxy has the target's proportions, fits the budget, and says why it was chosen."""

import msgspec
import pytest

from models.gpt import meta_model
from training.machine import MachineProfile, StepRate
from training.proxy import choose_proxy, intervals, ladder, predicted_s_per_token, proxy_shape
from wse_sim.errors import SpecError
from wse_sim.spec.load import load_model
from wse_sim.workload.transformer import n_parameters

PROFILE = MachineProfile(
    cpu="test",
    n_cpus=2,
    memory_bytes=8 << 30,
    gpu=None,
    matmul_flops_per_s=2e11,
    matmul_bf16_flops_per_s=4e11,
    step_rates=(StepRate(d_model=64, s_per_token=1e-5), StepRate(d_model=256, s_per_token=4e-5)),
    torch_version="0",
    measured_at="2026-01-01T00:00:00+00:00",
)
TARGET = load_model("2.7b")


def test_prediction_between_and_beyond_the_measured_widths() -> None:
    # Log-log: width 128 is half-way from 64 to 256, so its time is the geometric mean of 1e-5 and 4e-5.
    at = {d: predicted_s_per_token(proxy_shape(TARGET.shape, d), PROFILE) for d in (32, 64, 128, 256, 512)}
    slower = at[64] / 1e-5  # a long run over the best of a few steps
    assert 1.0 <= slower < 2.0
    assert at[32] == at[64]
    assert at[128] == pytest.approx(slower * 2e-5)
    # From width 256 on, both cores work on a step.
    assert at[256] == pytest.approx(slower * 4e-5 * 3 / 2 / 2**0.85)  # 256 x 32/2560 = 3.2 layers, measured with 2
    assert at[512] == pytest.approx(slower * 16e-5 * 6 / 2 / 2**0.85)


@pytest.mark.parametrize("budget_s", [30.0, 180.0, 3600.0])
def test_the_widest_that_fits_is_taken(budget_s: float) -> None:
    choice = choose_proxy(TARGET, PROFILE, density=0.25, budget_s=budget_s)
    fitting = [c for c in choice.candidates if c.predicted_s <= budget_s]
    assert choice.chosen == fitting[-1]
    wider = [c for c in choice.candidates if c.shape.d_model > choice.chosen.shape.d_model]
    assert all(c.predicted_s > budget_s for c in wider)
    assert choice.config.shape == choice.chosen.shape


def test_a_budget_too_small_for_any_gets_the_narrowest_and_is_told() -> None:
    choice = choose_proxy(TARGET, PROFILE, density=0.25, budget_s=0.1)
    assert choice.chosen == choice.candidates[0]
    assert any("more than" in reason for reason in choice.reasons)


def test_a_prediction_counts_evaluations_that_a_short_run_is_mostly_of() -> None:
    """One of 256 sequences takes as long as training 85: it goes forward alone."""
    narrowest = ladder(TARGET.shape, PROFILE, 20.0)[0]
    run = choose_proxy(TARGET, PROFILE, density=1.0, budget_s=0.1).config
    n_trained, n_evaluated = run.n_steps * run.batch_size, 8 * run.n_eval_sequences
    s_per_sequence = run.seq_len * predicted_s_per_token(narrowest.shape, PROFILE)
    assert n_evaluated > n_trained
    assert narrowest.predicted_s == pytest.approx((n_trained + n_evaluated / 3) * s_per_sequence)


def test_a_short_run_has_a_row_for_every_step_and_a_long_one_for_every_tenth() -> None:
    assert [intervals(n)["log_interval"] for n in (1, 49, 399, 400, 1_000, 2_000, 10**6)] == [1, 1, 1, 2, 5, 10, 10]


def test_tokens_are_tpp_times_all_parameters() -> None:
    for candidate in ladder(TARGET.shape, PROFILE, 20.0)[:4]:
        config = choose_proxy(TARGET, PROFILE, density=0.25).config
        n_tokens = candidate.n_steps * config.tokens_per_step
        assert candidate.n_params == n_parameters(candidate.shape)
        assert n_tokens == pytest.approx(20 * candidate.n_params, abs=config.tokens_per_step)


@pytest.mark.parametrize(
    ("name", "d_model", "n_layers"), [("2.7b", 96, 2), ("2.7b", 512, 6), ("13b", 512, 4), ("111m", 256, 3)]
)
def test_layers_follow_the_target(name: str, d_model: int, n_layers: int) -> None:
    assert proxy_shape(load_model(name).shape, d_model).n_layers == n_layers


@pytest.mark.parametrize("name", ["d2z-610m", "llama-2-7b", "gpt-j-6b", "111m"])
@pytest.mark.parametrize("d_model", [32, 96, 528])
def test_a_proxy_is_of_the_targets_family(name: str, d_model: int) -> None:
    target = load_model(name).shape
    proxy = proxy_shape(target, d_model)
    for key in ("feed_forward", "norm", "positions", "is_tied", "has_biases"):
        assert getattr(proxy, key) == getattr(target, key)
    assert proxy.d_ff / proxy.d_model == pytest.approx(target.d_ff / target.d_model, abs=1 / d_model)
    assert proxy.d_head % 2 == 0
    meta_model(proxy)  # it can be built


def test_keys_are_shared_as_in_the_target_as_far_as_heads_divide() -> None:
    grouped = msgspec.structs.replace(load_model("llama-2-7b").shape, n_kv_heads=8)  # four queries to a key
    assert [proxy_shape(grouped, d).kv_heads for d in (32, 96, 128, 256)] == [1, 1, 1, 2]
    assert proxy_shape(load_model("llama-2-7b").shape, 128).n_kv_heads is None


def test_the_proxy_of_an_encoder_predicts_every_byte() -> None:
    assert proxy_shape(load_model("bert-large").shape, 64).logits_fraction == 1


def test_what_transfer_does_not_cover_is_said() -> None:
    choice = choose_proxy(TARGET, PROFILE, density=0.25)
    for word in ("2 layers for 32", "batch size", "tokenizer"):
        assert word in " ".join(choice.not_covered)
    for word in ("density 0.25", "20 tokens per parameter", f"{choice.chosen.n_params:,} parameters"):
        assert word in " ".join(choice.reasons)


def test_density_schedule_seed_and_data_are_handed_on() -> None:
    config = choose_proxy(TARGET, PROFILE, density=0.1, schedule="cosine_10x", seed=3, data="markov").config
    assert (config.density, config.schedule, config.seed, config.data) == (0.1, "cosine_10x", 3, "markov")


def test_budget_that_is_not_positive_is_refused() -> None:
    with pytest.raises(SpecError, match="budget_s"):
        choose_proxy(TARGET, PROFILE, density=0.25, budget_s=0.0)
