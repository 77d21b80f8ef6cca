"""The masks that a run ended with, as they would load the simulated cluster."""

from pathlib import Path

from training.distributed import World
from wse_sim.report.layer_masks import LayerMask, layer_masks
from wse_sim.simulation import Simulation
from wse_sim.wafer.masks import read_run_masks


def masks_left(wafer: Simulation, run_dir: Path, world: World) -> tuple[LayerMask, ...]:
    """The masks in a run's last checkpoint, block by block; none of a dense run. For all processes of the run.

    Parameters
    ----------
    wafer :
        The full-size run.

    Raises
    ------
    SpecError
        When the checkpoint cannot be read.
    """
    found: list[LayerMask] = []
    if wafer.run.density == 1.0:
        return ()

    def read() -> None:
        found.extend(layer_masks(wafer.run, wafer.cluster, wafer.plan.microbatch, read_run_masks(run_dir)))

    world.first_does(read)
    return world.from_first(tuple(found))
