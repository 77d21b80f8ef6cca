"""The processor under this process, and what it may use of the machine."""

import os
import platform
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_CPU_INFO = Path("/proc/cpuinfo")  # Linux


def cpu_name() -> str:
    """What the processor calls itself, where the system tells; else its architecture."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def n_usable_cpus() -> int:
    """CPUs that this process may use: its affinity, and the quota of its container, rounded down."""
    n_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_words("cpu.max")
    if len(quota) == 2 and quota[0] != "max":
        n_cpus = min(n_cpus, int(quota[0]) // int(quota[1]))
    return max(1, n_cpus)


def cgroup_words(file: str) -> list[str]:
    """The words of a file of the container's limits; none where there is no such file."""
    try:
        return (_CGROUP / file).read_text(encoding="utf-8").split()
    except OSError:
        return []
