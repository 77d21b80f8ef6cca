"""Measurements that the simulator itself makes, with constants of our choice."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wse_sim.gpu.layout import Layout
from wse_sim.gpu.roofline import gpu_job
from wse_sim.gpu.search import known_to_run
from wse_sim.schedule.weight_streaming import plan_step
from wse_sim.simulation import step_time_s
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import load_model
from wse_sim.spec.run import Run

WAFER_TRUTH = {"csx.linear_efficiency": 0.31, "csx.attention_efficiency": 0.15, "csx.layer_latency_s": 0.003}
WAFER_RUNS = (
    ("590m", 1, 256),
    ("13b", 4, 1080),
    ("bert-large", 1, 128),
    ("bert-large", 1, 512),
    ("bert-large", 1, 4096),
    ("2.7b", 2, 528),
)
GPU_TRUTH = {
    "h100.sustained_fraction": 0.78,
    "h100.fp8_sustained_fraction": 0.75,
    "torch-compile.attention_fraction": 0.5,
}
GPU_RUNS: tuple[tuple[str, int, int, int, Any, int, Any], ...] = (
    ("llama-7b", 8, 64, 2048, "bf16", 2, "none"),
    ("llama-7b", 8, 64, 4096, "bf16", 1, "selective"),
    ("llama-2-7b", 8, 32, 16384, "bf16", 1, "full"),
    ("llama-2-7b", 16, 128, 4096, "fp8", 1, "none"),
    ("6.7b", 16, 256, 2048, "fp8", 4, "none"),
)


def wafer_file(
    path: Path,
    runs: Sequence[tuple[str, int, int]] = WAFER_RUNS,
    truth: Mapping[str, float] = WAFER_TRUTH,
    *,
    is_microbatch_known: bool = True,
) -> Path:
    """Runs on CS-3 whose constants are `truth`, with their micro-batches if they are to be known."""
    rows: list[list[Any]] = [["model", "system", "num_csx", "batch_size", "microbatch", "samples_per_s"]]
    for model, num_csx, batch_size in runs:
        shape = load_model(model).shape
        run = Run(
            shape=shape,
            system="cs3",
            num_csx=num_csx,
            batch_size=batch_size,
            seq_len=shape.seq_len,
            tokens=batch_size * shape.seq_len,
        )
        cluster = load_cluster("cs3", num_csx)
        for name, value in truth.items():
            cluster = cluster.with_constant(name, value)
        microbatch = plan_step(run, cluster).microbatch if is_microbatch_known else ""
        rows.append([model, "cs3", num_csx, batch_size, microbatch, batch_size / step_time_s(run, cluster)])
    return written(path, rows)


def gpu_file(path: Path, truth: Mapping[str, float] = GPU_TRUTH) -> Path:
    """Runs of torch.compile on H100 whose constants are `truth`."""
    names = ["model", "gpu", "num_gpus", "batch_size", "seq_len", "software", "precision", "microbatch", "recompute"]
    rows: list[list[Any]] = [[*names, "step_time_s"]]
    for model, num_gpus, batch_size, seq_len, precision, microbatch, recompute in GPU_RUNS:
        job = gpu_job(
            load_model(model).shape,
            gpu="h100",
            num_gpus=num_gpus,
            batch_size=batch_size,
            seq_len=seq_len,
            software="torch-compile",
            precision=precision,
        ).with_numbers(truth)
        found = known_to_run(job, Layout(microbatch=microbatch, recompute=recompute))
        layout = [precision, microbatch, recompute, float(found.step_s[0])]
        rows.append([model, "h100", num_gpus, batch_size, seq_len, "torch-compile", *layout])
    return written(path, rows)


def written(path: Path, rows: Sequence[Sequence[Any]]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return path
