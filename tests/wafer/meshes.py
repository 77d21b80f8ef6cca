"""Meshes that the wafer's tests share."""

from dataclasses import replace

from wse_sim.wafer.mesh import Mesh

CS2 = Mesh(
    width=757,
    height=996,
    lanes=4,
    efficiency=0.2724,
    window_rows=256,
    row_issue_cycles=10.0,
    sums_per_cycle=2.0,
)
CS3 = replace(CS2, width=762, height=1172, lanes=8)
MANY_TOKENS = 200 * CS2.height  # what the documented micro-batches of GPT-3 6.7B to 13B lay on a core


def tiny(width: int, **changes: float) -> Mesh:
    """One row of cores of four lanes at half their peak; handing on a row costs one cycle beyond its partial sums."""
    mesh = Mesh(
        width=width,
        height=1,
        lanes=4,
        efficiency=0.5,
        window_rows=2,
        row_issue_cycles=1.0,
        sums_per_cycle=4.0,
    )
    return replace(mesh, **changes)
