"""The parts of a step that were timed, with what has to be known of them to say what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from training.config import TrainConfig
from training.memory import MemoryNeed, memory_line, memory_need
from training.resampling import Floats
from training.step_extent import Extent, Seconds, StepPart, Timed, step_parts_s
from wse_sim.workload.transformer import linear_weights, n_parameters, nonzero_parameters

# How far steps of whole models were from what their parts make, at most; the second where micro-batches were not whole
# (docs/results/this_machine.md).
WHOLE_ERROR = 0.10
SHORT_ERROR = 0.20
_BUSY = 1.5  # times the fastest turn: on a quiet machine the slowest takes a few per cent more
_INTERVAL = (
    "the interval holds the noise of repeats and the error of extrapolating from parts to steps, on a machine as busy "
    "with other work as it was; evaluations and checkpoints are not in it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Memory that is free.

    Parameters
    ----------
    device_bytes :
        Of a GPU; None where there is none.
    """

    n_bytes: float
    device_bytes: float | None

    def holds(self, need: MemoryNeed) -> bool:
        """Whether there is as much as is needed."""
        return need.n_bytes <= self.n_bytes and need.device_bytes <= (self.device_bytes or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was timed.

    Parameters
    ----------
    config :
        One micro-batch of the run, as memory has room for it.
    seconds :
        (n_turns,) of each.
    n_updated, n_streamed :
        As of `training.step_sample.Sample`.
    peak_flops_per_s :
        Of matrix products of the best size.
    room :
        Before any of it was taken.
    """

    config: TrainConfig
    extent: Extent
    seconds: Mapping[Timed, Floats]
    n_updated: int
    n_streamed: int
    peak_flops_per_s: float
    room: Room

    @property
    def extrapolation_error(self) -> float:
        """What is added to both sides of the interval of repeats."""
        return WHOLE_ERROR if self.extent.is_whole else SHORT_ERROR

    def step_parts_s(self, timed_s: Mapping[Timed, Seconds], batch_size: int) -> dict[StepPart, Seconds]:
        """Seconds of a step of so many sequences by part, where what was timed took `timed_s`."""
        shape = self.config.shape
        n_live = nonzero_parameters(shape, self.config.density) if self.n_streamed else n_parameters(shape)
        return step_parts_s(
            timed_s,
            self.extent,
            shape,
            batch_size=batch_size,
            microbatch=self.config.batch_size,
            seq_len=self.config.seq_len,
            n_updates=n_live / self.n_updated,
            n_streams=linear_weights(shape) / self.n_streamed if self.n_streamed else 0.0,
        )

    @property
    def need(self) -> MemoryNeed:
        """Memory that training the whole model takes, a micro-batch at a time."""
        return memory_need(self.config)

    def words(self, what: Timed) -> str:
        """What was timed, for a table."""
        extent = self.extent
        tokens = f"{extent.n_sequences} x {what.n_places} tokens, forward and back"
        updated = "live weights" if self.n_streamed else "weights of a block"
        return {
            "block": f"a block, {tokens}",
            "ends": f"embedding, output layer and loss, {tokens}",
            "attention": f"attention of {extent.n_heads} heads, 1 x {what.n_places} tokens, forward and back",
            "update": f"clipping and AdamW, {self.n_updated:,} {updated}",
            "stream": f"{self.n_streamed:,} weights expanded twice, their gradients gathered",
        }[what.part]

    def notes(self, batch_size: int) -> tuple[str, ...]:
        """Plain sentences: what was left out or cut short, and what that means for a step of so many sequences."""
        found = (
            self._about_zeros(),
            self._about_short_pieces(),
            self._about_room(),
            self._about_steps(batch_size),
            self._about_neighbours(),
        )
        return (*filter(None, found), _INTERVAL)

    def _about_zeros(self) -> str:
        if self.config.density == 1.0:
            return ""
        gained = "fewer weights are streamed and updated" if self.n_streamed else "a step takes what a dense one takes"
        return f"matrix products gain nothing from zeros here: at density {self.config.density:g} {gained}"

    def _about_short_pieces(self) -> str:
        extent = self.extent
        if extent.is_whole:
            return ""
        return (
            f"{self.config.batch_size} x {self.config.seq_len} tokens at once would take too long: a block and the "
            f"ends were timed on {' and '.join(map(str, extent.places))}, and lie on the line through both; attention, "
            f"whose work grows with the square, was timed on {self.config.seq_len}, for {extent.n_heads} of "
            f"{self.config.shape.n_heads} heads"
        )

    def _about_room(self) -> str:
        if self.room.holds(self.need):
            return ""
        return (
            f"{self.config.shape.name} {memory_line(self.need, self.room.n_bytes)}; one block and the ends do fit, and "
            "times are of these, as if there were room for the rest"
        )

    def _about_steps(self, batch_size: int) -> str:
        if not self.n_streamed or batch_size <= self.config.batch_size:
            return ""
        whole = memory_need(msgspec.structs.replace(self.config, batch_size=batch_size))
        return (
            "the streaming executor takes all sequences of a step through a block before the next block comes: with "
            f"the activations of all {batch_size} it needs {(whole.n_bytes + whole.device_bytes) / 1e9:,.0f} GB"
        )

    def _about_neighbours(self) -> str:
        turns_s = sum(self.seconds.values())
        spread = float(np.max(turns_s) / np.min(turns_s))
        if spread < _BUSY:
            return ""
        return (
            f"other programs were in the way: the slowest turn took {spread:.1f} times as long as the fastest; measure "
            "again when it is quiet, for threads that wait for each other lose more than their share"
        )
