"""A run directory as training leaves it: the simulated and projected parts are real, what was measured is made up."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec

from wse_sim.gpu.roofline import simulate_gpu
from wse_sim.laws.cerebras_gpt import project_loss
from wse_sim.report.trace import write_trace
from wse_sim.simulation import Simulation, simulate
from wse_sim.spec.load import load_model
from wse_sim.spec.run import Run

N_ROWS = 300


def simulation(model: str = "111m", density: float = 0.25, num_csx: int = 2) -> Simulation:
    shape = load_model(model).shape
    run = Run(
        shape=shape,
        system="cs2",
        num_csx=num_csx,
        batch_size=120 * num_csx,
        seq_len=shape.seq_len,
        tokens=2.2e9,
        density=density,
    )
    return simulate(run)


def write_run(run_dir: Path, simulated: Simulation, *, model: str = "111m", schedule: str = "cosine") -> dict[str, Any]:
    """Fill `run_dir`, and return the summary in it."""
    run_dir.mkdir(parents=True)
    run, result = simulated.run, simulated.result
    gpu = simulate_gpu(run.shape, gpu="h100", num_gpus=16, batch_size=run.batch_size, tokens=run.tokens)
    rows = _rows(result.run_time_s, gpu.run_time_s, run.density)
    projected, dense = (project_loss(run.shape, density=d, tokens=run.tokens) for d in (run.density, 1.0))
    summary = {
        "version": "0.1.0",
        "command": f"wse-sim train --model {model} --density {run.density}",
        "target": {
            "model": model,
            "n_layers": run.shape.n_layers,
            "d_model": run.shape.d_model,
            "n_heads": run.shape.n_heads,
            "params": result.params,
            "density": run.density,
            "schedule": schedule,
            "parametrization": "smup",
            "batch_size": run.batch_size,
            "seq_len": run.seq_len,
            "tokens": run.tokens,
            "n_steps": run.n_steps,
            "tokens_per_parameter": run.tokens / result.params,
            "hyper_parameters": {"peak_lr": 6e-3, "weight_decay": 0.1, "warmup_steps": 120, "adam_eps": 1e-9},
        },
        "choice": {
            "mode": "proxy",
            "reasons": ["the model itself would take 3.1 days here, the budget is 2 min", "a proxy of 128 wide fits"],
            "not_covered": ["depth beyond 4 layers", "batch size: transferred by the square-root rule"],
            "machine": {
                "cores": 2,
                "memory_bytes": 8.2e9,
                "matmul_flops_per_s": 6.1e10,
                "cpu": "Made-up CPU",
                "gpu": None,
            },
            "full_run_here_s": 268_000.0,
            "predicted_s": 95.0,
        },
        "measured": {
            "params": 912_000,
            "nonzero_params": 410_000,
            "d_model": 128,
            "n_layers": 4,
            "steps": rows[-1]["step"],
            "tokens": rows[-1]["tokens"],
            "train_loss": rows[-1]["loss"],
            "val_loss": rows[-1]["val_loss"],
            "bits_per_byte": rows[-1]["val_bits_per_byte"],
            "host_s": rows[-1]["host_s"],
            "tokens_per_s": rows[-1]["tokens"] / rows[-1]["host_s"],
            "corpus": {"name": "python standard library", "n_files": 1312, "n_bytes": 26_400_000, "sha256": "ab" * 32},
        },
        "simulated": result.as_dict(),
        "simulated_gpu": msgspec.to_builtins(gpu),
        "layer_masks": [
            {"block": block, "matrix": work.matrix, "density": work.density, "imbalance": work.imbalance}
            for block in range(4)
            for work in result.matrices
        ],
        "projected": {
            **msgspec.to_builtins(projected),
            "dense_value": dense.value,
            "dense_low": dense.low,
            "dense_high": dense.high,
        },
    }
    (run_dir / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    (run_dir / "run.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write_trace(simulated, run_dir / "trace.json")
    return summary


def write_comparison(out_dir: Path, densities: tuple[float, ...]) -> None:
    """Fill `out_dir` with one run per density, and the comparison of them."""
    rows = []
    for density in densities:
        name = f"density-{density:g}"
        summary = write_run(out_dir / name, simulation(density=density))
        rows.append({"run": name, "density": density, "schedule": "cosine", "summary": summary})
    content = {"version": "0.1.0", "command": "wse-sim train --model 111m --density 1,0.25", "rows": rows}
    (out_dir / "comparison.json").write_text(json.dumps(content), encoding="utf-8")


def _rows(wafer_s: float, gpu_s: float, density: float) -> list[dict[str, Any]]:
    """A made-up loss curve, a power law with a ripple."""
    rows: list[dict[str, Any]] = []
    for number in range(1, N_ROWS + 1):
        share = number / N_ROWS
        loss = 1.55 - 0.2 * density + 4.0 * (1 + 120 * share) ** -0.55 + 0.03 * math.sin(7.3 * number) * (1.2 - share)
        row = {
            "step": 5 * number,
            "tokens": 5 * number * 16_384,
            "loss": loss,
            "bits_per_byte": loss / math.log(2),
            "lr": 6e-3 * (1 - share),
            "grad_norm": 0.5 + loss / 5,
            "density": density,
            "host_s": 92.0 * share,
            "wafer_s": wafer_s * share,
            "gpu_s": gpu_s * share,
        }
        if number % 30 == 0:
            row |= {"val_loss": loss + 0.05, "val_bits_per_byte": (loss + 0.05) / math.log(2)}
        rows.append(row)
    return rows
