"""An executed schedule beside the simulated one, layer by layer: a streaming run here, and its step on wafers.

Source of the executed side: `stream.jsonl` of a run directory (`training.streaming.record`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from wse_sim.errors import SpecError
from wse_sim.report.run_files import require_one_run
from wse_sim.schedule.cost import Pass
from wse_sim.simulation import Simulation, simulate
from wse_sim.spec.load import is_file
from wse_sim.spec.model import ModelShape
from wse_sim.spec.reading import as_written, convert, read_lines, read_toml
from wse_sim.spec.run import Run

STREAM_FILE, CONFIG_FILE, TARGET_FILE = "stream.jsonl", "config.toml", "target.toml"
# The executor makes the output layer's delta while it goes forward, and its gradient last, with the embeddings'.
_TOGETHER = {"output delta": "output forward", "output gradient": "embedding gradient"}
_COUNTED = ("weight_bytes", "gradient_bytes", "dense_flops", "sparse_flops")


class _Target(msgspec.Struct, frozen=True):
    """What is needed of target.toml."""

    system: str = "cs2"
    release: str = "r2"
    started_in: str = "."

    @property
    def system_there(self) -> str:
        """A file that was named from where the run was started is found from anywhere."""
        there = Path(self.started_in, self.system)
        return str(there) if is_file(self.system) and there.is_file() else self.system


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerComparison:
    """One layer in one pass of one optimizer step, executed and simulated.

    Parameters
    ----------
    name :
        As the simulator calls it: `block 3 delta`.
    weight_bytes, gradient_bytes :
        Executed: non-zeros and their bits streamed in, gradients of non-zeros streamed out.
    wafer_weight_bytes, wafer_gradient_bytes :
        Simulated, on the wire of one system.
    dense_flops, sparse_flops :
        Executed, masked weights counted and not counted.
    host_s, host_share :
        Measured: time here, and its share of all layers'.
    wafer_s, wafer_share :
        Simulated: work on the wafer, and likewise.
    """

    name: str
    weight_bytes: float
    gradient_bytes: float
    dense_flops: float
    sparse_flops: float
    host_s: float
    host_share: float
    wafer_weight_bytes: float
    wafer_gradient_bytes: float
    wafer_s: float
    wafer_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedComparison:
    """A step of a run here beside the same step simulated.

    Parameters
    ----------
    step :
        Of the run here: the last one that was written out.
    tokens :
        Of a step, on both sides.
    is_same_order :
        Layers and passes came in the order that the simulator gives them.
    """

    step: int
    tokens: int
    density: float
    is_same_order: bool
    layers: tuple[LayerComparison, ...]
    simulation: Simulation


def compare_executed(run_dir: Path) -> ExecutedComparison:
    """The last written step of a streaming run, beside the simulated step of the same model, density and batch.

    On one system of the kind that the run names: its batch is a step of it.

    Raises
    ------
    SpecError
        When the folder holds no streaming run.
    """
    require_one_run(run_dir)
    with as_written(run_dir):
        return _compared(run_dir)


def _compared(run_dir: Path) -> ExecutedComparison:
    rows = _rows_of_last_step(run_dir / STREAM_FILE)
    run = _run(run_dir, rows)
    simulation = simulate(run)
    n_microbatches = run.batch_size // simulation.plan.microbatch
    passes = _together(simulation.plan.passes)
    executed: dict[str, Counter[str]] = {}
    for row in rows:
        name = _named(f"{row['layer']} {row['pass']}")
        counted = executed.pop(name, Counter()) if name in _TOGETHER.values() else Counter()
        executed[name] = counted + Counter(host_s=sum(row["host_s"].values()), **{key: row[key] for key in _COUNTED})
    host_s = {name: counted["host_s"] for name, counted in executed.items()}
    wafer_s = {one.name: n_microbatches * one.work_s for one in passes}
    shared = [one for one in passes if one.name in executed]
    layers = tuple(
        LayerComparison(
            name=one.name,
            **{key: float(executed[one.name][key]) for key in _COUNTED},
            host_s=host_s[one.name],
            host_share=host_s[one.name] / sum(host_s.values()),
            wafer_weight_bytes=n_microbatches * one.weight_bytes,
            wafer_gradient_bytes=one.gradient_bytes,
            wafer_s=wafer_s[one.name],
            wafer_share=wafer_s[one.name] / sum(wafer_s.values()),
        )
        for one in shared
    )
    simulated_order = [one.name for one in shared]
    return ExecutedComparison(
        step=rows[0]["step"],
        tokens=rows[0]["tokens"],
        density=run.density,
        is_same_order=[name for name in executed if name in wafer_s] == simulated_order,
        layers=layers,
        simulation=simulation,
    )


def _rows_of_last_step(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise SpecError(
            f"{path.parent}: no {path.name} in it: give the folder of a run of the streaming executor "
            "(wse-sim train --mode full)"
        )
    rows = read_lines(path, dict[str, Any])
    if not rows:
        raise SpecError(f"{path}: holds no step yet")
    return [row for row in rows if row["step"] == rows[-1]["step"]]


def _run(run_dir: Path, rows: Sequence[dict[str, Any]]) -> Run:
    """The executed step, as the simulator takes it."""
    config = read_toml(run_dir / CONFIG_FILE)
    path = run_dir / TARGET_FILE
    target = convert(read_toml(path), _Target, str(path)) if path.is_file() else _Target()
    linear = [row for row in rows if (row["layer"][:5], row["pass"]) == ("block", "gradient")]
    return Run(
        shape=convert(config["shape"], ModelShape, f"{run_dir / CONFIG_FILE}: shape"),
        system=target.system_there,
        num_csx=1,
        batch_size=config["batch_size"],
        seq_len=config["seq_len"],
        tokens=float(config["n_steps"] * config["batch_size"] * config["seq_len"]),
        density=sum(row["sparse_flops"] for row in linear) / sum(row["dense_flops"] for row in linear),
        release=target.release,
    )


def _named(name: str) -> str:
    return _TOGETHER.get(name, name)


def _together(passes: Sequence[Pass]) -> list[Pass]:
    """The simulator's passes, those as one, at the place of the last, that the executor makes as one."""
    merged: dict[str, Pass] = {}
    for one in passes:
        first = merged.pop(_named(one.name), Pass(name=_named(one.name)))
        parts = dict.fromkeys((*first.parts_s, *one.parts_s))  # in an order of their own: sums of floats hang on it
        merged[first.name] = Pass(
            name=first.name,
            parts_s={part: first.parts_s.get(part, 0.0) + one.parts_s.get(part, 0.0) for part in parts},
            weight_bytes=first.weight_bytes + one.weight_bytes,
            gradient_bytes=first.gradient_bytes + one.gradient_bytes,
        )
    return list(merged.values())
