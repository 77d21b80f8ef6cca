"""The GPU baseline: laws, walls, and layouts that practitioners use."""

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.gpu.gpus import GPT_3, LLAMA_70B, faster, job, one_layout, without_communication
from wse_sim.errors import SpecError
from wse_sim.gpu.layout import Layout, layouts
from wse_sim.gpu.roofline import GpuResult, gpu_job, simulate_gpu
from wse_sim.gpu.search import search
from wse_sim.gpu.spec import gpu_names, load_gpu, load_software, software_names
from wse_sim.gpu.step import PARTS, step_parts_s
from wse_sim.spec.economics import load_economics
from wse_sim.spec.load import load_model


def run(
    gpu: Any = "h100", *, model: str = "6.7b", num_gpus: int = 16, batch_size: int = 128, **given: Any
) -> GpuResult:
    shape = load_model(model).shape
    return simulate_gpu(shape, gpu=gpu, num_gpus=num_gpus, batch_size=batch_size, tokens=1e9, **given)


@pytest.mark.parametrize("software", software_names())
@pytest.mark.parametrize("gpu", gpu_names())
@pytest.mark.parametrize("model", ["111m", "6.7b", "llama-7b", "bert-large"])
def test_breakdown_sums_to_one_and_names_the_bottleneck(gpu: str, model: str, software: str) -> None:
    result = run(gpu, model=model, num_gpus=32, software=software)
    assert sum(result.breakdown.values()) == pytest.approx(1.0, rel=1e-12)
    assert result.breakdown[result.bottleneck] == max(result.breakdown.values())
    assert min(result.breakdown.values()) >= -1e-12
    assert sum(result.memory_bytes.values()) == pytest.approx(result.memory_bytes_per_gpu, rel=1e-12)
    assert 0 < result.mfu <= result.hfu < 1


@pytest.mark.parametrize("software", ["megatron", "megatron-2022", "torch-eager"])
@pytest.mark.parametrize(
    "field", ["matmul_flops_per_s", "memory_bytes_per_s", "nvlink_bytes_per_s", "network_bytes_per_s", "memory_bytes"]
)
@pytest.mark.parametrize("factor", [1.1, 2.0, 10.0])
def test_better_hardware_is_never_slower(field: str, factor: float, software: str) -> None:
    for model in ("590m", "6.7b"):
        before = run("a100-80", model=model, software=software)
        after = run(faster("a100-80", field, factor), model=model, software=software)
        assert after.step_time_s <= before.step_time_s * (1 + 1e-12)


def test_more_gpus_with_the_same_share_each_never_do_less() -> None:
    rates = [run(num_gpus=n, batch_size=8 * n).tokens_per_s for n in (8, 16, 32, 64, 128)]
    assert rates == sorted(rates)


def test_energy_is_power_times_time_and_cost_is_price_times_time() -> None:
    gpu, result = load_gpu("h100"), run()
    assert result.energy_j == pytest.approx(16 * gpu.server_w_per_gpu.value * result.run_time_s, rel=1e-12)
    assert result.cost_usd == pytest.approx(16 * gpu.price_usd_per_h.value * result.run_time_s / 3600, rel=1e-12)
    assert result.run_time_s == pytest.approx(1e9 / result.tokens_per_s, rel=1e-12)


def test_a_bought_gpu_pays_its_electricity_and_its_share_of_the_price() -> None:
    """The bill that wafers have too: other terms change what the same hours cost, and nothing of the steps."""
    rented = run()
    bought = run(economics=load_economics().with_choices(price_basis="purchase", pue=1.5, grid="0.1"))
    assert set(bought.cost_parts_usd) == {"amortisation", "electricity", "upkeep"}
    assert sum(bought.cost_parts_usd.values()) == pytest.approx(bought.cost_usd, rel=1e-12)
    assert (bought.step_time_s, bought.energy_j) == (rented.step_time_s, rented.energy_j)
    assert bought.facility_energy_j == pytest.approx(1.5 * bought.energy_j, rel=1e-12)
    assert bought.carbon_kg == pytest.approx(1.5 * bought.energy_j / 3.6e6 * 0.1, rel=1e-12)
    assert rented.cost_parts_usd == {"rental": rented.cost_usd}
    assert rented.usd_per_unit_h == load_gpu("h100").price_usd_per_h.value
    assert "economics.utilisation" in bought.assumed_constants


def test_unstructured_zeros_bring_a_gpu_nothing() -> None:
    dense, sparse = (run(model="1.3b", density=rho) for rho in (1.0, 0.1))
    assert sparse.step_time_s == dense.step_time_s
    assert sparse.mfu < dense.mfu == dense.dense_equivalent_mfu == sparse.dense_equivalent_mfu


