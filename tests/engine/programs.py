"""Random programs for the engines: small trees, few tiles, times from a small range so that ties are common."""

import numpy as np
from hypothesis import strategies as st

from wse_sim.schedule.program import Program


@st.composite
def programs(draw: st.DrawFn) -> Program:
    n_nodes = draw(st.integers(1, 4))
    n_leaves = draw(st.integers(1, 5))
    n_passes = draw(st.integers(1, 4))
    n_classes = draw(st.integers(1, 3))
    longest = draw(st.sampled_from([1, 3, 20, 10**6]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def times(*shape: int) -> np.ndarray:
        return rng.integers(1, longest + 1, shape)

    node_parent = np.array([-1] + [int(rng.integers(0, n)) for n in range(1, n_nodes)])
    # Every node needs a child: leaves go to childless nodes first.
    childless = [n for n in range(n_nodes) if n not in node_parent]
    n_leaves = max(n_leaves, len(childless))
    spread = [int(rng.integers(0, n_nodes)) for _ in range(n_leaves - len(childless))]
    has_gradient = rng.integers(0, 2, n_passes)
    has_gradient[int(rng.integers(0, n_passes))] = 1
    with_gradient = np.flatnonzero(has_gradient)
    waits_for = np.where(rng.random(n_passes) < 0.6, rng.choice(with_gradient, n_passes), -1)
    slots = st.integers(1, 4)
    return Program(
        n_steps=draw(st.integers(1, 3)),
        n_microbatches=draw(st.integers(1, 3)),
        n_tiles=draw(st.integers(1, 4)),
        node_parent=node_parent,
        leaf_parent=np.array(childless + spread),
        edge_class=rng.integers(0, n_classes, n_nodes + n_leaves),
        down_ps=times(n_classes, n_passes),
        up_ps=times(n_classes, n_passes),
        latency_ps=times(n_classes),
        compute_ps=times(n_leaves, n_passes),
        overhead_ps=times(n_passes) - 1,
        has_gradient=has_gradient,
        reduce_ps=times(n_passes),
        update_ps=times(n_passes),
        accumulate_ps=times(n_passes),
        waits_for=waits_for,
        node_slots=draw(slots),
        leaf_slots=draw(slots),
        gradient_slots=draw(slots),
        up_slots=draw(slots),
        reduce_slots=draw(slots),
        is_half_duplex=draw(st.booleans()),
    )
