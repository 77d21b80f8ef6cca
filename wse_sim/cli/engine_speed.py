"""How fast the engines are on one machine, against each other: what `wse-sim bench engine` measures.

Contestants take turns, round after round, so that whatever else the machine does strikes them alike; the least CPU time
of each counts. They are compared before they are timed. Wires are full duplex, since max-plus cannot run others.
"""

import gc
import importlib
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wse_sim.cli.bench_goals import Row, machine
from wse_sim.engine.des import des_step_ends_ps, run_des
from wse_sim.engine.max_plus import max_plus_step_ends_ps, run_max_plus
from wse_sim.engine.reference import run_reference
from wse_sim.engine.result import Finish, step_ends_ps
from wse_sim.errors import SpecError
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.runs import resolve_run
from wse_sim.schedule.program import IntArray, Program
from wse_sim.schedule.weight_streaming import plan_step
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import load_model

Timed = Callable[[], Finish | IntArray]

REFERENCE, LEAN = "reference (SimPy)", "lean SimPy"
DES, DES_RECORDING = "DES", "DES, recording"
MAX_PLUS, MAX_PLUS_RECORDING, FAST_FORWARD = "max-plus", "max-plus, recording", "max-plus, fast-forward"
# Compiled functions alone, without the set-up in Python: tests/benchmarks/kernels.py has them.
DES_KERNEL, DES_CPP = "DES kernel", "DES kernel in C++"
DES_KERNEL_RECORDING, DES_BARE = "DES kernel, recording", "DES kernel that cannot record"
MAX_PLUS_KERNEL, MAX_PLUS_CPP = "max-plus kernel", "max-plus kernel in C++"
MAX_PLUS_KERNEL_RECORDING = "max-plus kernel, recording"

_LEAST_S = 0.4  # CPU time of a turn: what takes less is repeated, so that all are as warm
_FURTHER_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The steps that are timed: a fine one for the compiled engines, a coarse one for SimPy, many for growth."""

    model: str
    num_csx: int
    n_tiles: int
    n_tiles_simpy: int
    n_tiles_growth: int
    growth_tasks: tuple[float, ...]


# 216 tiles, pieces of 3 MB of a layer's weights, make 1.3 million tasks. SimPy's time per task is no longer in a coarse
# step than in a fine one.
STEP = Workload(
    model="13b",
    num_csx=16,
    n_tiles=216,
    n_tiles_simpy=12,
    n_tiles_growth=24,
    growth_tasks=(1e5, 1e6, 1e7, 1e8),
)
SMALL_STEP = Workload(
    model="111m",
    num_csx=4,
    n_tiles=24,
    n_tiles_simpy=12,
    n_tiles_growth=12,
    growth_tasks=(1e4, 1e5),
)


class Contestant(NamedTuple):
    """Who is timed, on which program; `prepare` gives the function whose calls are measured."""

    name: str
    program: Program
    prepare: Callable[[], Timed]


def measure(workload: Workload, *, runs: int, twins: Path | None, is_full: bool, watch: Watch) -> dict[str, Any]:
    """All that `wse-sim bench engine --json` prints but for the goals.

    Parameters
    ----------
    runs :
        Rounds.
    twins :
        Folder of a checkout with lean SimPy and the engines in C++; None = without them.
    is_full :
        Also growth, memory, and what the code costs that could record.
    watch :
        Hears how far the rounds are.

    Raises
    ------
    SpecError
        When `twins` is no such folder.
    AssertionError
        When two engines disagree.
    """
    fine, coarse = step(workload, workload.n_tiles), step(workload, workload.n_tiles_simpy)
    with tempfile.TemporaryDirectory() as directory:
        simpy = [_whole(REFERENCE, coarse, run_reference)]
        compiled = _compiled_engines(fine)
        if twins is not None:
            module = _load_twins(twins)
            simpy.append(_whole(LEAN, coarse, module.run_lean_simpy))
            kernels = module.kernels(Path(directory), with_bare_des=is_full)
            compiled += [Contestant(name, fine, partial(kernel, fine)) for name, kernel in kernels.items()]
        growth = _growing(workload) if is_full else []
        compared = [*simpy, *_recording_engines(coarse), *compiled, *growth]
        watch.begin(len(compared), "engines compared")
        check_agreement(compared, watch)
        rows = best_rows([*simpy, *compiled, *growth], runs, watch)
    n_timed = len(rows) - len(growth)
    return {
        "kind": "measured",
        "machine": machine(),
        "runs": runs,
        "step": {"model": workload.model, "system": "cs2", "num_csx": workload.num_csx, **_size(fine)},
        "simpy_step": _size(coarse),
        "engines": with_ratios(rows[:n_timed]),
        "growth": rows[n_timed:],
        "memory": _memory(workload) if is_full else [],
    }


def step(workload: Workload, n_tiles: int) -> Program:
    """One dense step of the workload's model on CS-2, with as many sequences on each system as in its recipe."""
    preset = load_model(workload.model)
    recipe = preset.recipe
    assert recipe is not None
    assert recipe.num_csx is not None
    per_csx = recipe.batch_size // recipe.num_csx
    run = resolve_run(preset, system="cs2", num_csx=workload.num_csx, batch_size=per_csx * workload.num_csx)
    return replace(plan_step(run, load_cluster(run.system, run.num_csx), n_tiles=n_tiles).program, n_steps=1)


