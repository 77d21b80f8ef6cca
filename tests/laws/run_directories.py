"""Run directories as the trainer leaves them, with made-up losses."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from wse_sim.laws.observation import Sample
from wse_sim.spec.model import ModelShape
from wse_sim.workload.transformer import n_parameters

CORPUS = {"source": "stdlib", "n_files": 700, "n_bytes": 12_000_000, "sha256": "ab" * 32}
WIDTHS = (32, 48, 64, 96, 128)
BATCH_SIZE, SEQ_LEN = 1, 64  # small steps: tokens per parameter come out as asked for

Loss = Callable[[Sample, int], float]


def shape_of(width: int) -> ModelShape:
    return ModelShape(
        name=f"proxy-{width}", n_layers=2, d_model=width, n_heads=1, d_ff=4 * width, vocab_size=256, seq_len=SEQ_LEN
    )


def write_run(
    run_dir: Path,
    loss: Loss,
    *,
    width: int = 64,
    density: float = 1.0,
    tpp: float = 20.0,
    seed: int = 0,
    corpus: dict[str, Any] | None = None,
    is_cut_short: bool = False,
    **changes: Any,
) -> Path:
    """One run; `changes` replace keys of its configuration."""
    shape = shape_of(width)
    n_steps = round(tpp * n_parameters(shape) / (BATCH_SIZE * SEQ_LEN))
    config = {
        "shape": {k: v for k, v in msgspec.to_builtins(shape).items() if v is not None},
        "base": {"peak_lr": 0.01, "d_base": 64},
        "density": density,
        "schedule": "linear",
        "parametrization": "smupar",
        "seed": seed,
        "n_steps": n_steps,
        "batch_size": BATCH_SIZE,
        "seq_len": SEQ_LEN,
        "weight_decay": 0.1,
        "data": "stdlib",
        **changes,
    }
    sample = Sample(shape=shape, density=density, tokens=float(n_steps * BATCH_SIZE * SEQ_LEN), seq_len=SEQ_LEN)
    rows = [{"step": 1, "loss": 5.5}, {"step": n_steps, "loss": 1.0, "val_loss": loss(sample, seed)}]
    run_dir.mkdir(parents=True)
    (run_dir / "config.toml").write_text(tomli_w.dumps(config), encoding="utf-8")
    lines = [json.dumps(row) + "\n" for row in (rows[:1] if is_cut_short else rows)]
    (run_dir / "run.jsonl").write_text("".join(lines), encoding="utf-8")
    summary = {"measured": {"corpus": CORPUS if corpus is None else corpus}}
    (run_dir / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return run_dir


def write_grid(
    out: Path,
    loss: Loss,
    *,
    widths: Sequence[int] = WIDTHS,
    densities: Sequence[float] = (1.0,),
    tpps: Sequence[float] = (20.0,),
    seeds: Sequence[int] = (0,),
    **changes: Any,
) -> list[Path]:
    """One run for each combination."""
    return [
        write_run(
            out / f"d{width}-r{density:g}-t{tpp:g}-s{seed}",
            loss,
            width=width,
            density=density,
            tpp=tpp,
            seed=seed,
            **changes,
        )
        for width in widths
        for density in densities
        for tpp in tpps
        for seed in seeds
    ]
