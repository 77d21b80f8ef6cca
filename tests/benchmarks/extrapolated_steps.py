"""Steps extrapolated from their parts, beside whole ones: `python -m tests.benchmarks.extrapolated_steps`.

Whole steps are taken before and after each measurement of the parts, so that the machine's moods strike both alike. On
one thread the clock is the processor time, which hardly depends on what else runs.
"""

import argparse
import os
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import msgspec

from training.config import TrainConfig
from training.data import STDLIB, TrainOrder, load_corpus
from training.deterministic import deterministic
from training.execution import Execution, ExecutorName, Precision
from training.executors import make_executor
from training.here_result import HereResult
from training.this_machine import measure_here
from training.turns import Clock, Work, turns_s
from wse_sim.processes.limits import cpu_name
from wse_sim.spec.load import load_model
from wse_sim.spec.model import ModelShape

LITTLE_S = 1.0  # a budget for which sequences are cut short


def gpt2(n_layers: int, d_model: int, *, vocab_size: int = 256, seq_len: int = 256) -> ModelShape:
    return ModelShape(
        name=f"{n_layers}x{d_model}",
        n_layers=n_layers,
        d_model=d_model,
        n_heads=d_model // 64,
        d_ff=4 * d_model,
        vocab_size=vocab_size,
        seq_len=seq_len,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A training step that fits this machine."""

    shape: ModelShape
    batch_size: int
    seq_len: int = 256
    microbatch: int | None = None
    density: float = 1.0
    precision: Precision = "bf16"
    executor: ExecutorName = "dense"
    budget_s: float = 10.0


def cases() -> Mapping[str, Case]:
    llama = msgspec.structs.replace(
        gpt2(8, 512, vocab_size=4096),
        n_kv_heads=2,
        d_ff=1408,
        feed_forward="swiglu",
        norm="rmsnorm",
        positions="rotary",
        is_tied=False,
        has_biases=False,
    )
    small = load_model("111m").shape
    return {
        "12 x 256, fp32": Case(shape=gpt2(12, 256), batch_size=8, precision="fp32"),
        "12 x 384, 4 micro-batches": Case(shape=gpt2(12, 384), batch_size=16, microbatch=4, density=0.25),
        "8 x 512, LLaMA's family": Case(shape=llama, batch_size=4),
        "12 x 512, long sequences": Case(shape=gpt2(12, 512, seq_len=1024), batch_size=1, seq_len=1024),
        "24 x 256": Case(shape=gpt2(24, 256), batch_size=8),
        "111M": Case(shape=small, batch_size=4, budget_s=60.0),
        "111M, streaming": Case(shape=small, batch_size=4, density=0.25, executor="streaming", budget_s=60.0),
        "111M, cut short": Case(shape=small, batch_size=4),
        "111M, fp32, cut short": Case(shape=small, batch_size=4, precision="fp32"),
        "111M, streaming, cut short": Case(shape=small, batch_size=4, density=0.25, executor="streaming"),
        "12 x 512, streaming": Case(shape=gpt2(12, 512), batch_size=4, density=0.25, executor="streaming"),
        "2 x 2560": Case(shape=gpt2(2, 2560, vocab_size=4096), batch_size=2, budget_s=20.0),
        "8 x 768, cut short": Case(shape=gpt2(8, 768, seq_len=1024), batch_size=1, seq_len=1024, budget_s=LITTLE_S),
        "6 x 1024, cut short": Case(shape=gpt2(6, 1024, seq_len=2048), batch_size=1, seq_len=2048, budget_s=LITTLE_S),
        "6 x 1024, fp32, cut short": Case(
            shape=gpt2(6, 1024, seq_len=1024), batch_size=1, seq_len=1024, precision="fp32", budget_s=LITTLE_S
        ),
        "2 x 2560, cut short": Case(
            shape=gpt2(2, 2560, vocab_size=4096, seq_len=2048), batch_size=1, seq_len=2048, budget_s=4.0
        ),
        "4 x 768 of 111M, streaming, cut short": Case(
            shape=msgspec.structs.replace(small, n_layers=4),
            batch_size=1,
            seq_len=1024,
            density=0.25,
            executor="streaming",
            budget_s=LITTLE_S,
        ),
    }


def whole_step(case: Case, n_threads: int) -> Work:
    """What trains the case's model by a step each time it is called."""
    config = TrainConfig(
        shape=case.shape,
        density=case.density,
        n_steps=1000,
        batch_size=case.batch_size,
        seq_len=case.seq_len,
        n_threads=n_threads,
        initial_draw="philox",
        execution=Execution(executor=case.executor, precision=case.precision, microbatch=case.microbatch),
    )
    executor, order = make_executor(config), TrainOrder(load_corpus(STDLIB).train, case.seq_len, seed=0)
    steps = iter(range(config.n_steps))

    def step() -> None:
        number = next(steps)
        executor.step(order.batch(number * case.batch_size, case.batch_size), number)

    return step


def extrapolated(case: Case, n_threads: int, clock: Clock) -> HereResult:
    return measure_here(
        case.shape,
        batch_size=case.batch_size,
        seq_len=case.seq_len,
        tokens=1e9,
        density=case.density,
        precision=case.precision,
        device="cpu",
        executor=case.executor,
        microbatch=case.microbatch,
        n_threads=n_threads,
        budget_s=case.budget_s,
        clock=clock,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="whole steps before and after each measurement")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--case", action="append", help="its name; by default all")
    given = parser.parse_args()
    print(f"{cpu_name()}, {given.threads} threads, {given.rounds} rounds\n")
    print("| step | tokens | a block timed on | whole steps, s | extrapolated, s | ratio by round | inside | load |")
    print("|---|---|---|---|---|---|---|---|")
    for name, case in cases().items():
        if given.case is None or name in given.case:
            print(row(name, case, n_rounds=given.rounds, n_steps=given.steps, n_threads=given.threads), flush=True)


def row(name: str, case: Case, *, n_rounds: int, n_steps: int, n_threads: int) -> str:
    step = whole_step(case, n_threads)
    clock = time.process_time if n_threads == 1 else time.perf_counter
    ratios, wholes, drawn, n_inside = [], [], [], 0
    with deterministic(n_threads):
        next(turns_s([step]))
        for _ in range(n_rounds):
            around = [seconds for (seconds,) in islice(turns_s([step], clock), n_steps)]
            here = extrapolated(case, n_threads, clock)
            around += [seconds for (seconds,) in islice(turns_s([step], clock), 1, 1 + n_steps)]
            whole_s = statistics.median(around)
            ratios.append(here.step_time_s / whole_s)
            wholes += around
            drawn.append(here)
            n_inside += here.step_time_s_low <= whole_s <= here.step_time_s_high
    first = drawn[0]
    tokens = f"{first.batch_size} x {first.seq_len}"
    timed = " and ".join(str(timing.n_tokens) for timing in first.timings if timing.part == "block")
    range_s = f"{statistics.median(wholes):.3g} ({min(wholes):.3g} to {max(wholes):.3g})"
    found = f"{statistics.median(here.step_time_s for here in drawn):.3g}"
    spread = f"{min(h.step_time_s_low for h in drawn):.3g} to {max(h.step_time_s_high for h in drawn):.3g}"
    by_round = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    inside, load = f"{n_inside} of {n_rounds}", f"{os.getloadavg()[0]:.1f}"
    return f"| {name} | {tokens} | {timed} | {range_s} | {found} ({spread}) | {by_round} | {inside} | {load} |"


if __name__ == "__main__":
    main()
