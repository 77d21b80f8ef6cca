"""The masks of a trained run, layer by layer: how dense they are, and how unevenly they load the wafer's cores."""

import msgspec

from wse_sim.schedule.rates import Rates
from wse_sim.spec.cluster import Cluster
from wse_sim.spec.run import Run
from wse_sim.wafer.masks import RunMasks
from wse_sim.workload.transformer import linear_matrices


class LayerMask(msgspec.Struct, frozen=True, kw_only=True):
    """The mask of one linear layer of the model that trained here.

    Parameters
    ----------
    block :
        Of the model that trained, from 0.
    matrix :
        As the simulator calls it, of the full-size model.
    density :
        Measured: non-zeros over weights.
    imbalance :
        Simulated: of the full-size layer under this mask, or under one as uneven, in the forward pass.
    """

    block: int
    matrix: str
    density: float
    imbalance: float


def layer_masks(run: Run, cluster: Cluster, microbatch: int, masks: RunMasks) -> tuple[LayerMask, ...]:
    """Every mask of a trained run, block by block.

    Parameters
    ----------
    run, cluster, microbatch :
        The full-size run that they are laid onto.
    """
    n_tokens = microbatch * run.seq_len
    mesh = Rates(run, cluster.csx, n_tokens).mesh
    return tuple(
        LayerMask(
            block=block,
            matrix=matrix.name,
            density=masks.density_of(matrix.name, block),
            imbalance=masks.work(matrix, block, mesh, n_tokens, seed=run.seed).imbalance,
        )
        for block in range(len(masks.blocks))
        for matrix in linear_matrices(run.shape)
    )
