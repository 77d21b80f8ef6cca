"""One training step as entities, integer tables and credits: what the engine runs.

The words are a queueing network's: a *source* streams *tiles* down a *tree* of nodes to *leaves*; each leaf serves
every tile; some tiles give a gradient tile back, which the nodes sum on the way up to a *sink*; the sink's update of a
tile lets the source send that tile again in the next step.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The stream of tiles, the tree it runs through, and how long each service takes.

    A *pass* is one entity of work (a layer, forward or backward); it is cut into `n_tiles` equal tiles. A step is
    `n_microbatches` times the sequence of all passes. Edges are numbered by where they lead: edge `n` into node `n`
    (edge 0 from the source into the root), edge `n_nodes + w` into leaf `w`. Every edge belongs to a class (a level of
    the tree), and all times are int64 picoseconds of at least one.

    Parameters
    ----------
    node_parent : (n_nodes,)
        Parent of each node; -1 for the root, which is node 0. Parents stand before children.
    leaf_parent : (n_leaves,)
        The node that each leaf hangs from.
    edge_class : (n_edges,)
        Class of each edge, a row of `down_ps`, `up_ps` and `latency_ps`.
    down_ps, up_ps : (n_classes, n_passes)
        Time to put one tile, or one gradient tile, on an edge of the class.
    latency_ps : (n_classes,)
        Flight time over an edge of the class; a credit takes as long on its way back.
    compute_ps : (n_leaves, n_passes)
        Service of one tile at a leaf.
    overhead_ps : (n_passes,)
        Added to the first tile of a pass, at every leaf.
    has_gradient : (n_passes,) of 0 or 1
        Whether the tiles of the pass give gradient tiles back.
    reduce_ps, update_ps, accumulate_ps : (n_passes,)
        Summing one gradient tile at a node; the sink's work on it in the last micro-batch, and in the others.
    waits_for : (n_passes,)
        The gradient pass whose update, in the step before, a tile of this pass needs before it is sent; -1 for none.
    node_slots, leaf_slots :
        Tiles that fit into the buffer of a node, and of a leaf.
    gradient_slots :
        Gradient tiles that a leaf holds, from the start of their service until they are on the edge.
    up_slots :
        Gradient tiles that fit into the buffer of a node, or of the sink, per edge that leads there.
    reduce_slots :
        Sums that a node holds, from the start of summing until they are on the edge.
    is_half_duplex :
        Each edge carries one tile at a time, whichever way, first come first served by the time at which it is ready to
        go; gradients go first where both are ready at the same time. Otherwise both ways are free of each other.
    """

    n_steps: int
    n_microbatches: int
    n_tiles: int
    node_parent: IntArray
    leaf_parent: IntArray
    edge_class: IntArray
    down_ps: IntArray
    up_ps: IntArray
    latency_ps: IntArray
    compute_ps: IntArray
    overhead_ps: IntArray
    has_gradient: IntArray
    reduce_ps: IntArray
    update_ps: IntArray
    accumulate_ps: IntArray
    waits_for: IntArray
    node_slots: int
    leaf_slots: int
    gradient_slots: int
    up_slots: int
    reduce_slots: int
    is_half_duplex: bool = False

    @property
    def n_nodes(self) -> int:
        return len(self.node_parent)

    @property
    def n_leaves(self) -> int:
        return len(self.leaf_parent)

    @property
    def n_edges(self) -> int:
        return self.n_nodes + self.n_leaves

    @property
    def n_passes(self) -> int:
        return len(self.has_gradient)

    @property
    def n_gradient_passes(self) -> int:
        return int(self.has_gradient.sum())

    @property
    def tiles_per_step(self) -> int:
        """Tiles down one edge in one step."""
        return self.n_microbatches * self.n_passes * self.n_tiles

    @property
    def gradients_per_step(self) -> int:
        """Gradient tiles up one edge in one step."""
        return self.n_microbatches * self.n_gradient_passes * self.n_tiles

    @property
    def n_tasks(self) -> int:
        """Services of the whole program: transmissions both ways, tiles served, sums, updates."""
        down = self.n_steps * self.tiles_per_step * (self.n_edges + self.n_leaves)
        up = self.n_steps * self.gradients_per_step * (self.n_edges + self.n_nodes + 1)
        return down + up

    def gradient_index(self) -> IntArray:
        """(n_passes,): place of each pass among the passes with a gradient; -1 for the others."""
        return np.where(self.has_gradient == 1, np.cumsum(self.has_gradient) - 1, -1).astype(np.int64)
