"""The same work over Ray, on this machine or on a cluster of them: the extra `ray` of this package.

Ray decides where a task runs; the program must be installed there, and folders that tasks write to must be shared.
"""

import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from wse_sim.errors import LostError, SpecError, installs
from wse_sim.processes.attempts import AnyTask, Attempt
from wse_sim.processes.pool import AnyOutcome, function_named
from wse_sim.processes.ray_address import address_to_join

_LEAST_IN_FLIGHT = 64  # tasks that Ray is given before the first has ended; more than it has CPUs, so that none idles
_PER_CPU = 4
_UNTIL_RAY_NOTICES_S = 1.0  # between two tries while it may still hand tasks to a machine that is gone


def on_ray(
    work: str, tasks: Sequence[AnyTask], outcome: type[AnyOutcome], *, cpus_per_task: int = 1
) -> Generator[AnyOutcome, None, None]:
    """One outcome for each task, in the order in which they end; tasks are taken as they are begun.

    Joins the cluster that RAY_ADDRESS names, or that `ray start` has started here; else starts Ray on this machine, for
    as long as the tasks take. A task whose process or machine is lost is done again, as by `on_processes`; how often,
    and in which parts, is not left to Ray, which would do a whole task over. Whoever stops early cancels what runs.

    Parameters
    ----------
    work :
        What does a task, as `package.module:function`.

    Raises
    ------
    SpecError
        When Ray is not installed, can be neither joined nor started, or a task is wrong; LostError when every process
        that took it up was lost, or the Ray of this machine.
    RuntimeError
        When a task failed otherwise.
    """
    ray = _ray()
    is_ours = not ray.is_initialized()
    if is_ours:
        _join(ray)
    new, again, running = map(Attempt, tasks), deque[Attempt[AnyTask]](), dict[Any, Attempt[AnyTask]]()
    try:
        do = ray.remote(num_cpus=cpus_per_task, max_retries=0)(lambda task: function_named(work)(task))
        n_at_once = max(_LEAST_IN_FLIGHT, _PER_CPU * int(ray.cluster_resources().get("CPU", 1)))
        while True:
            while len(running) < n_at_once and (attempt := again.popleft() if again else next(new, None)) is not None:
                running[do.remote(attempt.task)] = attempt
            if not running:
                return
            yield from _outcomes(ray, running, again)
    finally:
        for unfinished in running:
            ray.cancel(unfinished)
        if running:  # what saves its work when it is interrupted takes a moment to
            ray.wait(list(running), num_returns=len(running))
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


def _outcomes(
    ray: Any, running: dict[Any, Attempt[AnyTask]], again: deque[Attempt[AnyTask]]
) -> Generator[Any, None, None]:
    """Those of tasks that have ended, once there is one; what is to be done again is added to `again`."""
    is_machine_lost = False
    for ended in _ended(ray, running):
        attempt = running.pop(ended)
        try:
            outcome = _outcome(ray, ended, attempt.task)
        except ray.exceptions.LocalRayletDiedError:
            raise LostError("Ray on this machine has ended: start it again, and go on with the same command") from None
        except ray.exceptions.NodeDiedError as error:
            again.append(attempt.after_a_machine_was_lost(_how(error)))
            is_machine_lost = True
        except _process_lost(ray) as error:
            again.extend(attempt.after_a_loss(_how(error)))
        else:
            yield outcome
    if is_machine_lost:
        time.sleep(_UNTIL_RAY_NOTICES_S)


def _outcome(ray: Any, ended: Any, task: Any) -> Any:
    try:
        return ray.get(ended)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, SpecError):
            raise SpecError(f"{task.name}: {cause}") from None
        raise RuntimeError(f"{task.name}: {error}") from None
    except (ray.exceptions.NodeDiedError, ray.exceptions.LocalRayletDiedError, *_process_lost(ray)):
        raise
    except ray.exceptions.RayError as error:
        raise RuntimeError(f"{task.name}: {error}") from None


def _ended(ray: Any, running: Mapping[Any, object]) -> list[Any]:
    """Tasks that have ended, once there is one."""
    ray.wait(list(running), num_returns=1)
    ended: list[Any] = ray.wait(list(running), num_returns=len(running), timeout=0)[0]
    return ended


def _process_lost(ray: Any) -> tuple[type[Exception], ...]:
    """What Ray raises when a process is gone, or what was kept of it."""
    return ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.ObjectLostError


def _how(error: Exception) -> str:
    return f"was lost ({type(error).__name__} of Ray)"
