"""What this process may use of the machine."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


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
