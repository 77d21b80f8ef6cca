"""The rules that every engine obeys, written before any of them.

**Time** is whole picoseconds. Every service lasts at least one, every latency at least one.

**Tasks.** Tile `j` runs over all steps, micro-batches, passes and tiles in that order. Weight tile `i`, gradient tile
`g`, feed item `f` and drain item `d` run over the tiles of those passes that have one, in the same order. A task is one
service:

=============  =====================  ===========================================================================
task           server                 may start when
=============  =====================  ===========================================================================
down e,i       edge e, downwards      the tile is at the upper end (root edge: the update it waits for is done;
                                      others: it has arrived at the node), the tile before it has left, and the
                                      lower end has a slot: tile `i - slots` is gone from there and its credit
                                      has flown back
feed k,w,f     feed k of leaf w       the item before it is brought, there is room: the tile of item `f - slots` is
                                      served, and what it brings back is drained
compute w,j    leaf w                 the tile's weights have arrived and its feeds are brought, where it has them;
                                      the tile before it is served; the lag after the pass it follows is over,
                                      where it opens its pass; gradient `g - gradient_slots` has left the leaf,
                                      where it gives one; item `d - drain_slots` is drained, where it leaves one
drain w,d      drain of leaf w        the tile is served and the item before it is drained
up e,g         edge e, upwards        the gradient is served (leaf) or summed (node), the one before it has left,
                                      and the upper end has a slot: gradient `g - up_slots` is summed there (or
                                      updated, at the sink) and its credit has flown back
reduce n,g     node n                 gradient `g` of every child has arrived, the sum before it is done, and sum
                                      `g - reduce_slots` has left the node
update g       the sink               the sum has arrived and the update before it is done
=============  =====================  ===========================================================================

A task starts at the first instant at which all of this holds. A tile leaves a node's buffer when the last child edge
has sent it, and a leaf's buffer when it has been served. *Arrived* is sent plus the edge's latency; a credit flies for
the same latency. Order within a server is always the order of the stream.

**Lanes.** The root edge and the sink are `n_lanes` servers each: weight tile `i` takes lane `i mod n_lanes`, gradient
`g` lane `g mod n_lanes`, and "the one before it" is the one before it in its lane. All other servers see one stream.

**Half duplex.** Where wires carry one tile at a time, the two heads of a free wire contend: the one that was ready
first goes, the gradient where both were ready at the same instant. Each lane of the root edge is a wire of its own. The
decision is taken after everything else that happens at the instant. It is the only decision that depends on time.

**Ties.** Events of one instant are handled in the order (kind, entity), with arbitration last: never in the order of
their insertion. All completions of one instant commute, so that no engine's result depends on how it was written.
"""

DOWN = 0
COMPUTE = 1
UP = 2
REDUCE = 3
UPDATE = 4
FEED = 5
DRAIN = 6
ARBITRATE = 15