def test_two_in_four_speeds_up_two_of_three_products_of_the_linear_layers() -> None:
    """Forward and the error's product skip zeros, the gradient of the weights is dense: 1/3 + 2/3 / 1.6 of the time."""
    dense, sparse = run(density=0.5), run(density=0.5, is_two_four=True)
    dense_s, sparse_s = (r.breakdown["linear"] * r.step_time_s for r in (dense, sparse))
    assert 1 / 3 + 2 / 3 / 1.6 < sparse_s / dense_s < 1
    with pytest.raises(SpecError, match=r"use density 0\.5, not 0\.25"):
        run(density=0.25, is_two_four=True)


def test_fp8_is_faster_where_there_is_fp8_and_refused_elsewhere() -> None:
    assert run("h100", precision="fp8").step_time_s < run("h100").step_time_s
    with pytest.raises(SpecError, match="a100-80 has no fp8: use precision bf16, or one of b200, gb200, h100"):
        run("a100-80", precision="fp8")
    with pytest.raises(SpecError, match="megatron-2022 has no fp8"):
        run("h100", precision="fp8", software="megatron-2022")


def test_free_layout_is_not_slower_than_a_given_one() -> None:
    free = run("a100-80", num_gpus=8, batch_size=96)
    for microbatch in (1, 2, 3, 4):
        given = run("a100-80", num_gpus=8, batch_size=96, fixed=Layout(microbatch=microbatch))
        assert given.microbatch == microbatch
        assert free.step_time_s <= given.step_time_s


@pytest.mark.parametrize(("num_gpus", "batch_size", "fewest"), [(2, 64, 6), (4, 64, 6), (1, 1, 6)])
def test_the_memory_wall_says_the_fewest_gpus_on_which_the_job_fits(
    num_gpus: int, batch_size: int, fewest: int
) -> None:
    with pytest.raises(
        SpecError, match=rf"needs \d+ GB, most of it states, a100-40 has 43 GB .* it would fit on {fewest} GPUs"
    ) as wall:
        run("a100-40", model="13b", num_gpus=num_gpus, batch_size=batch_size)
    assert str(wall.value).endswith("GPUs")
    assert run("a100-40", model="13b", num_gpus=fewest, batch_size=batch_size).memory_bytes_per_gpu < 43e9
    with pytest.raises(SpecError, match="it would fit on"):
        run("a100-40", model="13b", num_gpus=fewest - 1, batch_size=batch_size)


def test_the_memory_wall_says_the_batch_too_where_the_one_given_is_too_small_for_more_gpus() -> None:
    alone: dict[str, Any] = {"model": "13b", "software": "torch-compile"}  # splits nothing but the batch
    with pytest.raises(SpecError, match=r"it would fit on 3 GPUs with a batch of 3$"):
        run("h100", num_gpus=1, batch_size=1, **alone)
    assert run("h100", num_gpus=3, batch_size=3, **alone).memory_bytes_per_gpu < 86e9


def test_a_microbatch_that_does_not_fit_is_not_answered_with_more_gpus() -> None:
    with pytest.raises(SpecError, match=r"most of it logits.*leave parts of the layout free"):
        run("a100-40", num_gpus=64, batch_size=6400, fixed=Layout(tp=1, pp=1, microbatch=100))


def test_every_rejected_layout_names_its_wall() -> None:
    asked = gpu_job(LLAMA_70B, gpu="h100", num_gpus=128, batch_size=1024)
    found = search(asked, Layout())
    assert found.fits.any()
    assert not found.fits.all()
    for i in range(len(found.layouts)):
        assert ("memory: needs" in found.wall(asked, i)) is not bool(found.fits[i])


def test_layouts_are_ranked_those_that_fit_first() -> None:
    found = search(job(gpu="a100-40"), Layout())
    n_fitting = int(found.fits.sum())
    assert found.fits[:n_fitting].all()
    assert (np.diff(found.step_s[:n_fitting]) >= 0).all()
    assert (np.diff(found.step_s[n_fitting:]) >= 0).all()


def test_ways_multiply_to_the_gpus_and_few_sequences_force_model_parallelism() -> None:
    for batch_size in (2, 4, 64):
        result = run(batch_size=batch_size)
        assert result.dp * result.tp * result.cp * result.pp == 16
        assert result.dp <= batch_size


@pytest.mark.parametrize("interleave", [1, 2, 5])
def test_pipeline_bubble_is_stages_less_one_over_micro_batches(interleave: int) -> None:
    """4 stages, 32 micro-batches; with a vocabulary of one word the last stage has next to nothing more than others."""
    asked = without_communication(job("13b", num_gpus=4, batch_size=32))
    asked = replace(asked, shape=msgspec.structs.replace(asked.shape, vocab_size=1))
    parts = step_parts_s(asked, one_layout(pp=4, interleave=interleave))
    work_s = sum(float(parts[name][0]) for name in PARTS if name not in ("pipeline", "optimizer"))
    assert float(parts["pipeline"][0]) / work_s == pytest.approx(3 / interleave / 32, abs=0.005)


