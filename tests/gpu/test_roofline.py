"""The GPU baseline: laws, the memory wall, and published rows."""

from statistics import fmean

import msgspec
import pytest

from wse_sim.errors import SpecError
from wse_sim.gpu.layout import FixedLayout
from wse_sim.gpu.reference import GpuRow, reference_series, simulate_row
from wse_sim.gpu.roofline import GpuResult, simulate_gpu
from wse_sim.gpu.spec import GpuSpec, gpu_names, load_gpu
from wse_sim.spec.load import load_model
from wse_sim.spec.model import ModelShape

LLM_FOUNDRY, TORCHTITAN_COMPILED, TORCHTITAN_EAGER = (series.rows for series in reference_series())


def faster(gpu: GpuSpec, field: str, factor: float) -> GpuSpec:
    old = getattr(gpu, field)
    return msgspec.structs.replace(
        gpu, **{field: msgspec.structs.replace(old, value=factor * old.value, low=None, high=None)}
    )


def run(gpu: str | GpuSpec = "h100", *, model: str = "6.7b", num_gpus: int = 16, batch_size: int = 128) -> GpuResult:
    return simulate_gpu(load_model(model).shape, gpu=gpu, num_gpus=num_gpus, batch_size=batch_size, tokens=1e9)


def error(row: GpuRow, *, is_layout_free: bool) -> float:
    return simulate_row(row, is_layout_free=is_layout_free).tokens_per_s_per_gpu / row.tokens_per_s_per_gpu - 1


def fits(row: GpuRow) -> bool:
    try:
        simulate_row(row, is_layout_free=False)
    except SpecError:
        return False
    return True


@pytest.mark.parametrize("gpu", gpu_names())
@pytest.mark.parametrize("model", ["111m", "6.7b", "llama-7b", "bert-large"])
def test_breakdown_sums_to_one_and_names_the_bottleneck(gpu: str, model: str) -> None:
    result = run(gpu, model=model)
    assert sum(result.breakdown.values()) == pytest.approx(1.0, rel=1e-12)
    assert result.breakdown[result.bottleneck] == max(result.breakdown.values())
    assert 0 < result.mfu < 1


@pytest.mark.parametrize(
    "field", ["matmul_flops_per_s", "memory_bytes_per_s", "nvlink_bytes_per_s", "network_bytes_per_s", "memory_bytes"]
)
@pytest.mark.parametrize("factor", [1.1, 2.0, 10.0])
def test_better_hardware_is_never_slower(field: str, factor: float) -> None:
    gpu = load_gpu("a100-40")
    for model in ("590m", "6.7b"):
        before, after = run(gpu, model=model), run(faster(gpu, field, factor), model=model)
        assert after.step_time_s <= before.step_time_s * (1 + 1e-12)


def test_more_gpus_with_the_same_share_each_never_do_less() -> None:
    rates = [run(num_gpus=n, batch_size=8 * n).tokens_per_s for n in (8, 16, 32, 64, 128)]
    assert rates == sorted(rates)


def test_energy_is_power_times_time_and_cost_is_price_times_time() -> None:
    gpu, result = load_gpu("h100"), run()
    assert result.energy_j == pytest.approx(16 * gpu.server_w_per_gpu.value * result.run_time_s, rel=1e-12)
    assert result.cost_usd == pytest.approx(16 * gpu.price_usd_per_h.value * result.run_time_s / 3600, rel=1e-12)
    assert result.run_time_s == pytest.approx(1e9 / result.tokens_per_s, rel=1e-12)


def test_zeros_bring_a_gpu_nothing() -> None:
    shape = load_model("1.3b").shape
    dense, sparse = (simulate_gpu(shape, gpu="h100", num_gpus=8, batch_size=64, density=rho) for rho in (1.0, 0.1))
    assert sparse.step_time_s == dense.step_time_s
    assert sparse.mfu < dense.mfu == dense.dense_equivalent_mfu == sparse.dense_equivalent_mfu


def test_free_layout_is_not_slower_than_a_given_one() -> None:
    shape = load_model("6.7b").shape
    free = simulate_gpu(shape, gpu="a100-80", num_gpus=8, batch_size=96)
    for microbatch in (1, 2, 3, 4):
        fixed = FixedLayout(microbatch=microbatch)
        given = simulate_gpu(shape, gpu="a100-80", num_gpus=8, batch_size=96, fixed=fixed)
        assert given.microbatch == microbatch
        assert free.step_time_s <= given.step_time_s