def check_agreement(contestants: Sequence[Contestant], watch: Watch = UNWATCHED) -> None:
    """Run each once, which also loads what is compiled, and compare those that have the same program.

    Raises
    ------
    AssertionError
        When one gives another time than an earlier one.
    """
    finishes: dict[int, Finish] = {}
    ends: dict[int, IntArray] = {}
    for name, program, prepare in contestants:
        found = prepare()()
        if isinstance(found, Finish):
            if not finishes.setdefault(id(program), found).same_times_as(found):
                raise AssertionError(f"the engines disagree about a finish time: {name}")
            found = step_ends_ps(program, found)
        if not np.array_equal(ends.setdefault(id(program), found), found):
            raise AssertionError(f"the engines disagree about the end of a step: {name}")
        watch.came()


def best_rows(contestants: Sequence[Contestant], runs: int, watch: Watch = UNWATCHED) -> list[Row]:
    """What each took in its best call of all rounds, in order."""
    best_s = [float("inf")] * len(contestants)
    watch.begin(runs, "rounds")
    for _ in range(runs):
        best_s = [min(best, _turn_s(c)) for best, c in zip(best_s, contestants, strict=True)]
        watch.came()
    return [
        {"engine": c.name, "tasks": c.program.n_tasks, "cpu_s": s, "tasks_per_s": c.program.n_tasks / s}
        for c, s in zip(contestants, best_s, strict=True)
    ]


def with_ratios(rows: Sequence[Row]) -> list[Row]:
    """`rows`, each with how many times as fast it is, per task, as the yardsticks that were timed too."""
    rates = {row["engine"]: row["tasks_per_s"] for row in rows}
    cpp = {DES_KERNEL: DES_CPP, MAX_PLUS_KERNEL: MAX_PLUS_CPP}
    yardsticks = [{"reference": REFERENCE, "lean": LEAN, "cpp": cpp.get(row["engine"])} for row in rows]
    return [
        row | {f"times_{name}": row["tasks_per_s"] / rates[other] for name, other in others.items() if other in rates}
        for row, others in zip(rows, yardsticks, strict=True)
    ]


def _turn_s(contestant: Contestant) -> float:
    """The least CPU time of the calls of one turn."""
    gc.collect()  # what others left
    best_s, spent_s = float("inf"), 0.0
    while spent_s < _LEAST_S:
        work = contestant.prepare()
        started = time.thread_time()
        result = work()
        call_s = time.thread_time() - started
        del work, result  # whose memory the next call may take again, as in a sweep
        best_s, spent_s = min(best_s, call_s), spent_s + call_s
    return best_s


# ---- the contestants -------------------------------------------------------------------------------------------------


def _whole(name: str, program: Program, run: Callable[[Program], Finish | IntArray]) -> Contestant:
    """An engine with its set-up in Python."""
    return Contestant(name, program, lambda: partial(run, program))


def _recording_engines(program: Program) -> list[Contestant]:
    return [_whole(DES_RECORDING, program, run_des), _whole(MAX_PLUS_RECORDING, program, run_max_plus)]


def _full_max_plus(program: Program) -> IntArray:
    return max_plus_step_ends_ps(program, is_fast_forward=False)


def _compiled_engines(program: Program) -> list[Contestant]:
    return [
        _whole(DES, program, des_step_ends_ps),
        _whole(MAX_PLUS, program, _full_max_plus),
        _whole(FAST_FORWARD, program, max_plus_step_ends_ps),
        *_recording_engines(program),
    ]


def _growing(workload: Workload) -> list[Contestant]:
    one = step(workload, workload.n_tiles_growth)
    programs = [replace(one, n_steps=max(1, round(n_tasks / one.n_tasks))) for n_tasks in workload.growth_tasks]
    engines = ((DES, des_step_ends_ps), (MAX_PLUS, _full_max_plus))
    return [_whole(name, program, run) for name, run in engines for program in programs]


def _load_twins(folder: Path) -> Any:
    """The module `kernels` of a folder such as tests/benchmarks, whose imports begin two folders above it.

    Raises
    ------
    SpecError
        When there is none.
    """
    folder = folder.resolve()
    if not (folder / "kernels.py").is_file():
        raise SpecError(f"--twins {folder} has no kernels.py: name the folder tests/benchmarks of a checkout")
    root = str(folder.parents[1])
    sys.path.insert(0, root)
    try:
        return importlib.import_module(".".join((*folder.parts[-2:], "kernels")))
    finally:
        sys.path.remove(root)


# ---- what else is told -----------------------------------------------------------------------------------------------


def _memory(workload: Workload) -> list[Row]:
    """Peak memory of one step, and what each further step adds to it; recording nothing."""
    one = step(workload, workload.n_tiles_growth)
    many = replace(one, n_steps=1 + _FURTHER_STEPS)
    rows = []
    for name, run in ((DES, des_step_ends_ps), (MAX_PLUS, _full_max_plus)):
        first, last = (_peak_bytes(run, program) for program in (one, many))
        rows.append(
            {"engine": name, "one_step_bytes": first, "bytes_per_further_step": (last - first) / _FURTHER_STEPS}
        )
    return rows


def _peak_bytes(run: Callable[[Program], IntArray], program: Program) -> int:
    tracemalloc.start()
    try:
        run(program)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _size(program: Program) -> Row:
    return {"n_microbatches": program.n_microbatches, "n_tiles": program.n_tiles, "tasks": program.n_tasks}
