"""GPUs, jobs and layouts for tests."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from wse_sim.gpu.layout import RECOMPUTES, SHARDINGS, Job, Layouts
from wse_sim.gpu.roofline import gpu_job
from wse_sim.gpu.spec import GpuSpec, load_gpu
from wse_sim.spec.load import load_model

GPT_3 = load_model("gpt3-175b").shape
LLAMA_70B = load_model("llama-2-70b").shape


def with_number(owner: Any, field: str, factor: float) -> Any:
    """`owner` with one of its numbers `factor` times as large."""
    old = getattr(owner, field)
    return msgspec.structs.replace(
        owner, **{field: msgspec.structs.replace(old, value=factor * old.value, low=None, high=None)}
    )


def faster(gpu: str, field: str, factor: float) -> GpuSpec:
    changed: GpuSpec = with_number(load_gpu(gpu), field, factor)
    return changed


def job(model: str = "6.7b", *, gpu: str = "h100", num_gpus: int = 16, batch_size: int = 128, **given: Any) -> Job:
    return gpu_job(load_model(model).shape, gpu=gpu, num_gpus=num_gpus, batch_size=batch_size, **given)


def one_layout(**given: Any) -> Layouts:
    """A single layout; what is not given is 1, no recomputation, ZeRO-1."""
    numbers = {"dp": 1, "tp": 1, "cp": 1, "pp": 1, "interleave": 1, "microbatch": 1, **given}
    numbers["recompute"] = RECOMPUTES.index(numbers.get("recompute", "none"))
    numbers["sharding"] = SHARDINGS.index(numbers.get("sharding", "zero1"))
    return Layouts(**{name: np.array([value]) for name, value in numbers.items()})


def without_communication(of: Job) -> Job:
    """Links and network so fast that exchanges take no time, and nothing suffers from them."""
    gpu = with_number(with_number(of.gpu, "nvlink_bytes_per_s", 1e9), "network_bytes_per_s", 1e9)
    constants = with_number(with_number(of.constants, "overlap_slowdown", 0.0), "hop_latency_s", 0.0)
    return replace(of, gpu=gpu, constants=constants)
