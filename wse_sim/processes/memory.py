"""Memory that this process may still take, and the refusal of what would take more."""

from collections.abc import Callable

from wse_sim.errors import SpecError
from wse_sim.processes.limits import cgroup_words

_ALWAYS_THERE = 2**28  # bytes, for which nobody asks


def free_bytes() -> int:
    """The least of what the machine has free, what its container leaves, and what the process's own limit leaves."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit, used = cgroup_words("memory.max"), cgroup_words("memory.current")
    if limit and used and limit[0] != "max":
        words = cgroup_words("memory.stat")
        files = dict(zip(words[::2], words[1::2], strict=False)).get("inactive_file", "0")  # given back when asked for
        free = min(free, int(limit[0]) - int(used[0]) + int(files))
    process = psutil.Process()
    if hasattr(process, "rlimit"):  # Linux
        address_space, _ = process.rlimit(psutil.RLIMIT_AS)
        if address_space != psutil.RLIM_INFINITY:
            free = min(free, address_space - process.memory_info().vms)
    return max(0, free)


def require_memory(n_bytes: float, what: str, fits: Callable[[int], str]) -> None:
    """Refuse `what`, which takes `n_bytes`, where they are not free: before anything of it is allocated.

    Parameters
    ----------
    what :
        With its verb: "the finish times of 10 steps take".
    fits :
        From free bytes to what would be right.

    Raises
    ------
    SpecError
        When it takes more than is free.
    """
    if n_bytes > _ALWAYS_THERE and n_bytes > (free := free_bytes()):
        raise SpecError(f"{what} {_size(n_bytes)} of memory, and {_size(free)} are free: {fits(free)}")


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.3g} GB"
