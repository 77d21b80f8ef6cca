"""The same work over Ray, on this machine or on a cluster of them: the extra `ray` of this package.

Ray decides where a task runs; the program must be installed there, and folders that tasks write to must be shared.
"""

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

from wse_sim.errors import SpecError, installs
from wse_sim.processes.pool import AnyOutcome, AnyTask, function_named
from wse_sim.processes.ray_address import address_to_join

_LEAST_IN_FLIGHT = 64  # tasks that Ray is given before the first has ended; more than it has CPUs, so that none idles
_PER_CPU = 4


def on_ray(
    work: str, tasks: Sequence[AnyTask], outcome: type[AnyOutcome], *, cpus_per_task: int = 1
) -> Generator[AnyOutcome, None, None]:
    """One outcome for each task, in the order in which they end.

    Joins the cluster that RAY_ADDRESS names, or that `ray start` has started here; else starts Ray on this machine, for
    as long as the tasks take. Whoever stops early cancels what runs.

    Parameters
    ----------
    work :
        What does a task, as `package.module:function`.

    Raises
    ------
    SpecError
        When Ray is not installed, can be neither joined nor started, or a task is wrong.
    RuntimeError
        When a task failed otherwise.
    """
    ray = _ray()
    is_ours = not ray.is_initialized()
    if is_ours:
        _join(ray)
    do = ray.remote(num_cpus=cpus_per_task, max_retries=0)(lambda task: function_named(work)(task))
    todo, running = deque(tasks), dict[Any, AnyTask]()
    n_at_once = max(_LEAST_IN_FLIGHT, _PER_CPU * int(ray.cluster_resources().get("CPU", 1)))
    try:
        while todo or running:
            while todo and len(running) < n_at_once:
                task = todo.popleft()
                running[do.remote(task)] = task
            (ended,), _ = ray.wait(list(running), num_returns=1)
            yield _outcome(ray, ended, running.pop(ended))
    finally:
        for unfinished in running:
            ray.cancel(unfinished)
        if is_ours:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise SpecError(f"Ray is not installed here: {installs('ray')}") from None
    return ray


def _join(ray: Any) -> None:
    address = address_to_join(ray)
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except Exception as error:  # of any kind: RAY_ADDRESS is no address, a head takes too long to start
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SpecError(f"Ray can be neither joined nor started here: {why}") from None


def _outcome(ray: Any, ended: Any, task: Any) -> Any:
    try:
        return ray.get(ended)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, SpecError):
            raise SpecError(f"{task.name}: {cause}") from None
        raise RuntimeError(f"{task.name}: {error}") from None
    except ray.exceptions.RayError as error:
        raise RuntimeError(f"{task.name}: {error}") from None
