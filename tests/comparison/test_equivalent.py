"""The smallest cluster of GPUs that is as fast: laws, and every number of servers tried one by one."""

from dataclasses import replace

import pytest

from tests.comparison.sides import compared, run
from tests.gpu.gpus import job
from wse_sim.comparison import GpuSide, compare
from wse_sim.comparison.equivalent import smallest_as_fast
from wse_sim.comparison.gpu_side import fastest
from wse_sim.gpu.layout import Job, Layout
from wse_sim.report.quantities import significant

GRANULARITY = 0.12  # of the rate: a number of servers that divides the batch badly leaves GPUs waiting


def rate(asked: Job, n_servers: int, fixed: Layout = Layout()) -> float:  # noqa: B008 - frozen
    found = fastest(replace(asked, num_gpus=8 * n_servers), fixed)
    return 0.0 if found is None else asked.batch_size * asked.seq_len / float(found.step_s[0])


@pytest.mark.parametrize("n_servers", [1, 3, 7, 12, 20])
def test_no_smaller_number_of_servers_is_as_fast(n_servers: int) -> None:
    asked = job("1.3b", batch_size=96)
    target = rate(asked, n_servers)
    found = smallest_as_fast(asked, Layout(), target)
    fast_enough = [n for n in range(1, n_servers + 1) if rate(asked, n) >= target]
    assert found.num_gpus == found.fastest_num_gpus == 8 * fast_enough[0]
    assert found.fastest_tokens_per_s == rate(asked, fast_enough[0]) >= target


def test_more_gpus_are_not_slower_but_for_how_the_batch_divides() -> None:
    asked = job("1.3b", batch_size=480)
    target = rate(asked, 10)
    found = smallest_as_fast(asked, Layout(), target)
    assert found.num_gpus is not None
    for n in range(found.num_gpus // 8, 3 * found.num_gpus // 8):
        assert rate(asked, n) >= target * (1 - GRANULARITY)


def test_a_rate_that_no_number_reaches_has_no_cluster_but_the_fastest() -> None:
    asked = job("111m", batch_size=4)
    best = max(rate(asked, n) for n in range(1, 13))
    found = smallest_as_fast(asked, Layout(), 1.01 * best)
    assert found.num_gpus is None
    assert found.fastest_tokens_per_s == pytest.approx(best, rel=1e-12)


def test_a_batch_too_small_for_gpus_enough_says_so() -> None:
    """Without tensor and pipeline parallelism, 128 sequences keep 128 GPUs busy, and no more."""
    one_way = GpuSide(gpu="a100-40", num_gpus=8, fixed=Layout(tp=1, pp=1))
    comparison = compare(run("6.7b", density=0.1, num_csx=16, batch_size=128), one_way)
    equal = comparison.gpus_per_csx
    assert (equal.num_gpus, equal.fastest_num_gpus) == (None, 128)
    assert equal.fastest_tokens_per_s < comparison.wafer.tokens_per_s
    assert equal.reason.startswith("128 sequences a step are too few for as many A100-40 as that would take: at most")
    assert comparison.headline.endswith(f"No number of A100-40 is as fast as all 16: {equal.reason}.")


def test_a_part_of_a_server_counts_where_the_batch_is_too_small_for_all_of_it() -> None:
    asked = job("111m", batch_size=4, num_gpus=1, software="torch-eager")
    assert rate(asked, 1) == 0.0
    assert smallest_as_fast(asked, Layout(), 1.0).num_gpus == 1
    comparison = compare(run("111m", num_csx=1, batch_size=4), GpuSide(num_gpus=1, software="torch-eager"))
    assert "As fast as it: " in comparison.headline
    assert "H100 of one server" in comparison.headline


def test_servers_that_cannot_hold_the_model_are_not_fast_enough() -> None:
    asked = job("13b", gpu="a100-40", num_gpus=8, batch_size=64)
    assert fastest(replace(asked, num_gpus=1), Layout()) is None
    found = smallest_as_fast(asked, Layout(), 1.0)
    assert found.num_gpus == 8


def test_the_rate_per_gpu_gives_the_number_for_one_system() -> None:
    comparison = compared()
    equal, wafer, gpu = comparison.gpus_per_csx, comparison.wafer, comparison.gpu
    assert equal.value == pytest.approx(wafer.tokens_per_s / wafer.num_csx / gpu.tokens_per_s_per_gpu, rel=1e-12)
    assert equal.low < equal.value < equal.high
    assert equal.dense == pytest.approx(
        comparison.wafer_dense.tokens_per_s / wafer.num_csx / gpu.tokens_per_s_per_gpu, rel=1e-12
    )
    assert equal.by_price == pytest.approx(110 / 3, rel=1e-12)
    assert equal.by_power == pytest.approx(23_000 / 1275, rel=1e-12)
    assert equal.num_gpus is not None
    assert equal.fastest_tokens_per_s >= wafer.tokens_per_s


def test_the_headline_says_so_where_one_gpu_is_faster_than_one_system() -> None:
    small = compare(run("111m", density=1.0, num_csx=1, batch_size=1), GpuSide(num_gpus=1))
    assert small.gpus_per_csx.value < 1
    assert "Here one H100 is faster than one CS-3." in small.headline
    assert "Here one H100" not in compared().headline


def test_the_headline_has_the_numbers() -> None:
    comparison = compared()
    equal = comparison.gpus_per_csx
    low, high = significant(equal.low), significant(equal.high)
    assert f"({low} … {high}) in this run at density 0.25" in comparison.headline
    assert "it rents for what 36.7 do" in comparison.headline
    assert equal.num_gpus is not None
    assert comparison.headline.endswith(f"As fast as all 2: {equal.num_gpus} H100 in {equal.num_gpus // 8} servers.")
