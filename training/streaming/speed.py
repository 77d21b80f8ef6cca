"""What streaming training takes here: seconds of a step, by what they are spent on, and memory at its peak.

Each configuration runs in a process of its own, which does nothing else: `wse-sim bench streaming`.
"""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from training.config import TrainConfig
from training.data import TrainOrder, load_corpus
from training.deterministic import deterministic
from training.memory import available_memory_bytes, memory_need, require_memory
from training.streaming.executor import StreamingExecutor
from wse_sim.progress import Watch

_ROOT = Path(__file__).parent.parent.parent
_KIB = 1024
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else _KIB

# What a step's time is shown as: names of `training.streaming.record.Part`, those of the two ends apart.
ACTIVITIES = ("expand", "forward", "recompute", "backward", "gradient", "gather", "update", "masks", "output")


class StreamingSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """Measured: one configuration of the streaming executor.

    Parameters
    ----------
    build_s :
        Masks and weights, and what else is there before the first step.
    step_s, step_cpu_s :
        Median of the steps after the first, which touches most memory for the first time; of the clock, and of all
        processors together.
    parts_cpu_s :
        The latter by what they were spent on, `ACTIVITIES`; the rest of a step is none of these.
    peak_rss_bytes :
        Of the process, until the end of the last step.
    predicted_bytes :
        Of the same, by `training.memory`.
    """

    tokens: int
    microbatch: int | None
    clip: float | str
    recompute: str
    precision: str
    build_s: float
    build_cpu_s: float
    first_step_s: float
    step_s: float
    step_cpu_s: float
    parts_cpu_s: dict[str, float]
    peak_rss_bytes: int
    predicted_bytes: float
    losses: tuple[float, ...]


class StepCost(msgspec.Struct, frozen=True, kw_only=True):
    """Processor seconds of a step as a line over its tokens: the part that each step costs, and what a token adds."""

    fixed_cpu_s: float
    cpu_s_per_token: float


def measure_streaming(configs: Sequence[TrainConfig], *, watch: Watch) -> list[StreamingSpeed]:
    """The speed of each configuration, `n_steps` of it, one after the other; `watch` hears of each.

    Raises
    ------
    SpecError
        When one does not fit the memory that is free.
    """
    found = []
    for config in configs:
        require_memory(config, available_memory_bytes())
        watch.say(f"{config.shape.name}: {config.n_steps} steps of {config.batch_size} x {config.seq_len} tokens")
        done = subprocess.run(  # noqa: S603 - our own program, fixed words
            [sys.executable, "-m", __name__],
            input=msgspec.json.encode(config),
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            check=True,
        )
        found.append(msgspec.json.decode(done.stdout, type=StreamingSpeed))
        watch.came()
    return found


def step_cost(speeds: Sequence[StreamingSpeed]) -> StepCost | None:
    """The line through the speeds of two numbers of tokens; None where there are not two."""
    least, most = min(speeds, key=lambda s: s.tokens), max(speeds, key=lambda s: s.tokens)
    if least.tokens == most.tokens:
        return None
    per_token = (most.step_cpu_s - least.step_cpu_s) / (most.tokens - least.tokens)
    return StepCost(fixed_cpu_s=least.step_cpu_s - per_token * least.tokens, cpu_s_per_token=per_token)


def _measured(config: TrainConfig) -> StreamingSpeed:
    """The speed of a configuration in this process, which has done nothing yet."""
    order = TrainOrder(load_corpus(config.data).train, config.seq_len, config.seed)
    with deterministic(config.n_threads):
        started = time.perf_counter(), time.process_time()
        executor = StreamingExecutor(config, None)
        build_s, build_cpu_s = time.perf_counter() - started[0], time.process_time() - started[1]
        steps, parts, losses = [], [], []
        for step in range(config.n_steps):
            batch = order.batch(step * config.batch_size, config.batch_size)
            started = time.perf_counter(), time.process_time()
            losses.append(executor.step(batch, step).loss)
            steps.append((time.perf_counter() - started[0], time.process_time() - started[1]))
            parts.append(_by_activity(executor, step + 1))
    kept = slice(1, None) if config.n_steps > 1 else slice(None)
    return StreamingSpeed(
        tokens=config.tokens_per_step,
        microbatch=config.execution.microbatch,
        clip=config.clip,
        recompute=config.execution.recompute,
        precision=config.execution.precision,
        build_s=build_s,
        build_cpu_s=build_cpu_s,
        first_step_s=steps[0][0],
        step_s=statistics.median(host_s for host_s, _ in steps[kept]),
        step_cpu_s=statistics.median(cpu_s for _, cpu_s in steps[kept]),
        parts_cpu_s={name: statistics.median(of[name] for of in parts[kept]) for name in ACTIVITIES},
        peak_rss_bytes=_peak_rss_bytes(),
        predicted_bytes=memory_need(config, n_kept_blocks=executor.n_kept_blocks).n_bytes,
        losses=tuple(losses),
    )


def _peak_rss_bytes() -> int:
    """Of this process. What `getrusage` says on Linux may be the peak of the process that started this one."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * _KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES


def _by_activity(executor: StreamingExecutor, step: int) -> dict[str, float]:
    """Processor seconds of the last step."""
    spent = dict.fromkeys(ACTIVITIES, 0.0)
    for row in executor.stream_rows(step):
        for part, cpu_s in row.cpu_s.items():
            is_end = not row.layer.startswith("block")
            compute = (
                "output" if is_end else {"forward": "forward", "delta": "backward", "gradient": "gradient"}[row.pass_]
            )
            spent[compute if part == "compute" else part] += cpu_s
    return spent


def main() -> None:
    """Measure the configuration that comes in, and write its speed out, both as JSON."""
    config = msgspec.json.decode(sys.stdin.buffer.read(), type=TrainConfig)
    sys.stdout.buffer.write(msgspec.json.encode(_measured(config)))


if __name__ == "__main__":
    main()
