"""Where a micro-batch's activations live: on the wafer, or on the system's activation servers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wse_sim.errors import SpecError
from wse_sim.spec.cluster import Csx
from wse_sim.spec.model import ModelShape
from wse_sim.workload.transformer import linear_matrices


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The activations of one micro-batch on one system.

    Parameters
    ----------
    working_bytes :
        SRAM that one layer in training takes, its weight buffer included.
    block_bytes :
        What one block keeps for its backward pass.
    resident_layers :
        Blocks that keep it in SRAM, the last ones; the others send it to the activation servers and fetch it back.
    offloaded_bytes :
        What the activation servers hold.
    """

    working_bytes: float
    block_bytes: float
    resident_layers: int
    offloaded_bytes: float


def place(shape: ModelShape, csx: Csx, *, seq_len: int, microbatch: int) -> Placement:
    """Where the activations of `microbatch` sequences live.

    One layer's working set must fit into the wafer's SRAM beside its weight buffer. What is left keeps the activations
    of as many blocks as fit, the last ones first, since they are needed again first.

    Raises
    ------
    SpecError
        When the working set does not fit into SRAM, or the rest not into the activation servers; the message names the
        largest micro-batch that does.
    """
    activations = microbatch * seq_len * shape.d_model
    working = csx.working_bytes_per_activation * activations + _weight_buffer_bytes(shape, csx)
    block = csx.saved_bytes_per_activation * activations
    resident = int(resident_layers(shape, csx, seq_len=seq_len, microbatch=microbatch))
    offloaded = (shape.n_layers - resident) * block
    for needed, has, what in (
        (working, csx.sram_bytes, "of on-wafer memory for one layer"),
        (offloaded, csx.activation_server_bytes, "on its activation servers"),
    ):
        if needed > has:
            raise SpecError(
                f"microbatch {microbatch} x {seq_len} tokens of {shape.name} needs {needed / 1e9:.1f} GB {what}, "
                f"{csx.name} has {has / 1e9:.0f} GB: {_what_fits(shape, csx, seq_len)}"
            )
    return Placement(working_bytes=working, block_bytes=block, resident_layers=resident, offloaded_bytes=offloaded)


def resident_layers(
    shape: ModelShape, csx: Csx, *, seq_len: int, microbatch: int | npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Blocks whose activations fit beside the working set, for one micro-batch size or a column of them."""
    activations = microbatch * float(seq_len * shape.d_model)
    working = csx.working_bytes_per_activation * activations + _weight_buffer_bytes(shape, csx)
    return np.clip((csx.sram_bytes - working) // (csx.saved_bytes_per_activation * activations), 0.0, shape.n_layers)


def largest_microbatch(shape: ModelShape, csx: Csx, *, seq_len: int) -> int:
    """The most sequences that fit; 0 when not even one does."""
    return max(0, min(microbatch_limits(shape, csx, seq_len=seq_len)))


def microbatch_limits(shape: ModelShape, csx: Csx, *, seq_len: int) -> tuple[int, int]:
    """The most sequences for which the wafer's memory, and that of the activation servers, is enough."""
    per_sequence = seq_len * shape.d_model
    free = csx.sram_bytes - _weight_buffer_bytes(shape, csx)
    on_wafer = int(free // (csx.working_bytes_per_activation * per_sequence))
    # The servers take what SRAM beside the working set does not: blocks * saved - (free - working) <= server bytes.
    everywhere = shape.n_layers * csx.saved_bytes_per_activation + csx.working_bytes_per_activation
    in_all = int((csx.activation_server_bytes + free) // (everywhere * per_sequence))
    return on_wafer, in_all


def _what_fits(shape: ModelShape, csx: Csx, seq_len: int) -> str:
    largest = largest_microbatch(shape, csx, seq_len=seq_len)
    return f"at most {largest} sequences fit" if largest else "not even one sequence fits, use a shorter one"


def _weight_buffer_bytes(shape: ModelShape, csx: Csx) -> float:
    layer_weights = sum(matrix.n_weights for matrix in linear_matrices(shape))
    return csx.weight_buffer_layers * csx.dense_weight_bytes * layer_weights
