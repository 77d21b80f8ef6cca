"""The SimPy reference is the oracle: every other engine gives the same finish time for every task."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import count, islice

import numpy as np
import pytest
from hypothesis import given, settings

from tests.campaigns import RecordFigures
from tests.engine import comparing
from tests.engine.comparing import compared
from tests.engine.long_programs import long_program
from tests.engine.programs import SLOTS, SMALL, many_steps, over_many_steps, programs, random_program
from wse_sim.engine import max_plus
from wse_sim.engine.max_plus import can_run
from wse_sim.engine.quotient import quotient
from wse_sim.schedule.program import Program


@settings(max_examples=500)
@given(programs())
def test_engines_agree_to_the_tick(program: Program) -> None:
    assert all(n_differing == 0 for _, n_differing in compared(program).values())


@settings(max_examples=15)
@given(many_steps())
def test_engines_agree_over_many_turns_of_every_ring(program: Program) -> None:
    assert all(n_differing == 0 for _, n_differing in compared(program).values())


# ---- the same for so many that only a campaign has the time ----------------------------------------------------------

# Each with the most tasks that SimPy is to play.
KINDS: dict[str, tuple[Callable[[int], Program], int]] = {
    "random_program": (random_program, 10**9),
    "over_many_steps": (lambda seed: over_many_steps(random_program(seed)), 4 * SMALL),
    "long_program": (long_program, 10_000),
}
FEATURES: dict[str, Callable[[Program], object]] = {
    "half-duplex wires": lambda p: p.is_half_duplex,
    "jitter": lambda p: p.jitter_ps.any(),
    "several lanes": lambda p: p.n_lanes > 1,
    "several steps": lambda p: p.n_steps > 1,
    "several micro-batches": lambda p: p.n_microbatches > 1,
    "nodes under nodes": lambda p: p.n_nodes > 1,
    "9 to 64 leaves": lambda p: p.n_leaves >= 9,
    "feeds": lambda p: p.feed_ps.any(),
    "feeds that bring back what was drained": lambda p: (p.feed_after[p.feed_ps > 0] >= 0).any(),
    "drains": lambda p: p.drain_ps.any(),
    "lags after earlier passes": lambda p: p.lag_ps[p.follows >= 0].any(),
    "passes without weights": lambda p: not p.has_weights.all(),
    "passes without gradients": lambda p: not p.has_gradient.all(),
    "updates that are waited for": lambda p: p.n_steps > 1 and (p.waits_for[p.has_weights == 1] >= 0).any(),
    "a buffer of one slot": lambda p: min(getattr(p, name) for name in SLOTS) == 1,
    "services of at most 3 ps, so that ties are many": lambda p: p.compute_ps.max() <= 3,
    "leaves alike, which max-plus merges": lambda p: can_run(p) and quotient(p).n_edges < p.n_edges,
    "tiles that max-plus fast-forwards over": lambda p: can_run(p) and n_tiles_run(p) < p.n_steps * p.tiles_per_step,
}


def n_tiles_run(program: Program) -> int:
    memory = max_plus._run_whole(quotient(program), is_recording=False, is_fast_forward=True)
    return int(memory[max_plus.N_TILES_RUN])


def drawn(kind: str, n: int) -> Iterator[tuple[str, Program]]:
    """`n` programs of a kind that are not too large, by the words that make each again."""
    make, most_tasks = KINDS[kind]
    of_seeds = ((f"KINDS[{kind!r}][0]({seed})", make(seed)) for seed in count())
    yield from islice((named for named in of_seeds if named[1].n_tasks <= most_tasks), n)


def campaign(named: Iterable[tuple[str, Program]]) -> dict[str, str | int]:
    """Compare these programs; the figures of that, or an AssertionError that names the programs that differ."""
    n_programs, n_tasks, n_compared, n_differ, wrong = 0, 0, Counter[str](), 0, []
    features = Counter(dict.fromkeys(FEATURES, 0))
    for words, program in named:
        n_programs, n_tasks = n_programs + 1, n_tasks + program.n_tasks
        features.update(name for name, has in FEATURES.items() if has(program))
        for engine, (n, n_differing) in compared(program).items():
            n_compared[engine] += n
            n_differ += n_differing
            if n_differing:
                wrong.append(f"{words}: {engine} differs from SimPy in {n_differing} of {n}")
    assert not wrong, "\n".join(wrong[:20])
    return {
        "random programs": n_programs,
        "their tasks": n_tasks,
        **{f"values of {engine} compared with SimPy": n for engine, n in n_compared.items()},
        "values that differ": n_differ,
        "programs with": ", ".join(f"{name} {n:,}" for name, n in features.items()),
    }


@pytest.mark.campaign
def test_every_engine_gives_the_times_of_simpy_for_random_programs(record_figures: RecordFigures) -> None:
    n_of = {"random_program": 20_000, "over_many_steps": 1_000, "long_program": 300}
    figures = campaign(named for kind, n in n_of.items() for named in drawn(kind, n))
    assert figures["random programs"] >= 20_000
    record_figures("engine", figures)


def test_a_campaign_has_programs_with_every_feature() -> None:
    programs = [program for kind in KINDS for _, program in drawn(kind, 100)]
    for name, has in FEATURES.items():
        assert any(map(has, programs)), name


def test_a_campaign_names_the_program_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_late(program: Program) -> comparing.Finish:
        finish = comparing.run_des(program)
        return replace(finish, update=finish.update + (np.arange(len(finish.update)) == 0))

    can, _, run_ends = comparing.ENGINES["des"]
    assert campaign(drawn("random_program", 2))["values that differ"] == 0
    monkeypatch.setitem(comparing.ENGINES, "des", (can, one_late, run_ends))
    with pytest.raises(AssertionError, match=r"KINDS\['random_program'\]\[0\]\(1\): des differs from SimPy in 1 of"):
        campaign(drawn("random_program", 2))
