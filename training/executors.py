"""The executors, by the name in a configuration."""

from training.checkpoint import Checkpoint
from training.config import TrainConfig
from training.dense import DenseExecutor
from training.distributed import World, alone
from training.executor import Executor
from wse_sim.errors import SpecError


def make_executor(config: TrainConfig, checkpoint: Checkpoint | None = None, world: World | None = None) -> Executor:
    """What carries the model of a configuration through its steps, at the beginning or where a checkpoint left it.

    Parameters
    ----------
    world :
        The processes that share the work; None = this one does all.

    Raises
    ------
    SpecError
        When the device is not there, or the processes cannot share the work.
    """
    world = world or alone(config.execution.device)
    if config.execution.executor == "streaming":
        if world.size > 1:
            raise SpecError(
                f"execution.executor is 'streaming', which works in one process, and there are {world.size}: "
                "start it without torchrun, or take 'dense'"
            )
        from training.streaming.executor import StreamingExecutor  # numba takes half a second

        return StreamingExecutor(config, checkpoint)
    return DenseExecutor(config, checkpoint, world)
