"""Each rule on the smallest program that shows it, worked by hand; both engines give these numbers.

The chain: 2 ps down an edge, 7 ps up, 3 ps in flight, 5 ps served, 4 ps summed, 6 ps updated, on source - node - leaf.
"""

from collections.abc import Callable

import pytest

from tests.engine.programs import chain
from wse_sim.engine.des import run_des
from wse_sim.engine.reference import run_reference
from wse_sim.engine.result import Finish, step_ends_ps
from wse_sim.schedule.program import Program

Engine = Callable[[Program], Finish]


@pytest.fixture(params=[run_reference, run_des], ids=["reference", "des"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param


def test_single_tile(engine: Engine) -> None:
    """2 down, 3 flying, twice; 5 served; 7 up, 3 flying; 4 summed; 7 up, 3 flying; 6 updated."""
    finish = engine(chain())
    assert finish.down.ravel().tolist() == [2, 7]
    assert finish.compute.ravel().tolist() == [15]
    assert finish.up.ravel().tolist() == [36, 22]
    assert finish.reduce.ravel().tolist() == [29]
    assert finish.update.tolist() == [45]
    assert finish.makespan_ps == 45


def test_next_step_is_sent_when_its_update_is_done(engine: Engine) -> None:
    """Update at 45; sent 45 + 2, at the leaf 45 + 2 + 3 + 2 + 3, served 60; the pass waits for its own update."""
    program = chain(n_steps=2)
    finish = engine(program)
    assert finish.down.tolist() == [[2, 47], [7, 52]]
    assert step_ends_ps(program, finish).tolist() == [15, 60]


def test_lanes_send_side_by_side_and_share_the_buffer_in_the_order_of_the_tiles(engine: Engine) -> None:
    """Two lanes, four tiles, three slots at the node. Lane 0 sends 0 then 2, lane 1 sends 1.

    Tiles 0 and 1 are sent by 2, tile 2 by 4. Tile 3 needs the slot of tile 0, which the leaf's edge has sent by 7 and
    whose credit is back at 10: sent by 12. The leaf's edge carries one at a time: 5-7, 7-9, 9-11, and tile 3 from 15.
    """
    finish = engine(chain(n_lanes=2, n_tiles=4, node_slots=3, leaf_slots=4))
    assert finish.down.tolist() == [[2, 2, 4, 12], [7, 9, 11, 17]]


def test_sink_lanes_update_side_by_side(engine: Engine) -> None:
    """The sums of tiles 0 and 1 are done at 29 and 36; each lane takes 7 + 3 + 60, whatever the other does."""
    finish = engine(
        chain(
            n_lanes=2,
            n_tiles=2,
            update_ps=[60],
            node_slots=2,
            leaf_slots=2,
            gradient_slots=2,
            up_slots=2,
            reduce_slots=2,
        )
    )
    assert finish.reduce.tolist() == [[29, 36]]
    assert finish.up[0].tolist() == [36, 43]
    assert finish.update.tolist() == [99, 106]


def test_pass_without_weights_starts_without_them(engine: Engine) -> None:
    """Pass 0 has no weights: served 0-5. Pass 1's weights arrive at 10: served 10-15."""
    finish = engine(chain(has_weights=[0, 1]))
    assert finish.down.tolist() == [[2], [7]]
    assert finish.compute.tolist() == [[5, 15]]


def test_lag_after_the_followed_pass_is_filled_by_the_pass_between(engine: Engine) -> None:
    """No weights, three passes of one tile. Pass 2 follows pass 0 (served at 5) with a lag of 8: it starts at 13.

    Pass 1 follows none and is served 5-10 within that lag.
    """
    finish = engine(chain(has_weights=[0, 0, 0], follows=[-1, -1, 0], lag_ps=[0, 0, 8]))
    assert finish.compute.tolist() == [[5, 10, 18]]


def test_lag_holds_only_the_first_tile_of_a_pass(engine: Engine) -> None:
    """Pass 0: 5, 10. Lag 8 to 18. Pass 1: 23, 28."""
    finish = engine(chain(n_tiles=2, has_weights=[0, 0], follows=[-1, 0], lag_ps=[0, 8], gradient_slots=2))
    assert finish.compute.tolist() == [[5, 10, 23, 28]]


def test_jitter_lengthens_the_first_tile_of_each_occurrence_of_a_pass(engine: Engine) -> None:
    """One pass of two tiles, two micro-batches, no weights: 5 + 10, 5, then 5 + 20, 5."""
    jitter_ps = [[10, 20]]
    finish = engine(chain(n_tiles=2, n_microbatches=2, has_weights=[0], jitter_ps=jitter_ps, gradient_slots=4))
    assert finish.compute.tolist() == [[15, 20, 45, 50]]


def test_feed_runs_ahead_by_its_slots(engine: Engine) -> None:
    """Served without weights, fed in 2, one slot: item 1 is brought after tile 0 is served at 2 + 5."""
    feed = {"has_weights": [0], "n_tiles": 3, "feed_ps": [[2]], "feed_after": [[-1]]}
    one, two = (engine(chain(**feed, feed_slots=[n], gradient_slots=3)) for n in (1, 2))
    assert one.feed[0].tolist() == [[2, 9, 16]]
    assert one.compute.tolist() == [[7, 14, 21]]
    assert two.feed[0].tolist() == [[2, 4, 9]]  # item 2 when tile 0 is served at 7
    assert two.compute.tolist() == [[7, 12, 17]]


def test_drain_holds_the_leaf_when_its_slots_are_full(engine: Engine) -> None:
    """Served 5, drained 9, one slot: tile 1 starts when tile 0 is drained at 14."""
    finish = engine(chain(has_weights=[0], n_tiles=2, drain_ps=[9], gradient_slots=2))
    assert finish.compute.tolist() == [[5, 19]]
    assert finish.drain.tolist() == [[14, 28]]


def test_feed_brings_back_what_was_drained(engine: Engine) -> None:
    """Pass 0 is served at 5 and drained at 14; the feed brings it back in 2 for pass 1: 16, served 21."""
    finish = engine(chain(has_weights=[0, 0], drain_ps=[9, 0], feed_ps=[[0, 2]], feed_after=[[-1, 0]], feed_slots=[1]))
    assert finish.drain.tolist() == [[14]]
    assert finish.feed[0].tolist() == [[16]]
    assert finish.compute.tolist() == [[5, 21]]


def test_half_duplex_gradient_goes_first_where_both_are_ready(engine: Engine) -> None:
    """Tile 0 is served at 15 and its slot at the leaf is back at 18; tile 1 is ready there at 18.

    Its gradient was ready at 15, so the leaf's edge carries it 15-22 and tile 1 after it, 22-24.
    """
    finish = engine(chain(n_tiles=2, is_half_duplex=True))
    assert finish.up[1, 0] == 22
    assert finish.down[1].tolist() == [7, 24]


def test_every_inconsistency_is_named() -> None:
    for changes, claim in (
        ({"n_lanes": 2}, "n_lanes = 2 divides n_tiles = 1"),
        ({"leaf_slots": 0}, "leaf_slots is at least 1"),
        ({"follows": [0]}, "follows is an earlier pass"),
        ({"compute_ps": [[0]]}, "compute_ps is at least 1"),
        ({"has_gradient": [0]}, "at least one pass has a gradient"),
        ({"leaf_parent": [1]}, "leaves hang from nodes"),
        ({"node_parent": [-1, 0], "edge_class": [0, 0, 0]}, "every node has a child"),
        ({"waits_for": [3]}, "waits_for is a pass"),
        ({"compute_ps": [[5]], "lag_ps": [0, 0]}, "lag_ps has the shape"),
        ({"has_weights": [2]}, "has_weights is 0 or 1"),
        ({"lag_ps": [-1]}, "lag_ps is not negative"),
        (
            {"feed_ps": [[0, 1]], "feed_after": [[-1, 0]], "feed_slots": [1], "has_weights": [0, 0]},
            "a pass with a drain",
        ),
    ):
        with pytest.raises(ValueError, match=claim):
            chain(**changes)


def test_a_service_of_nothing_may_take_no_time() -> None:
    program = chain(has_weights=[0, 1], down_ps=[[0, 2]])
    assert run_des(program).down.tolist() == [[2], [7]]
