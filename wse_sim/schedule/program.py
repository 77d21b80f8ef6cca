"""One training step as entities, integer tables and credits: what the engine runs.

The words are a queueing network's: a *source* streams *tiles* down a *tree* of nodes to *leaves*; each leaf serves
every tile; *feeds* bring a leaf what some tiles need beside their weights, a *drain* takes away what some tiles leave;
some tiles give a gradient tile back, which the nodes sum on the way up to a *sink*; the sink's update of a tile lets
the source send that tile again in the next step.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The stream of tiles, the tree it runs through, and how long each service takes.

    A *pass* is one entity of work (a layer, forward or backward); it is cut into `n_tiles` equal tiles. A step is
    `n_microbatches` times the sequence of all passes. Source and sink are the same `n_lanes` servers, over which the
    tiles are dealt like cards. Edges are numbered by where they lead: edge `n` into node `n` (edge 0 from the source
    into the root, with one wire per lane), edge `n_nodes + w` into leaf `w`. Every edge belongs to a class (a level of
    the tree), and all times are int64 picoseconds of at least one, but for 0 where nothing is done.

    Parameters
    ----------
    n_lanes :
        Servers of the source and of the sink; divides `n_tiles`, so that a tile's weights have one home.
    node_parent : (n_nodes,)
        Parent of each node; -1 for the root, which is node 0. Parents stand before children.
    leaf_parent : (n_leaves,)
        The node that each leaf hangs from.
    edge_class : (n_edges,)
        Class of each edge, a row of `down_ps`, `up_ps` and `latency_ps`.
    has_weights, has_gradient : (n_passes,) of 0 or 1
        Whether the tiles of the pass come down the tree; whether they give gradient tiles back.
    down_ps, up_ps : (n_classes, n_passes)
        Time to put one tile, or one gradient tile, on an edge of the class (on one of its wires, for edge 0).
    latency_ps : (n_classes,)
        Flight time over an edge of the class; a credit takes as long on its way back.
    compute_ps : (n_leaves, n_passes)
        Service of one tile at a leaf.
    jitter_ps : (n_leaves, n_steps * n_microbatches * n_passes) or (n_leaves, 0)
        What the first tile of each pass takes beyond that, drawn beforehand; no columns = none.
    follows, lag_ps : (n_passes,)
        The first tile of a pass is served no earlier than `lag_ps` after the last tile of the earlier pass `follows`
        of the same micro-batch; -1 = it follows none.
    feed_ps : (n_feeds, n_passes)
        Time in which a leaf's feed brings what one tile of the pass needs; 0 = nothing.
    feed_slots : (n_feeds,)
        Tiles that each feed may be ahead of the leaf.
    feed_after : (n_feeds, n_passes)
        The earlier pass whose drained tile, of the same place and micro-batch, the feed brings back; -1 = another
        thing.
    drain_ps : (n_passes,)
        Time in which a leaf's drain takes away what one tile of the pass leaves; 0 = nothing.
    drain_slots :
        Tiles whose leavings a leaf holds, from the start of their service until they are drained.
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
        Each wire carries one tile at a time, whichever way, first come first served by the time at which it is ready to
        go; gradients go first where both are ready at the same time. Otherwise both ways are free of each other.

    Raises
    ------
    ValueError
        When these do not fit together. A program that does can always run to its end: a task only waits for tasks on
        earlier tiles, or nearer to the source on the same one.
    """

    n_steps: int
    n_microbatches: int
    n_tiles: int
    n_lanes: int
    node_parent: IntArray
    leaf_parent: IntArray
    edge_class: IntArray
    has_weights: IntArray
    has_gradient: IntArray
    down_ps: IntArray
    up_ps: IntArray
    latency_ps: IntArray
    compute_ps: IntArray
    jitter_ps: IntArray
    follows: IntArray
    lag_ps: IntArray
    feed_ps: IntArray
    feed_slots: IntArray
    feed_after: IntArray
    drain_ps: IntArray
    drain_slots: int
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

    def __post_init__(self) -> None:
        _check_sizes(self)
        _check_shapes(self)
        _check_tree(self)
        _check_times(self)
        _check_order(self)

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
    def upper(self) -> IntArray:
        """(n_edges,): the node at the upper end of each edge; -1 for edge 0, which hangs from the source."""
        return np.concatenate([self.node_parent, self.leaf_parent])

    @property
    def n_passes(self) -> int:
        return len(self.has_gradient)

    @property
    def n_feeds(self) -> int:
        return len(self.feed_slots)

    def per_step(self, chosen: IntArray) -> int:
        """Tiles of one step that belong to the passes for which `chosen`, (n_passes,), is not 0."""
        return self.n_microbatches * int(np.count_nonzero(chosen)) * self.n_tiles

    @property
    def tiles_per_step(self) -> int:
        """Tiles that a leaf serves in one step."""
        return self.n_microbatches * self.n_passes * self.n_tiles

    @property
    def weights_per_step(self) -> int:
        """Tiles down one edge in one step."""
        return self.per_step(self.has_weights)

    @property
    def gradients_per_step(self) -> int:
        """Gradient tiles up one edge in one step."""
        return self.per_step(self.has_gradient)

    @property
    def n_tasks(self) -> int:
        """Services of the whole program: transmissions both ways, tiles served, fed and drained, sums, updates."""
        down = self.weights_per_step * self.n_edges
        at_leaf = self.tiles_per_step + sum(self.per_step(row) for row in self.feed_ps) + self.per_step(self.drain_ps)
        up = self.gradients_per_step * (self.n_edges + self.n_nodes + 1)
        return self.n_steps * (down + self.n_leaves * at_leaf + up)


