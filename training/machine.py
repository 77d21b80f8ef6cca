"""What the machine at hand can do: counted, and measured in about two seconds."""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice, repeat
from pathlib import Path

import msgspec
import psutil
import torch

from training.dtypes import DTYPES
from training.execution import Device, Precision
from training.speed import training_step
from training.turns import Clock, Work, turns_s
from wse_sim.errors import SpecError
from wse_sim.files import make_folder, user_cache, write_atomically
from wse_sim.processes.limits import cgroup_words, cpu_name, n_usable_cpus
from wse_sim.spec.model import ModelShape

MEASURED_WIDTHS = (64, 96, 128, 256)
MEASURED_LAYERS = 2
D_HEAD = 32
BATCH_SIZE = 8
SEQ_LEN = 128
_VOCAB_SIZE = 256
_DENSITY = 0.5  # not dense: masks are part of a step's cost
_N_TIMES = 16
_LONGEST_S = 1.0
_MATMUL_SIZE: Mapping[Device, int] = {"cpu": 1024, "cuda": 8192}
_log = logging.getLogger(__name__)
_WORTH_BF16 = 1.3  # times the rate of float32, below which 8 bits of a product are not given up


class StepRate(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of one training step over its tokens, on the profile's threads; `MEASURED_LAYERS` layers."""

    d_model: int
    s_per_token: float


class MachineProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The machine.

    Parameters
    ----------
    n_cpus :
        That this process may use: affinity and container limits are respected.
    memory_bytes :
        Likewise.
    gpu :
        Name of the first CUDA device, None without one.
    matmul_flops_per_s, matmul_bf16_flops_per_s :
        Dense products in float32 and in bfloat16, on all CPUs.
    step_rates :
        Measured training steps, by width.
    measured_at :
        UTC, ISO 8601.
    """

    cpu: str
    n_cpus: int
    memory_bytes: int
    gpu: str | None
    matmul_flops_per_s: float
    matmul_bf16_flops_per_s: float
    step_rates: tuple[StepRate, ...]
    torch_version: str
    measured_at: str


def machine_profile(*, cache: Path | None = None, refresh: bool = False) -> MachineProfile:
    """The profile of this machine, measured once and then read from a cache, so that it makes the same choices.

    Parameters
    ----------
    cache :
        File to keep it in; by default in the user's cache folder. Where it cannot be written, nothing is kept.
    refresh :
        Measure again.
    """
    path = cache or default_cache()
    kept = None if refresh else _cached(path)
    if kept is not None and _is_of_this_machine(kept):
        _log.info("this machine, as measured %s: read from %s", kept.measured_at, path)
        return kept
    profile = _measured()
    with suppress(SpecError):  # the next one measures again
        make_folder(path.parent)
        write_atomically(path, msgspec.json.format(msgspec.json.encode(profile), indent=2))
    return profile


def default_cache() -> Path:
    """Where the profile is kept."""
    return user_cache() / "machine.json"


def usable_memory_bytes() -> int:
    """Memory of the machine, or of the container where that is less."""
    total = int(psutil.virtual_memory().total)
    limit = cgroup_words("memory.max")
    return min(total, int(limit[0])) if limit and limit[0] != "max" else total


def matmul_flops_per_s(precision: Precision, device: Device = "cpu") -> float:
    """The best rate of a few products of matrices large enough that a device is at its best."""
    size = _MATMUL_SIZE[device]
    a = torch.rand(size, size, generator=torch.Generator().manual_seed(0)).to(device, DTYPES[precision])
    return 2.0 * size**3 / _best_s(lambda: a @ a, time.perf_counter)


def suited_precision(*, fp32_flops_per_s: float, bf16_flops_per_s: float) -> Precision:
    """What the products of a large model are made in on a machine of these rates."""
    is_worth_it = bf16_flops_per_s >= _WORTH_BF16 * fp32_flops_per_s
    return "bf16" if is_worth_it or torch.cuda.is_available() else "fp32"


def _measured() -> MachineProfile:
    n_cpus = n_usable_cpus()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(n_cpus)
        fp32_flops_per_s, bf16_flops_per_s = matmul_flops_per_s("fp32"), matmul_flops_per_s("bf16")
        torch.set_num_threads(1)
        rates = tuple(StepRate(d_model=width, s_per_token=_s_per_token(width)) for width in MEASURED_WIDTHS)
    finally:
        torch.set_num_threads(before)
    return MachineProfile(
        cpu=cpu_name(),
        n_cpus=n_cpus,
        memory_bytes=usable_memory_bytes(),
        gpu=torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        matmul_flops_per_s=fp32_flops_per_s,
        matmul_bf16_flops_per_s=bf16_flops_per_s,
        step_rates=rates,
        torch_version=str(torch.__version__),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _s_per_token(d_model: int) -> float:
    shape = ModelShape(
        name="probe",
        n_layers=MEASURED_LAYERS,
        d_model=d_model,
        n_heads=d_model // D_HEAD,
        d_ff=4 * d_model,
        vocab_size=_VOCAB_SIZE,
        seq_len=SEQ_LEN,
    )
    bytes_BT = torch.randint(0, _VOCAB_SIZE, (BATCH_SIZE, SEQ_LEN), generator=torch.Generator().manual_seed(0))
    step = training_step(shape, _DENSITY, repeat((bytes_BT, bytes_BT)))
    # Processor time of the one thread hardly depends on what else runs, so that neighbours do not make the choice.
    return _best_s(step, time.process_time) / bytes_BT.numel()


def _best_s(work: Work, clock: Clock) -> float:
    """The shortest of several runs, in seconds of `clock`."""
    turns = turns_s([work], clock)
    next(turns)
    times_s: list[float] = []
    end_s = time.perf_counter() + _LONGEST_S
    for (seconds,) in islice(turns, _N_TIMES):
        times_s.append(seconds)
        if time.perf_counter() >= end_s:
            break
    return min(times_s)


def _cached(path: Path) -> MachineProfile | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=MachineProfile)
    except (OSError, msgspec.DecodeError):
        return None


def _is_of_this_machine(profile: MachineProfile) -> bool:
    here = (cpu_name(), n_usable_cpus(), torch.__version__)
    return here == (profile.cpu, profile.n_cpus, profile.torch_version)
