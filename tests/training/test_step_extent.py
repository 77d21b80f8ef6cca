"""A step is made of its parts, and long sequences of short ones."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.step_extent import FEWEST_PLACES, Extent, Timed, largest_extent, smallest_extent, step_parts_s
from wse_sim.spec.model import ModelShape

SHAPE = ModelShape(name="small", n_layers=12, d_model=64, n_heads=16, d_ff=256, vocab_size=256, seq_len=2048)
MICROBATCH = 4
WHOLE = Extent(n_sequences=MICROBATCH, places=(128,))
SHORT = Extent(n_sequences=1, places=(32, 128), n_heads=8)
TIMES = {"n_updates": 3.0, "n_streams": 5.0}
seconds = st.floats(1e-6, 1e6)


def step_of(
    timed_s: dict[Timed, float], extent: Extent, *, n_layers: int = 12, batch_size: int = 8, seq_len: int
) -> dict[str, float]:
    shape = msgspec.structs.replace(SHAPE, n_layers=n_layers)
    parts = step_parts_s(
        timed_s,
        extent,
        shape,
        batch_size=batch_size,
        microbatch=MICROBATCH,
        seq_len=seq_len,
        n_updates=3.0,
        n_streams=5.0,
    )
    return {part: float(s) for part, s in parts.items()}


def whole_s(block_s: float, ends_s: float, update_s: float) -> dict[Timed, float]:
    return {Timed("block", 128): block_s, Timed("ends", 128): ends_s, Timed("update"): update_s}


def short_s(block_s: tuple[float, float], ends_s: tuple[float, float], attention_s: float) -> dict[Timed, float]:
    found = {Timed("block", n): s for n, s in zip(SHORT.places, block_s, strict=True)}
    found |= {Timed("ends", n): s for n, s in zip(SHORT.places, ends_s, strict=True)}
    return found | {Timed("attention", 2048): attention_s, Timed("update"): 0.0}


def test_a_step_has_blocks_and_ends_for_each_micro_batch_and_one_update() -> None:
    """Of 10 sequences: 2.5 x 12 x 0.5 + 2.5 x 0.8 + 3 x 0.1, and 5 x 0.2 where weights stream."""
    timed_s = whole_s(0.5, 0.8, 0.1)
    assert step_of(timed_s, WHOLE, batch_size=10, seq_len=128) == {
        "blocks": 15.0,
        "ends": 2.0,
        "optimizer": pytest.approx(0.3),
    }
    timed_s[Timed("stream")] = 0.2
    assert step_of(timed_s, WHOLE, batch_size=10, seq_len=128)["streaming"] == 1.0


def test_a_long_sequence_is_a_line_and_a_square() -> None:
    """Of block 7 + 2 n, of attention of all heads 3 (n / 2048)^2, of ends 1 + n / 4, all exact in binary."""
    attention_s = 3.0
    block_s = tuple(7.0 + 2.0 * n + attention_s * (n / 2048) ** 2 for n in SHORT.places)
    ends_s = tuple(1.0 + n / 4 for n in SHORT.places)
    parts = step_of(short_s(block_s, ends_s, attention_s / 2), SHORT, n_layers=1, batch_size=4, seq_len=2048)
    assert parts["blocks"] == 7.0 + 4 * (2.0 * 2048 + 3.0)  # what a pass costs however few tokens it has, once
    assert parts["ends"] == 1.0 + 4 * 2048 / 4


@pytest.mark.parametrize(("short", "long", "ends_s"), [(2.0, 1.0, 1.0), (0.1, 1.0, 64.0)], ids=["falls", "steep"])
def test_disturbed_times_make_no_line_that_cannot_be(short: float, long: float, ends_s: float) -> None:
    """More tokens never take less time, and never more than in proportion: 4 x 2048 / 128 x 1 s."""
    parts = step_of(short_s((1.0, 1.0), (short, long), 0.0), SHORT, n_layers=1, batch_size=4, seq_len=2048)
    assert parts["ends"] == ends_s


@given(seconds, seconds, seconds, st.integers(1, 96))
def test_more_layers_never_take_less(block_s: float, ends_s: float, update_s: float, n_layers: int) -> None:
    timed_s = whole_s(block_s, ends_s, update_s)
    fewer, more = (sum(step_of(timed_s, WHOLE, n_layers=n, seq_len=128).values()) for n in (n_layers, n_layers + 1))
    assert more > fewer


@given(st.tuples(seconds, seconds), st.tuples(seconds, seconds), seconds, st.integers(129, 2048))
def test_longer_sequences_never_take_less(
    block_s: tuple[float, float], ends_s: tuple[float, float], attention_s: float, seq_len: int
) -> None:
    timed_s = short_s(block_s, ends_s, attention_s)
    timed_s[Timed("attention", seq_len)] = attention_s * (seq_len / 2048) ** 2
    of_some, of_all = (sum(step_of(timed_s, SHORT, seq_len=n).values()) for n in (seq_len, 2048))
    assert of_all >= of_some * (1 - 1e-9)


@given(st.lists(st.tuples(seconds, seconds, seconds), min_size=2, max_size=5))
def test_arrays_of_seconds_are_taken_number_by_number(rows: list[tuple[float, float, float]]) -> None:
    arrays = {what: np.array(of_what) for what, of_what in zip(whole_s(0, 0, 0), zip(*rows, strict=True), strict=True)}
    together = step_parts_s(arrays, WHOLE, SHAPE, batch_size=8, microbatch=MICROBATCH, seq_len=128, **TIMES)
    for number, row in enumerate(rows):
        alone = step_of(whole_s(*row), WHOLE, seq_len=128)
        assert {part: s[number] for part, s in together.items()} == alone


def test_a_whole_micro_batch_is_timed_where_there_is_time() -> None:
    probed_s = {32: 0.032, 128: 0.128}  # a millisecond for each place, and as much again as attention of all has FLOPs
    needed_s = 4 * 2.048 * (1 + 12 * 2048 * 64 / (6 * 12 * 64 * 64))
    for longest_turn_s, is_whole in ((needed_s * 1.001, True), (needed_s * 0.999, False)):
        extent = largest_extent(SHAPE, probed_s, seq_len=2048, microbatch=4, longest_turn_s=longest_turn_s)
        assert extent.is_whole == is_whole
    assert largest_extent(SHAPE, probed_s, seq_len=2048, microbatch=4, longest_turn_s=99.0) == Extent(
        n_sequences=4, places=(2048,)
    )


def test_sequences_are_cut_as_little_as_time_allows() -> None:
    """n places take n (1 + n / 384) ms: attention has as many FLOPs as linear layers at 384 places of this shape."""
    probed_s = {32: 0.032, 128: 0.128}
    for longest_turn_s, places in (
        (14.2, (512, 2048)),  # 12.97 and 1.19
        (14.1, (256, 1024)),  # 3.75 and 0.43
        (4.1, (128, 512)),
        (0.51, (64, 256)),
        (0.0, FEWEST_PLACES),
    ):
        extent = largest_extent(SHAPE, probed_s, seq_len=2048, microbatch=4, longest_turn_s=longest_turn_s)
        assert extent == Extent(n_sequences=1, places=places, n_heads=8)


@given(st.floats(0.0, 20.0), st.sampled_from([200, 512, 2048]))
def test_pieces_never_take_longer_than_the_whole(longest_turn_s: float, seq_len: int) -> None:
    probed_s = {32: 0.032, 128: 0.128}
    extent = largest_extent(SHAPE, probed_s, seq_len=seq_len, microbatch=1, longest_turn_s=longest_turn_s)
    assert extent.is_whole or extent.places[-1] < seq_len


@pytest.mark.parametrize(("seq_len", "places"), [(2048, (32, 128)), (100, (25, 100)), (3, (1, 3)), (1, (1,))])
def test_the_least_is_two_numbers_of_places(seq_len: int, places: tuple[int, ...]) -> None:
    assert smallest_extent(SHAPE, seq_len).places == places


@pytest.mark.parametrize(
    ("n_heads", "n_kv_heads", "n_timed"), [(16, None, 8), (4, None, 4), (16, 2, 8), (12, 2, 6), (16, 1, 16)]
)
def test_groups_that_share_keys_are_timed_whole(n_heads: int, n_kv_heads: int | None, n_timed: int) -> None:
    shape = msgspec.structs.replace(SHAPE, d_model=192, n_heads=n_heads, n_kv_heads=n_kv_heads)
    assert smallest_extent(shape, 2048).n_heads == n_timed
