"""What training a model takes on the machine at hand, as it follows from what was timed there."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import torch

from training.execution import ExecutorName, Precision
from training.resampling import draws, estimate
from training.step_extent import Part, StepPart, Timed
from training.step_measurement import Measurement
from wse_sim.processes.limits import cpu_name
from wse_sim.report.quantities import percent
from wse_sim.workload.flops import model_flops_utilisation


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Something that ran, and how long it took.

    Parameters
    ----------
    what :
        In words.
    n_tokens :
        That went through; 0 where none do.
    """

    part: Part
    what: str
    n_tokens: int
    n_repeats: int
    median_s: float
    fastest_s: float
    slowest_s: float


class StepShare(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an optimizer step: seconds, and the fraction of the step."""

    part: StepPart
    seconds: float
    share: float


class HereResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a training run takes on the machine at hand: parts measured, steps extrapolated, the run projected.

    Parameters
    ----------
    device :
        Name of the processor or GPU.
    n_threads, precision, executor :
        What the parts ran on, and how.
    microbatch :
        Sequences that went through at once; a step has `n_microbatches` of them, the last of which may be smaller.
    timings :
        Measured.
    parts :
        Of a step; their sum is `step_time_s`.
    step_time_s, tokens_per_s :
        From the median of each timing.
    step_time_s_low, step_time_s_high, tokens_per_s_low, tokens_per_s_high :
        95 % interval of the turns drawn again (noise of repeats), and on either side of it the fraction
        `extrapolation_error` (steps of whole models were no farther from what their parts make). The machine is taken
        to stay as busy with other work as it was.
    run_time_s, run_time_s_low, run_time_s_high :
        Projected: as many such steps as the tokens take, without evaluations and checkpoints.
    peak_flops_per_s :
        Of the fastest of a few products of large matrices.
    mfu, dense_equivalent_mfu :
        FLOPs that the model needs (convention `palm`) over that peak, zeros not counted and counted.
    memory_bytes_needed, memory_bytes_available :
        Of the whole model, a micro-batch at a time, by `training.memory`; on the GPU where there is one.
    fits :
        The run could really be made.
    notes :
        Plain sentences: what was left out or cut short, and what that means.
    """

    model: str
    device: str
    n_threads: int
    precision: Precision
    executor: ExecutorName
    batch_size: int
    microbatch: int
    n_microbatches: float
    seq_len: int
    density: float
    tokens: float
    n_steps: float
    timings: tuple[Timing, ...]
    parts: tuple[StepShare, ...]
    step_time_s: float
    step_time_s_low: float
    step_time_s_high: float
    tokens_per_s: float
    tokens_per_s_low: float
    tokens_per_s_high: float
    run_time_s: float
    run_time_s_low: float
    run_time_s_high: float
    extrapolation_error: float
    peak_flops_per_s: float
    mfu: float
    dense_equivalent_mfu: float
    memory_bytes_needed: float
    memory_bytes_available: float
    fits: bool
    notes: tuple[str, ...]


def result_of(measurement: Measurement, *, batch_size: int, tokens: float) -> HereResult:
    """What a run of `tokens` takes, in steps of `batch_size` sequences."""
    config = measurement.config
    medians_s = {what: float(np.median(seconds)) for what, seconds in measurement.seconds.items()}
    parts_s = {part: float(s) for part, s in measurement.step_parts_s(medians_s, batch_size).items()}
    step_s = sum(parts_s.values())
    utilisation = model_flops_utilisation(
        config.shape,
        config.seq_len,
        config.density,
        tokens_per_s=batch_size * config.seq_len / step_s,
        peak_flops_per_s=measurement.peak_flops_per_s,
    )
    return HereResult(
        model=config.shape.name,
        n_threads=config.n_threads,
        precision=config.execution.precision,
        executor=config.execution.executor,
        batch_size=batch_size,
        microbatch=config.batch_size,
        n_microbatches=batch_size / config.batch_size,
        seq_len=config.seq_len,
        density=config.density,
        tokens=tokens,
        timings=tuple(_timing(what, measurement) for what in measurement.seconds),
        parts=tuple(StepShare(part=part, seconds=s, share=s / step_s) for part, s in parts_s.items()),
        notes=(*measurement.notes(batch_size), *_about_the_peak(utilisation["dense_equivalent_mfu"])),
        **_times(measurement, step_s, batch_size, tokens),
        peak_flops_per_s=measurement.peak_flops_per_s,
        **utilisation,
        **_memory(measurement),
    )


def _times(measurement: Measurement, step_s: float, batch_size: int, tokens: float) -> dict[str, Any]:
    n_turns = len(next(iter(measurement.seconds.values())))
    drawn_s = {what: np.median(seconds[draws(n_turns)], axis=1) for what, seconds in measurement.seconds.items()}
    steps = estimate(step_s, np.sum(list(measurement.step_parts_s(drawn_s, batch_size).values()), axis=0))
    assert steps.low is not None
    assert steps.high is not None
    error = measurement.extrapolation_error
    low_s, high_s = steps.low / (1.0 + error), steps.high * (1.0 + error)
    n_tokens = batch_size * measurement.config.seq_len
    n_steps = tokens / n_tokens
    return {
        "n_steps": n_steps,
        "step_time_s": step_s,
        "step_time_s_low": low_s,
        "step_time_s_high": high_s,
        "tokens_per_s": n_tokens / step_s,
        "tokens_per_s_low": n_tokens / high_s,
        "tokens_per_s_high": n_tokens / low_s,
        "run_time_s": n_steps * step_s,
        "run_time_s_low": n_steps * low_s,
        "run_time_s_high": n_steps * high_s,
        "extrapolation_error": error,
    }


def _about_the_peak(dense_equivalent_mfu: float) -> Iterator[str]:
    """What it means that products which gain nothing from zeros were faster than the fastest of them."""
    if dense_equivalent_mfu > 1.0:
        yield (
            f"with zeros counted it comes to {percent(dense_equivalent_mfu)} of the peak, above which no step can be: "
            "it is extrapolated, attention is counted for all pairs of places while half of them are skipped, and the "
            "peak is that of products of one size"
        )


def _memory(measurement: Measurement) -> dict[str, Any]:
    room, need = measurement.room, measurement.need
    on_gpu = room.device_bytes is not None
    return {
        "device": torch.cuda.get_device_name() if on_gpu else cpu_name(),
        "memory_bytes_needed": need.device_bytes if on_gpu else need.n_bytes,
        "memory_bytes_available": room.device_bytes if on_gpu else room.n_bytes,
        "fits": room.holds(need),
    }


def _timing(what: Timed, measurement: Measurement) -> Timing:
    seconds = measurement.seconds[what]
    n_sequences = 1 if what.part == "attention" else measurement.extent.n_sequences
    return Timing(
        part=what.part,
        what=measurement.words(what),
        n_tokens=n_sequences * what.n_places,
        n_repeats=len(seconds),
        median_s=float(np.median(seconds)),
        fastest_s=float(seconds.min()),
        slowest_s=float(seconds.max()),
    )
