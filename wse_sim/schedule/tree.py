"""The tree of SwarmX nodes between MemoryX and the systems, and the tiles that travel through it."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wse_sim.schedule.program import IntArray

TILES_PER_LAYER = 24  # or the next multiple of MemoryX's servers; with 96 the step time moves by less than 1 % (tests)
SOURCE_EDGE, TREE_EDGE, LEAF_EDGE = 0, 1, 2  # classes of edges: from MemoryX, between nodes, into a system


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Parents of nodes and leaves, and the class of every edge, as in `Program`."""

    node_parent: IntArray
    leaf_parent: IntArray
    edge_class: IntArray


def tiles_per_layer(servers: int) -> int:
    """Tiles of a layer: the least multiple of MemoryX's servers from `TILES_PER_LAYER` on."""
    return -(-TILES_PER_LAYER // servers) * servers


def tree_widths(n_leaves: int, fan_out: int) -> list[int]:
    """Nodes of each level of `swarmx_tree`, the root first; the leaves last."""
    widths = [n_leaves]
    while len(widths) == 1 or widths[0] > 1:
        widths.insert(0, -(-widths[0] // fan_out))
    return widths


def swarmx_tree(n_leaves: int, fan_out: int) -> Tree:
    """The lowest tree with all leaves at one depth in which no node has more than `fan_out` children."""
    widths = tree_widths(n_leaves, fan_out)
    node_parent = [-1]
    first = 0
    for above, below in pairwise(widths[:-1]):
        node_parent += [first + child // fan_out for child in range(below)]
        first += above
    leaf_parent = [first + leaf // fan_out for leaf in range(widths[-1])]
    edge_class = [SOURCE_EDGE] + [TREE_EDGE] * (len(node_parent) - 1) + [LEAF_EDGE] * len(leaf_parent)
    return Tree(
        node_parent=np.array(node_parent, np.int64),
        leaf_parent=np.array(leaf_parent, np.int64),
        edge_class=np.array(edge_class, np.int64),
    )