def places(chosen: IntArray) -> IntArray:
    """(n_passes,): place of each pass among the passes for which `chosen` is not 0; -1 for the others."""
    is_chosen = chosen != 0
    return np.where(is_chosen, np.cumsum(is_chosen) - 1, -1).astype(np.int64)


def _require(is_so: object, claim: str) -> None:
    if not is_so:
        raise ValueError(f"inconsistent program: {claim}")


def _check_sizes(p: Program) -> None:
    for name in ("n_steps", "n_microbatches", "n_tiles", "n_lanes"):
        _require(getattr(p, name) >= 1, f"{name} is at least 1")
    for name in ("drain_slots", "node_slots", "leaf_slots", "gradient_slots", "up_slots", "reduce_slots"):
        _require(getattr(p, name) >= 1, f"{name} is at least 1")
    _require(np.all(p.feed_slots >= 1), "feed_slots are at least 1")
    _require(p.n_tiles % p.n_lanes == 0, f"n_lanes = {p.n_lanes} divides n_tiles = {p.n_tiles}")


def _check_shapes(p: Program) -> None:
    n_classes = len(p.latency_ps)
    of_pass = ("has_weights", "has_gradient", "follows", "lag_ps", "drain_ps", "reduce_ps", "update_ps")
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys((*of_pass, "accumulate_ps", "waits_for"), (p.n_passes,))
    shapes |= dict.fromkeys(("down_ps", "up_ps"), (n_classes, p.n_passes))
    shapes |= dict.fromkeys(("feed_ps", "feed_after"), (p.n_feeds, p.n_passes))
    shapes |= {"edge_class": (p.n_edges,), "compute_ps": (p.n_leaves, p.n_passes)}
    n_drawn = p.n_steps * p.n_microbatches * p.n_passes if p.jitter_ps.size else 0
    shapes["jitter_ps"] = (p.n_leaves, n_drawn)
    for name, shape in shapes.items():
        found = getattr(p, name).shape
        _require(found == shape, f"{name} has the shape {shape}, not {found}")


def _check_tree(p: Program) -> None:
    _require(p.node_parent[0] == -1, "node 0 is the root")
    nodes = np.arange(p.n_nodes)
    _require(np.all((p.node_parent[1:] >= 0) & (p.node_parent[1:] < nodes[1:])), "parents stand before children")
    _require(np.all((p.leaf_parent >= 0) & (p.leaf_parent < p.n_nodes)), "leaves hang from nodes")
    _require(np.isin(nodes, p.upper).all(), "every node has a child")
    _require(np.all((p.edge_class >= 0) & (p.edge_class < len(p.latency_ps))), "every edge has a class")


def _check_times(p: Program) -> None:
    for name in ("has_weights", "has_gradient"):
        _require(np.isin(getattr(p, name), (0, 1)).all(), f"{name} is 0 or 1")
    gives = p.has_gradient == 1
    _require(gives.any(), "at least one pass has a gradient")
    services = {"down_ps": p.down_ps[:, p.has_weights == 1], "latency_ps": p.latency_ps, "compute_ps": p.compute_ps}
    services |= {"up_ps": p.up_ps[:, gives], "reduce_ps": p.reduce_ps[gives]}
    services |= {"update_ps": p.update_ps[gives], "accumulate_ps": p.accumulate_ps[gives]}
    for name, times_ps in services.items():
        _require(np.all(times_ps >= 1), f"{name} is at least 1 where something is done")
    for name in ("jitter_ps", "lag_ps", "feed_ps", "drain_ps"):
        _require(np.all(getattr(p, name) >= 0), f"{name} is not negative")


def _check_order(p: Program) -> None:
    passes = np.arange(p.n_passes)
    for name in ("follows", "feed_after"):
        earlier = getattr(p, name)
        _require(np.all((earlier >= -1) & (earlier < passes)), f"{name} is an earlier pass, or -1")
    _require(np.all(p.drain_ps[p.feed_after[p.feed_after >= 0]] > 0), "feed_after is a pass with a drain")
    waited = p.waits_for[p.waits_for != -1]
    _require(np.all((waited >= 0) & (waited < p.n_passes)), "waits_for is a pass, or -1")
    _require(np.all(p.has_gradient[waited] == 1), "waits_for is a pass with a gradient")
