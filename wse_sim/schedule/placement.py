"""Where a micro-batch's activations live: on the wafer, rebuilt in the backward pass, or on activation servers."""

from dataclasses import dataclass

from wse_sim.errors import SpecError
from wse_sim.spec.cluster import Csx
from wse_sim.spec.model import ModelShape
from wse_sim.workload.transformer import linear_matrices

_BYTES_PER_VALUE = 2  # 16-bit activations


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The activations of one micro-batch on one system.

    Parameters
    ----------
    working_bytes :
        SRAM that one layer in training takes, its weight buffer included.
    resident_layers :
        Blocks whose activations stay in SRAM from the forward to the backward pass; the others are recomputed there.
    offloaded_bytes :
        Layer inputs that go to the activation servers and come back.
    """

    working_bytes: float
    resident_layers: int
    offloaded_bytes: float


def place(shape: ModelShape, csx: Csx, *, seq_len: int, microbatch: int) -> Placement:
    """Where the activations of `microbatch` sequences live.

    One layer's working set must fit into the wafer's SRAM beside its weight buffer. What is left keeps the activations
    of as many blocks as fit; every other block keeps only its input and recomputes the rest in the backward pass.

    Raises
    ------
    SpecError
        When the working set does not fit; the message names the largest micro-batch that does.
    """
    activations = microbatch * seq_len * shape.d_model
    working = csx.working_bytes_per_activation * activations + _weight_buffer_bytes(shape, csx)
    if working > csx.sram_bytes:
        largest = largest_microbatch(shape, csx, seq_len=seq_len)
        raise SpecError(
            f"microbatch {microbatch} x {seq_len} tokens of {shape.name} needs {working / 1e9:.1f} GB of on-wafer "
            f"memory for one layer, {csx.name} has {csx.sram_bytes / 1e9:.0f} GB: "
            + (f"at most {largest} sequences fit" if largest else "not even one sequence fits, use a shorter one")
        )
    free = csx.sram_bytes - working
    resident = min(shape.n_layers, int(free // (csx.saved_bytes_per_activation * activations)))
    free -= resident * csx.saved_bytes_per_activation * activations
    inputs = (shape.n_layers - resident) * activations * _BYTES_PER_VALUE
    return Placement(working_bytes=working, resident_layers=resident, offloaded_bytes=max(0.0, inputs - free))


def largest_microbatch(shape: ModelShape, csx: Csx, *, seq_len: int) -> int:
    """The most sequences whose working set fits into the wafer's SRAM; 0 when not even one does."""
    free = csx.sram_bytes - _weight_buffer_bytes(shape, csx)
    return max(0, int(free // (csx.working_bytes_per_activation * seq_len * shape.d_model)))


def _weight_buffer_bytes(shape: ModelShape, csx: Csx) -> float:
    layer_weights = sum(matrix.n_weights for matrix in linear_matrices(shape))
    return csx.weight_buffer_layers * csx.dense_weight_bytes * layer_weights
