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
    p, n_nodes = program, program.n_nodes
    children: list[dict[object, int]] = [{} for _ in range(n_nodes)]  # of each node, the first child of each likeness
    classes = p.edge_class.tolist()
    own = _rows_as_bytes(np.concatenate([p.compute_ps, p.jitter_ps], axis=1))
    for w, parent in enumerate(p.leaf_parent.tolist()):
        children[parent].setdefault((classes[n_nodes + w], own[w]), n_nodes + w)
    for n in range(n_nodes - 1, 0, -1):
        children[p.node_parent[n]][classes[n], frozenset(children[n])] = n
    kept = _reached(children)
    if len(kept) == p.n_edges:
        return p
    nodes, leaves = kept[kept < n_nodes], kept[kept >= n_nodes] - n_nodes
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


def _rows_as_bytes(table: np.ndarray) -> list[bytes]:
    content, n_bytes = table.tobytes(), table.strides[0]
    return [content[w * n_bytes : (w + 1) * n_bytes] for w in range(len(table))]


def _reached(children: list[dict[object, int]]) -> np.ndarray:
    """Nodes and leaves, by the numbers of their edges, that are left when each node keeps only `children`."""
    reached, i = [0], 0
    while i < len(reached):
        if reached[i] < len(children):
            reached += children[reached[i]].values()
        i += 1
    return np.sort(reached)
