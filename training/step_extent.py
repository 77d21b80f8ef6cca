"""How a whole training step follows from the parts of it that were timed: arithmetic alone, no clock.

    step = n_microbatches x (n_layers x block + ends) + optimizer

A micro-batch too large to be timed follows from two short pieces of a sequence: on the line through both, which begins
with what a pass costs however few tokens it has; but for attention, whose work grows with the square of the places, and
which is therefore timed by itself over all of them, for a few heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from training.resampling import Floats
from wse_sim.spec.model import ModelShape
from wse_sim.workload.flops import attention_flops, linear_flops

# Shorter pieces say more about the weights' way from memory than about products; lines from these two end 3 to 13 % low
# at 2048 places, from longer ones less (docs/results/this_machine.md).
FEWEST_PLACES = (32, 128)
_HEADS_AT_ONCE = 8  # as many as there are threads at most

Part = Literal["block", "ends", "attention", "update", "stream"]
StepPart = Literal["blocks", "ends", "optimizer", "streaming"]
Seconds = TypeVar("Seconds", float, Floats)

_OF_TOKENS: tuple[Part, ...] = ("block", "ends")


class Timed(NamedTuple):
    """Something that is timed: a part of a step, and the places of a sequence that goes through, where one does."""

    part: Part
    n_places: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much of a step is timed.

    Parameters
    ----------
    n_sequences :
        That go through at once.
    places :
        Of each: all that a sequence has, of all sequences of a micro-batch; or two numbers, the smaller first, of one
        sequence, through whose times a line is drawn.
    n_heads :
        Whose attention over all places is timed by itself; 0 where micro-batches are whole.
    """

    n_sequences: int
    places: tuple[int, ...]
    n_heads: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether micro-batches are as large as the run's."""
        return self.n_heads == 0

    def timed(self, seq_len: int) -> list[Timed]:
        """Blocks, ends and attention, in the order in which a step comes to them."""
        found = [Timed(part, n_places) for n_places in self.places for part in _OF_TOKENS]
        return found if self.is_whole else [*found, Timed("attention", seq_len)]


def smallest_extent(shape: ModelShape, seq_len: int) -> Extent:
    """The least from which a step can be extrapolated."""
    longest = min(seq_len, FEWEST_PLACES[1])
    shortest = max(1, longest * FEWEST_PLACES[0] // FEWEST_PLACES[1])
    return Extent(n_sequences=1, places=tuple(sorted({shortest, longest})), n_heads=_n_heads(shape))


def largest_extent(
    shape: ModelShape, probed_s: Mapping[int, float], *, seq_len: int, microbatch: int, longest_turn_s: float
) -> Extent:
    """The most that can be timed within `longest_turn_s`: a whole micro-batch, else one sequence cut short.

    Parameters
    ----------
    probed_s :
        Seconds of a block and both ends on the places of the smallest extent.
    microbatch :
        Sequences.
    """
    if _predicted_s(shape, probed_s, microbatch, seq_len) <= longest_turn_s:
        return Extent(n_sequences=microbatch, places=(seq_len,))
    smallest = smallest_extent(shape, seq_len)
    places = smallest.places
    while 2 * places[-1] <= seq_len:
        longer = tuple(2 * n for n in places)
        if sum(_predicted_s(shape, probed_s, 1, n) for n in longer) > longest_turn_s:
            break
        places = longer
    return Extent(n_sequences=1, places=places, n_heads=smallest.n_heads)


def step_parts_s(
    timed_s: Mapping[Timed, Seconds],
    extent: Extent,
    shape: ModelShape,
    *,
    batch_size: int,
    microbatch: int,
    seq_len: int,
    n_updates: float,
    n_streams: float,
) -> dict[StepPart, Seconds]:
    """Seconds of one optimizer step by part; their sum is the step.

    Parameters
    ----------
    timed_s :
        Seconds of what was timed: numbers, or arrays of as many for each.
    n_updates, n_streams :
        How many times the weights that were updated, and those that were streamed in and out, go into the model's.
    """
    n_microbatches = batch_size / microbatch
    block_s = _of_microbatch("block", timed_s, extent, shape, microbatch, seq_len)
    ends_s = _of_microbatch("ends", timed_s, extent, shape, microbatch, seq_len)
    parts: dict[StepPart, Seconds] = {
        "blocks": n_microbatches * shape.n_layers * block_s,
        "ends": n_microbatches * ends_s,
        "optimizer": n_updates * timed_s[Timed("update")],
    }
    if Timed("stream") in timed_s:
        parts["streaming"] = n_streams * timed_s[Timed("stream")]
    return parts


def _of_microbatch(
    part: Part, timed_s: Mapping[Timed, Seconds], extent: Extent, shape: ModelShape, microbatch: int, seq_len: int
) -> Seconds:
    """Seconds that a part takes for the sequences of a micro-batch, all their places."""
    if extent.is_whole:
        return timed_s[Timed(part, seq_len)]
    attention_s = 0.0 * timed_s[Timed(part, extent.places[0])]
    if part == "block":
        attention_s = timed_s[Timed("attention", seq_len)] * (shape.n_heads / extent.n_heads)
    linear_s = {n: timed_s[Timed(part, n)] - attention_s * (n / seq_len) ** 2 for n in extent.places}
    return _extrapolated(linear_s, microbatch * seq_len) + microbatch * attention_s


def _predicted_s(shape: ModelShape, probed_s: Mapping[int, float], n_sequences: int, n_places: int) -> float:
    """Seconds of a block and both ends, where attention, of which a few places had hardly any, goes with its FLOPs."""
    grown = 1.0 + attention_flops(shape, n_places) / linear_flops(shape)
    return grown * _extrapolated(probed_s, n_sequences * n_places)


def _extrapolated(seconds: Mapping[int, Seconds], n_tokens: int) -> Seconds:
    """Seconds for more tokens: on the line through those of two numbers of them, in proportion to those of one."""
    *shorter, longest = sorted(seconds)
    proportional = seconds[longest] / longest
    s_per_token: Seconds = proportional
    for short in shorter:
        slope = (seconds[longest] - seconds[short]) / (longest - short)
        # Whatever disturbed the two: a token costs no less than nothing, and there is no credit to start with.
        s_per_token = np.clip(slope, 0.0, proportional)
    return seconds[longest] + s_per_token * (n_tokens - longest)


def _n_heads(shape: ModelShape) -> int:
    """A few heads, with whole groups of queries that share keys."""
    group = shape.n_heads // shape.kv_heads
    return min(shape.n_heads, max(1, _HEADS_AT_ONCE // group) * group)
