"""The parts of a step on GPUs: what runs beside what, against a timetable of single blocks; what attention takes."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gpu.gpus import job, one_layout, with_number
from wse_sim.gpu.exchange import stage_boundary_s, weights_and_gradients_s
from wse_sim.gpu.kernels import block_times, matmul_s
from wse_sim.gpu.layout import Job, Layouts
from wse_sim.gpu.step import beside_blocks_s, step_parts_s, total

BLOCK_S = 1.0


def no_slowdown(of: Job) -> Job:
    """Collectives that take nothing from the computation beside them."""
    return replace(of, constants=with_number(of.constants, "overlap_slowdown", 0.0))


def seconds(of: Job, layouts: Layouts) -> float:
    return float(total(step_parts_s(of, layouts))[0])


def end_of_exchange_s(n_groups: int, blocks_per_group: int, n_together: int, exchange_s: float) -> float:
    """When the last gradients are exchanged, by a timetable.

    The last micro-batches pass the groups one after the other, each `n_together` times; a block's gradients go when the
    last of them has passed it, over a link that does one block at a time.
    """
    clock_s = link_free_s = 0.0
    each_s = exchange_s / (n_groups * blocks_per_group)
    for _ in range(n_groups):
        clock_s += (n_together - 1) * blocks_per_group * BLOCK_S
        for _ in range(blocks_per_group):
            clock_s += BLOCK_S
            link_free_s = max(link_free_s, clock_s) + each_s
    return link_free_s - clock_s


@given(
    n_groups=st.integers(1, 5),
    blocks_per_group=st.integers(1, 4),
    n_stages=st.sampled_from([1, 2, 4, 8]),
    exchange_s=st.floats(0.001, 200.0),
)
def test_what_an_exchange_adds_is_what_a_timetable_says(
    n_groups: int, blocks_per_group: int, n_stages: int, exchange_s: float
) -> None:
    n_stages = n_stages if n_groups > 1 else 1
    asked = no_slowdown(job("13b", num_gpus=n_stages, batch_size=4 * n_stages))
    shape = msgspec.structs.replace(asked.shape, n_layers=n_groups * blocks_per_group * n_stages)
    asked = replace(asked, shape=shape)
    layouts = one_layout(pp=n_stages, interleave=n_groups)
    found = beside_blocks_s(asked, layouts, np.array([exchange_s]), np.array([BLOCK_S]))
    expected = end_of_exchange_s(n_groups, blocks_per_group, n_stages, exchange_s)
    assert float(found[0]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sharding", ["zero1", "zero3"])
def test_a_program_that_hides_nothing_pays_for_each_exchange_in_full(sharding: str) -> None:
    asked = job("6.7b", gpu="a100-80", num_gpus=16, batch_size=64, software="megatron-2022")
    layouts = one_layout(dp=16, sharding=sharding, microbatch=2)
    gather, scatter = (float(part[0]) for part in weights_and_gradients_s(asked, layouts))
    expected = gather + scatter if sharding == "zero1" else 2 * (2 * gather + scatter)
    assert float(step_parts_s(asked, layouts)["communication"][0]) == pytest.approx(expected, rel=1e-12)
    hides = replace(asked, software=msgspec.structs.replace(asked.software, is_overlapped=True))
    assert seconds(hides, layouts) < seconds(asked, layouts)


def test_more_groups_fill_the_pipeline_sooner_and_send_more() -> None:
    asked = job("13b", num_gpus=16, batch_size=32)
    few, many = one_layout(dp=4, pp=4, interleave=2), one_layout(dp=4, pp=4, interleave=10)
    sent_few, sent_many = (float(stage_boundary_s(asked, layouts)[0]) for layouts in (few, many))
    assert sent_many == pytest.approx(5 * sent_few, rel=1e-12)
    slow = replace(asked, gpu=with_number(asked.gpu, "network_bytes_per_s", 0.05))
    assert seconds(asked, many) < seconds(asked, few)
    assert seconds(slow, many) > seconds(slow, few)


def test_stages_in_one_server_send_over_its_links() -> None:
    inside, outside = (
        float(stage_boundary_s(job("6.7b", num_gpus=n, batch_size=64), one_layout(dp=n // 4, pp=4))[0]) for n in (8, 16)
    )
    assert inside < outside / 2


def test_attention_that_is_not_fused_is_two_products_for_each_head_and_four_back() -> None:
    asked = job("13b", gpu="a100-80", num_gpus=8, batch_size=8, software="megatron-2022")
    shape = asked.shape
    times = block_times(asked, one_layout(tp=8, microbatch=3))
    sizes = ((2048, 2048, shape.d_head), (2048, shape.d_head, 2048))
    products_s = sum(float(matmul_s(asked, *size, precision="bf16", n_products=15)) for size in sizes)
    one_pass_s = 15 * 2048**2 / (asked.gpu.memory_bytes_per_s.value * asked.constants.memory_fraction.value)
    assert float(times.attention_forward_s[0]) == pytest.approx(products_s + 9 * one_pass_s, rel=1e-12)
    assert float(times.attention_backward_s[0]) == pytest.approx(2 * products_s + 11 * one_pass_s, rel=1e-12)


def test_many_products_in_one_call_fill_the_waves_that_one_leaves_open() -> None:
    asked = job("13b", gpu="a100-80", num_gpus=8)
    one_s, many_s = (float(matmul_s(asked, 256, 256, 64, precision="bf16", n_products=n)) for n in (1, 1000))
    assert many_s < 0.1 * 1000 * one_s