@pytest.mark.parametrize("share", [1, 2, 17, 36, 1000])
def test_micro_batches_are_the_largest_parts_of_a_share_in_any_number(share: int) -> None:
    tried = layouts(job(num_gpus=2, batch_size=2 * share), Layout(dp=2, recompute="none", sharding="zero3"))
    assert set(tried.microbatch.tolist()) == {math.ceil(share / n) for n in range(1, share + 1)}


def test_a_run_of_less_than_a_step_is_refused() -> None:
    with pytest.raises(
        SpecError, match=r"^tokens is 1,000: a run has at least one step, 262,144 tokens in a batch of 128"
    ):
        simulate_gpu(load_model("6.7b").shape, gpu="h100", num_gpus=16, batch_size=128, tokens=1000)


def test_a_batch_too_small_for_the_gpus_is_refused() -> None:
    with pytest.raises(SpecError, match="use a batch of at least 4 or at most 256 GPUs"):
        run(num_gpus=1024, batch_size=1)


def test_a_layout_that_cannot_be_is_refused_with_what_was_asked() -> None:
    with pytest.raises(SpecError, match=r"no layout of 6\.7b on 16 GPUs with megatron has tp 3$"):
        run(fixed=Layout(tp=3))


@pytest.mark.parametrize(
    ("software", "fixed", "why"),
    [
        ("torch-eager", Layout(tp=2), "tp 2: torch-eager has no tensor parallelism, leave it out or use another"),
        ("torch-compile", Layout(tp=1, cp=2, pp=2), "has no context parallelism and no pipeline parallelism"),
        ("torch-eager", Layout(interleave=2), "torch-eager has no interleaving"),
        ("torch-eager", Layout(sharding="zero1"), "sharding zero1: torch-eager has no zero1"),
        ("megatron", Layout(pp=4, sharding="zero3"), "pp 4, sharding zero3: pipeline stages go with zero1 only"),
    ],
)
def test_what_no_batch_can_mend_is_not_put_down_to_the_batch(software: str, fixed: Layout, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        run(software=software, fixed=fixed)


def test_a_gpu_and_a_program_of_one_name_are_refused() -> None:
    """Constants are told apart by the names of their owners."""
    gpu, software = load_gpu("h100"), load_software("megatron")
    with pytest.raises(SpecError, match="GPU and program are both called 'ours': give one of them another name"):
        run(msgspec.structs.replace(gpu, name="ours"), software=msgspec.structs.replace(software, name="ours"))


def test_a_gpu_alone_shards_nothing() -> None:
    alone, two = (run(model="111m", num_gpus=n, software="torch-compile") for n in (1, 2))
    assert (alone.sharding, two.sharding) == ("none", "zero3")


def test_an_unknown_gpu_lists_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"did you mean 'h100'\? known are a100-40, a100-80, b200, gb200, h100"):
        run("h10")


def test_layouts_of_one_way_are_all_distinct() -> None:
    found = layouts(job(), Layout())
    rows = {tuple(int(getattr(found, name)[i]) for name in found.__slots__) for i in range(len(found))}
    assert len(rows) == len(found)


def test_gpt_3_on_a_thousand_a100_is_laid_out_as_nemo_does() -> None:
    """NeMo's recipe of 2022 for this very run: tp 4 or 8, pp 8 or 16, the rest data parallel; MFU 51 to 60 %."""
    for software, low, high in (("megatron-2022", 0.48, 0.60), ("megatron", 0.55, 0.70)):
        result = simulate_gpu(GPT_3, gpu="a100-80", num_gpus=1024, batch_size=1536, software=software)
        assert result.tp in (4, 8)
        assert result.pp in (8, 16)
        assert result.cp == 1
        assert low < result.mfu < high


def test_llama_70b_on_128_h100_is_laid_out_as_published() -> None:
    """NeMo trains Llama 2 70B on H100 with tp 4 and pp 4 to 8."""
    result = simulate_gpu(LLAMA_70B, gpu="h100", num_gpus=128, batch_size=1024)
    assert result.tp in (2, 4, 8)
    assert result.pp in (4, 8)
    assert result.sharding == "zero1"
    assert 0.5 < result.mfu < 0.62


def test_a_job_with_its_own_numbers_is_itself_and_another_number_is_found_again() -> None:
    asked = job("6.7b", software="megatron-2024")
    numbers = asked.numbers
    assert {"h100.tdp_w", "megatron-2024.rate_factor.hopper", "gpu_training.link_fraction"} <= set(numbers)
    for name, constant in numbers.items():
        changed = asked.with_numbers({name: 2.0 * constant.value})
        assert changed.numbers[name].value == 2.0 * constant.value
        assert {other for other in numbers if changed.numbers[other].value != numbers[other].value} == {name}
