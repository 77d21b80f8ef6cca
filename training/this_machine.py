"""What training a model takes on the machine at hand, from a few parts of a step that really run on it.

One block of the real shape goes forward and back, then both ends of the model, then the optimizer, by turns, and again
until the budget is spent. A step has as many blocks as the model, and as many micro-batches as the batch. How far steps
of whole models are from that is measured in docs/results/this_machine.md.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from training.config import TrainConfig
from training.deterministic import deterministic
from training.execution import Device, Execution, ExecutorName, Precision, device_at_hand
from training.here_result import HereResult, result_of
from training.machine import matmul_flops_per_s, suited_precision
from training.memory import available_memory_bytes, free_device_bytes, memory_need
from training.proxy import n_threads_for
from training.resampling import Floats
from training.step_extent import Extent, Timed, largest_extent, smallest_extent
from training.step_measurement import Measurement, Room
from training.step_sample import Sample, sample_bytes, sample_of
from training.step_works import attention_work
from training.turns import Clock, Work, turns_s
from wse_sim.errors import SpecError
from wse_sim.processes.limits import n_usable_cpus
from wse_sim.report.quantities import duration
from wse_sim.spec.model import ModelShape

Say = Callable[[str], None]

# Products of a processor get no faster with more than 512 (docs/results/this_machine.md); for a GPU it is assumed.
_TOKENS_AT_ONCE: Mapping[Device, int] = {"cpu": 2048, "cuda": 16384}
_EXECUTORS: tuple[ExecutorName, ...] = ("dense", "streaming")
_MOST_PROBES = 3
_PROBES_SHARE = 0.1  # of the budget
_FEWEST_TURNS, _MOST_TURNS = 3, 25
_FIRST_TURN = 2  # times as long as a later one


def measure_here(
    shape: ModelShape,
    *,
    batch_size: int,
    seq_len: int,
    tokens: float,
    density: float = 1.0,
    precision: Precision | None = None,
    device: Device | Literal["auto"] = "auto",
    executor: ExecutorName | None = None,
    microbatch: int | None = None,
    n_threads: int | None = None,
    budget_s: float = 20.0,
    say: Say = lambda line: None,
    clock: Clock = time.perf_counter,
) -> HereResult:
    """What a training run takes here: parts of a step measured, whole steps extrapolated, the run projected.

    Parameters
    ----------
    batch_size :
        Sequences per optimizer step.
    tokens :
        Of the whole run.
    precision :
        Of matrix products; None = bf16 where these are enough faster than in 32 bits.
    device :
        `auto`: a GPU where there is one.
    executor :
        None = the dense one where it has room for the whole model, else the streaming one.
    microbatch :
        Sequences that go through at once; None = as many as there is room for, up to where products get no faster.
    n_threads :
        CPU threads; None = as many as the trainer takes.
    budget_s :
        Seconds that it should take. The least that can be timed, a warm-up and three turns of 128 tokens, may take
        longer: of a block of 1.8e9 weights it does.
    say :
        Takes a line now and then about how far it is.
    clock :
        Seconds, from wherever.

    Raises
    ------
    SpecError
        When a number is out of range, the model is an encoder, there is no such device, or not even one block fits.
    """
    _require_positive(batch_size=batch_size, seq_len=seq_len, tokens=tokens, budget_s=budget_s)
    started_s = clock()
    kind = device_at_hand(None if device == "auto" else device)
    room = Room(n_bytes=available_memory_bytes(), device_bytes=free_device_bytes() if kind == "cuda" else None)
    threads = n_threads_for(shape, n_usable_cpus()) if n_threads is None else n_threads
    with deterministic(threads):
        config = _config(
            _EXECUTORS if executor is None else [executor],
            _microbatches(microbatch, batch_size, at_once=max(1, _TOKENS_AT_ONCE[kind] // seq_len)),
            room,
            shape=shape,
            seq_len=seq_len,
            density=density,
            n_threads=threads,
            device=kind,
            precision=precision or _suited(kind),
        )
        _require_room(config, room)
        measurement = _measurement(config, room, batch_size, started_s + budget_s, clock, say)
    return result_of(measurement, batch_size=batch_size, tokens=tokens)


def _require_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise SpecError(f"{name} is {number}, it must be positive")


def _config(
    executors: Sequence[ExecutorName],
    microbatches: Sequence[int],
    room: Room,
    *,
    device: Device,
    precision: Precision,
    **fields: Any,
) -> TrainConfig:
    """One micro-batch of the run: by the first executor that has room for the whole model, else by the last."""
    for executor in executors:
        for microbatch in microbatches:
            execution = Execution(executor=executor, device=device, precision=precision, microbatch=microbatch)
            config = TrainConfig(n_steps=1, batch_size=microbatch, execution=execution, **fields)
            if room.holds(memory_need(config)):
                return config
    return config


def _microbatches(asked: int | None, batch_size: int, *, at_once: int) -> list[int]:
    """What was asked for; else as many sequences as go at once, half of them, and so on down to one."""
    found = [min(batch_size, at_once if asked is None else asked)]
    while asked is None and found[-1] > 1:
        found.append(found[-1] // 2)
    return found


def _require_room(config: TrainConfig, room: Room) -> None:
    """Raise SpecError when not even one block and the ends can be held."""
    needed, free = sample_bytes(config), room.n_bytes if room.device_bytes is None else room.device_bytes
    if needed > free:
        raise SpecError(
            f"{config.shape.name}: to time one block and the ends takes {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are "
            "free; a smaller model, shorter sequences or a machine with more memory would be right"
        )


def _measurement(config: TrainConfig, room: Room, batch_size: int, end_s: float, clock: Clock, say: Say) -> Measurement:
    execution = config.execution
    before = matmul_flops_per_s(execution.precision, execution.device)
    with sample_of(config, is_accumulating=batch_size > config.batch_size) as sample:
        turns = _turns(sample, config, end_s, clock, say)
    after = matmul_flops_per_s(execution.precision, execution.device)
    return Measurement(
        config=config,
        extent=turns.extent,
        seconds=turns.seconds,
        n_updated=sample.n_updated,
        n_streamed=sample.n_streamed,
        peak_flops_per_s=max(before, after),  # one of them may have been disturbed
        room=room,
    )


def _turns(sample: Sample, config: TrainConfig, end_s: float, clock: Clock, say: Say) -> "_Turns":
    """As much of a step as the time allows for, as often as it allows for, after a look at what a few tokens take."""
    shape, seq_len = config.shape, config.seq_len
    smallest = smallest_extent(shape, seq_len)
    turns = _Turns(sample, config, smallest, clock, say)
    turns.until(clock() + _PROBES_SHARE * (end_s - clock()), fewest=1, most=_MOST_PROBES)
    extent = largest_extent(
        shape,
        turns.of_block_and_ends_s(),
        seq_len=seq_len,
        microbatch=config.batch_size,
        longest_turn_s=(end_s - clock()) / (_FIRST_TURN + _FEWEST_TURNS),
    )
    if extent != smallest:
        turns = _Turns(sample, config, extent, clock, say)
    turns.until(end_s, fewest=_FEWEST_TURNS, most=_MOST_TURNS)
    return turns


class _Turns:
    """Turns that the works of an extent have taken, after a first one that touched memory for the first time."""

    def __init__(self, sample: Sample, config: TrainConfig, extent: Extent, clock: Clock, say: Say) -> None:
        say(f"{config.shape.name}: timing a block and both ends on {extent.n_sequences} x {extent.places[-1]} tokens")
        self.extent, self._clock, self._say = extent, clock, say
        works = _works(sample, config, extent)
        self._timed, self._turns = list(works), turns_s(list(works.values()), clock)
        self._found: list[list[float]] = []
        next(self._turns)

    def until(self, end_s: float, *, fewest: int, most: int) -> None:
        """Take turns until the next one would end too late, but so many at least and at most."""
        while len(self._found) < most:
            turn_s = sum(self._found[-1]) if self._found else 0.0
            if len(self._found) >= fewest and self._clock() + turn_s > end_s:
                break
            self._found.append(next(self._turns))
            left_s = max(0.0, end_s - self._clock())
            self._say(f"turn {len(self._found)} took {sum(self._found[-1]):.2g} s  left {duration(left_s)}")

    @property
    def seconds(self) -> dict[Timed, Floats]:
        """Of each work in each turn, (n_turns,)."""
        return dict(zip(self._timed, np.array(self._found).T, strict=True))

    def of_block_and_ends_s(self) -> dict[int, float]:
        """By places."""
        medians_s = {what: float(np.median(seconds)) for what, seconds in self.seconds.items()}
        return {n: medians_s[Timed("block", n)] + medians_s[Timed("ends", n)] for n in self.extent.places}


def _works(sample: Sample, config: TrainConfig, extent: Extent) -> dict[Timed, Work]:
    """In the order in which a step comes to them."""
    works: dict[Timed, Work] = {}
    for what in extent.timed(config.seq_len):
        if what.part == "attention":
            works[what] = attention_work(config, extent.n_heads, what.n_places)
        else:
            make = sample.block if what.part == "block" else sample.ends
            works[what] = make(extent.n_sequences, what.n_places)
    works[Timed("update")] = sample.update()
    if (stream := sample.stream()) is not None:
        works[Timed("stream")] = stream
    return works


def _suited(device: Device) -> Precision:
    fp32, bf16 = (matmul_flops_per_s(precision, device) for precision in ("fp32", "bf16"))
    return suited_precision(fp32_flops_per_s=fp32, bf16_flops_per_s=bf16)