def test_the_memory_wall_says_what_it_takes_and_that_is_enough() -> None:
    shape = load_model("13b").shape
    with pytest.raises(SpecError, match=r"needs \d+ GB per GPU, has 43 GB; use at least 8 GPUs"):
        simulate_gpu(shape, gpu="a100-40", num_gpus=2, batch_size=64)
    assert simulate_gpu(shape, gpu="a100-40", num_gpus=8, batch_size=64).memory_bytes_per_gpu < 43e9


def test_a_microbatch_that_does_not_fit_is_not_answered_with_more_gpus() -> None:
    with pytest.raises(SpecError, match="use a smaller microbatch or recomputation"):
        simulate_gpu(
            load_model("6.7b").shape,
            gpu="a100-40",
            num_gpus=64,
            batch_size=6400,
            fixed=FixedLayout(tp=1, pp=1, microbatch=100),
        )


def test_ways_multiply_to_the_gpus_and_few_sequences_force_model_parallelism() -> None:
    shape = load_model("6.7b").shape
    for batch_size in (2, 4, 64):
        result = simulate_gpu(shape, gpu="h100", num_gpus=16, batch_size=batch_size)
        assert result.dp * result.tp * result.pp == 16
        assert result.dp <= batch_size


def test_pipeline_bubble_is_stages_less_one_over_micro_batches() -> None:
    fixed = FixedLayout(tp=1, pp=4, microbatch=1)
    parts = simulate_gpu(load_model("13b").shape, gpu="h100", num_gpus=8, batch_size=64, fixed=fixed).breakdown
    work = sum(parts[name] for name in ("linear", "attention", "memory", "recompute"))
    assert parts["pipeline"] == pytest.approx(work * 3 / 32, rel=1e-12)  # 2 ways of 32 micro-batches, 4 stages


def test_a_batch_too_small_for_the_gpus_is_refused() -> None:
    with pytest.raises(SpecError, match="use a batch of at least 4 or at most 256 GPUs"):
        simulate_gpu(load_model("6.7b").shape, gpu="h100", num_gpus=1024, batch_size=1)


def test_an_unknown_gpu_lists_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"did you mean 'h100'\? known are a100-40, a100-80, b200, h100, h200"):
        run("h10")


def test_given_layouts_of_rows_held_out_of_the_fit() -> None:
    """Mean 7 %, worst 36 %: neighbours in the same table differ by 20 % (1B on 16, 32 and 64 A100)."""
    rows = [row for row in LLM_FOUNDRY if not row.used_to_fit]
    errors = [error(row, is_layout_free=False) for row in rows if fits(row)]
    assert len(errors) >= len(rows) - 4
    assert fmean(map(abs, errors)) < 0.08
    assert max(map(abs, errors)) < 0.40


def test_searched_layouts_of_rows_held_out_of_the_fit() -> None:
    """Every fourth row, mean 8 %: the search leans to the fast side; the published program had one kind of layout."""
    held_out = [row for row in LLM_FOUNDRY if not row.used_to_fit]
    errors = [error(row, is_layout_free=True) for row in held_out[::4]]
    assert fmean(map(abs, errors)) < 0.10
    assert min(errors) > -0.15


@pytest.mark.parametrize("row", TORCHTITAN_COMPILED, ids=str)
def test_another_programs_rows_within_a_tenth(row: GpuRow) -> None:
    """Nothing was fitted on torchtitan; its GPUs had a 500 W limit and slower memory than the data says."""
    assert abs(error(row, is_layout_free=True)) < 0.10


@pytest.mark.parametrize("row", TORCHTITAN_EAGER, ids=str)
def test_without_compilation_another_program_is_slower_than_simulated(row: GpuRow) -> None:
    """Known limit: its norms and rotations run unfused in 32 bits, which the count of memory passes leaves out."""
    assert 0.0 < error(row, is_layout_free=True) < 0.30


def test_gpt_3_on_a_thousand_a100_is_near_megatrons_utilisation() -> None:
    """Megatron-LM README: 51.4 % for 175B on 1,024 A100. 5 points: its batch is taken as 1,536 sequences."""
    gpt_3 = ModelShape(name="gpt-3", n_layers=96, d_model=12288, n_heads=96, d_ff=49152, vocab_size=51200, seq_len=2048)
    result = simulate_gpu(gpt_3, gpu="a100-80", num_gpus=1024, batch_size=1536)
    assert result.mfu == pytest.approx(0.514, abs=0.05)
    assert result.tp > 1
    assert result.pp > 1
