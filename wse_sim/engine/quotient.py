"""A program with alike subtrees merged: the same times with fewer servers."""

from copy import copy

import numpy as np

from wse_sim.schedule.program import Program


def quotient(program: Program) -> Program:
    """`program` with one subtree left of all that hang from the same node and are alike in every table.

    Siblings that are alike get the same tiles at the same instants, so by induction over the stream their servers
    finish at the same instants too; and their parent waits for the latest of its children, however many are as late as
    that. So every server that is left has the times that it has in the whole program. Leaves are alike where they have
    the same class of edge, services and jitter; nodes where they have the same class and the same children but for
    their number. Half duplex changes nothing: what a wire decides depends on its own two heads only.
    """
    p = program
    children: list[dict[object, int]] = [{} for _ in range(p.n_nodes)]  # of each node, the first child of each likeness
    classes = p.edge_class.tolist()
    for w, parent in enumerate(p.leaf_parent.tolist()):
        likeness = (classes[p.n_nodes + w], p.compute_ps[w].tobytes(), p.jitter_ps[w].tobytes())
        children[parent].setdefault(likeness, p.n_nodes + w)
    for n in range(p.n_nodes - 1, 0, -1):
        children[p.node_parent[n]][classes[n], frozenset(children[n])] = n
    kept = _reached(children)
    if len(kept) == p.n_edges:
        return p
    nodes, leaves = kept[kept < p.n_nodes], kept[kept >= p.n_nodes] - p.n_nodes
    node_parent = np.searchsorted(nodes, p.node_parent[nodes])
    node_parent[0] = -1
    merged = copy(p)  # dataclasses.replace would check the tables again, which takes longer than many a run
    changes = {
        "node_parent": node_parent,
        "leaf_parent": np.searchsorted(nodes, p.leaf_parent[leaves]),
        "edge_class": p.edge_class[kept],
        "compute_ps": p.compute_ps[leaves],
        "jitter_ps": p.jitter_ps[leaves],
    }
    for name, table in changes.items():
        object.__setattr__(merged, name, table)
    return merged


def _reached(children: list[dict[object, int]]) -> np.ndarray:
    """Nodes and leaves, by the numbers of their edges, that are left when each node keeps only `children`."""
    reached, i = [0], 0
    while i < len(reached):
        if reached[i] < len(children):
            reached += children[reached[i]].values()
        i += 1
    return np.sort(reached)
