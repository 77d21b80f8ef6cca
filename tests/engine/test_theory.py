"""Queueing theory through the engines: drawn times make a Program into queues whose laws are known exactly.

Every customer is a pass of its own with one tile, so that each has its own drawn times at every station. The root edge
is the source: it is never idle, so that its service times are the gaps between arrivals. The edge into the leaf and the
leaf are the stations behind it, with buffers that hold all customers or only a few. Latencies, and the station that is
not wanted, take 1 ps where a mean service takes 10^6.

Simulated means are held against theory within a confidence interval from 30 batches: a fixed seed passes or fails for
good, and a right engine fails for one seed in a hundred.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from tests.campaigns import RecordFigures
from wse_sim.engine.des import run_des
from wse_sim.engine.max_plus import run_max_plus
from wse_sim.engine.result import Finish
from wse_sim.schedule.program import IntArray, Program

Engine = Callable[[Program], Finish]
engines = pytest.mark.parametrize("run", [run_des, run_max_plus])

SERVICE_PS = 10**6
N_CUSTOMERS = 300_000
N_BATCHES = 30
T_99 = 2.756  # Student's t with 29 degrees of freedom, two-sided


def exponential(mean_ps: float, stream: int, n: int = N_CUSTOMERS) -> IntArray:
    # Raw bits: numpy keeps the bits of Philox fixed across versions, its distributions not.
    uniform = (np.random.Philox(key=stream).random_raw(n) >> np.uint64(12)) * 2.0**-52
    return 1 + (-mean_ps * np.log1p(-uniform)).astype(np.int64)


def constant(service_ps: int, n: int = N_CUSTOMERS) -> IntArray:
    return np.full(n, service_ps)


def stations(
    gap_ps: IntArray,
    edge_ps: IntArray,
    *leaves_ps: IntArray,
    node_slots: int | None = None,
    leaf_slots: int | None = None,
) -> Program:
    """Root edge, edges to the leaves, leaves; buffers hold everybody unless told otherwise."""
    n, n_leaves = len(gap_ps), len(leaves_ps)
    one, none = np.ones(n, np.int64), np.full(n, -1)
    last = (np.arange(n) == n - 1).astype(np.int64)  # a program must have a gradient
    return Program(
        n_steps=1,
        n_microbatches=1,
        n_tiles=1,
        n_lanes=1,
        node_parent=np.array([-1]),
        leaf_parent=np.zeros(n_leaves, np.int64),
        edge_class=np.array([0] + [1] * n_leaves),
        has_weights=one,
        has_gradient=last,
        down_ps=np.stack([gap_ps, edge_ps]),
        up_ps=np.ones((2, n), np.int64),
        latency_ps=np.ones(2, np.int64),
        compute_ps=np.stack(leaves_ps),
        jitter_ps=np.zeros((n_leaves, 0), np.int64),
        follows=none,
        lag_ps=0 * one,
        feed_ps=np.zeros((0, n), np.int64),
        feed_slots=np.zeros(0, np.int64),
        feed_after=np.zeros((0, n), np.int64),
        drain_ps=0 * one,
        drain_slots=1,
        reduce_ps=one,
        update_ps=one,
        accumulate_ps=one,
        waits_for=none,
        node_slots=node_slots or n,
        leaf_slots=leaf_slots or n,
        gradient_slots=1,
        up_slots=1,
        reduce_slots=1,
    )


def assert_mean(values: npt.NDArray[np.float64], theory: float) -> None:
    """The mean of `values`, without the first tenth, in which the queue fills, is `theory`."""
    mean, half_width = interval(values)
    assert half_width < 0.1 * theory, "the interval is too wide to tell anything"
    assert abs(mean - theory) < half_width


def interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean of the values behind the first tenth, and half the width of its 99 % interval."""
    batches = values[len(values) // 10 :].reshape(N_BATCHES, -1).mean(axis=1)
    return float(batches.mean()), float(T_99 * batches.std(ddof=1) / np.sqrt(N_BATCHES))


def in_service_times(times_ps: IntArray) -> npt.NDArray[np.float64]:
    return times_ps / SERVICE_PS


@engines
@pytest.mark.parametrize("load", [0.5, 0.8])
def test_wait_in_an_mm1_queue(run: Engine, load: float) -> None:
    """Mean wait rho / (1 - rho) services; the fraction rho^n of the arrivals finds n or more before it."""
    service_ps = exponential(SERVICE_PS, 1)
    finish = run(stations(exponential(SERVICE_PS / load, 0), constant(1), service_ps))
    assert_mean(in_service_times(finish.compute[0] - finish.down[0] - service_ps), load / (1 - load))
    ahead = np.arange(N_CUSTOMERS) - np.searchsorted(finish.compute[0], finish.down[0], side="right")
    for n in (1, 2, 3):
        assert_mean((ahead >= n).astype(np.float64), load**n)


@engines
@pytest.mark.parametrize("load", [0.5, 0.8])
def test_wait_in_an_md1_queue(run: Engine, load: float) -> None:
    """Pollaczek and Khinchine: mean wait rho / (2 (1 - rho)) services."""
    finish = run(stations(exponential(SERVICE_PS / load, 0), constant(1), constant(SERVICE_PS)))
    waited_ps = finish.compute[0] - finish.down[0] - SERVICE_PS
    assert_mean(in_service_times(waited_ps), load / (2 * (1 - load)))


@engines
def test_sojourn_in_a_jackson_tandem(run: Engine) -> None:
    """Burke: the departures of an M/M/1 queue are Poisson, so each station is one: 1 / (mu - lambda) at each."""
    gaps = exponential(SERVICE_PS / 0.6, 0)
    finish = run(stations(gaps, exponential(SERVICE_PS / 1.2, 1), exponential(SERVICE_PS, 2)))
    assert_mean(in_service_times(finish.down[1] - finish.down[0]), 1 / (1.2 - 0.6))
    assert_mean(in_service_times(finish.compute[0] - finish.down[1]), 1 / (1 - 0.6))


@engines
def test_sojourn_in_a_fork_join_queue(run: Engine) -> None:
    """Two exponential leaves, each customer served at both: (12 - rho) / 8 of the sojourn at one.

    Source: Flatto and Hahn 1984; Nelson and Tantawi, IEEE Trans. Computers 37(6), 1988, Eq. (5).
    """
    finish = run(
        stations(exponential(SERVICE_PS / 0.6, 0), constant(1), exponential(SERVICE_PS, 1), exponential(SERVICE_PS, 2))
    )
    joined = finish.compute.max(axis=0)
    assert_mean(in_service_times(joined - finish.down[0]), (12 - 0.6) / 8 / (1 - 0.6))


@engines
def test_littles_law_holds_to_the_tick(run: Engine) -> None:
    """From empty to empty, the customers' sojourns sum to the time integral of their number, counted by events.

    The number must never be negative, and never be above the slots of the node's buffer where these bind.
    """
    for node_slots in (3, N_CUSTOMERS):
        program = stations(
            exponential(SERVICE_PS, 0), constant(1), exponential(SERVICE_PS, 1), node_slots=node_slots, leaf_slots=1
        )
        finish = run(program)
        came, left = finish.down[0] + 1, finish.down[1]
        instants = np.concatenate([came, left])
        change = np.repeat([1, -1], N_CUSTOMERS)
        order = np.lexsort((change, instants))
        number = np.cumsum(change[order])
        assert number[-1] == 0
        assert number.min() >= 0
        assert number.max() <= node_slots
        assert int((number[:-1] * np.diff(instants[order])).sum()) == int((left - came).sum())


@engines
@pytest.mark.parametrize("n_slots", [1, 2, 5])
def test_throughput_of_a_closed_cycle(run: Engine, n_slots: int) -> None:
    """An edge that sends only into a free slot, and the leaf that frees it: two stations between which `n_slots`
    customers go round. With equal exponential services both work the fraction K / (K + 1) of the time (product form:
    all K + 1 states are alike)."""
    program = stations(constant(1), exponential(SERVICE_PS, 0), exponential(SERVICE_PS, 1), leaf_slots=n_slots)
    assert_throughput(run(program), n_slots / (n_slots + 1))


@engines
@pytest.mark.parametrize(("node_slots", "leaf_slots"), [(1, 1), (2, 3), (4, 2)])
def test_throughput_of_a_tandem_with_finite_buffers(run: Engine, node_slots: int, leaf_slots: int) -> None:
    """Three exponential stations that start a service only when the next buffer has a slot, against their chain."""
    rates = (1.0, 0.8, 1.25)
    gap_ps, edge_ps, leaf_ps = (exponential(SERVICE_PS / rate, i) for i, rate in enumerate(rates))
    program = stations(gap_ps, edge_ps, leaf_ps, node_slots=node_slots, leaf_slots=leaf_slots)
    assert_throughput(run(program), tandem_throughput(rates, node_slots, leaf_slots))


def assert_throughput(finish: Finish, theory: float) -> None:
    """In customers per mean service; the interval is that of the mean gap between departures."""
    assert_mean(in_service_times(np.diff(finish.compute[0], prepend=0)), 1 / theory)


def tandem_throughput(rates: tuple[float, float, float], node_slots: int, leaf_slots: int) -> float:
    """Solve the Markov chain of (customers at the node, customers at the leaf).

    A customer at the node is waiting or being sent on; one at the leaf is waiting or being served. The source works
    while the node has a free slot, the edge while the node has a customer and the leaf a free slot, the leaf while it
    has a customer.
    """
    states = [(n, m) for n in range(node_slots + 1) for m in range(leaf_slots + 1)]
    place = {state: i for i, state in enumerate(states)}
    generator = np.zeros((len(states), len(states)))
    for (n, m), here in place.items():
        for rate, there in zip(rates, [(n + 1, m), (n - 1, m + 1), (n, m - 1)], strict=True):
            if there in place:
                generator[here, place[there]] += rate
                generator[here, here] -= rate
    balance = np.vstack([generator.T, np.ones(len(states))])
    probability = np.linalg.lstsq(balance, np.append(np.zeros(len(states)), 1.0))[0]
    return float(rates[2] * sum(p for p, (_, m) in zip(probability, states, strict=True) if m > 0))


def test_chain_of_a_tandem_has_its_known_solution() -> None:
    """One slot each and rate 1: of the states 00, 10, 01, 11 the balance gives 1/5, 2/5, 1/5, 1/5."""
    assert tandem_throughput((1.0, 1.0, 1.0), 1, 1) == pytest.approx(2 / 5)


# ---- the same with so many customers that only a campaign has the time -----------------------------------------------

MANY = 3_000_000


def waits(load: float, service_ps: IntArray) -> npt.NDArray[np.float64]:
    """In services, of customers that come at random to one server."""
    finish = run_both(stations(exponential(SERVICE_PS / load, 0, MANY), constant(1, MANY), service_ps))
    return in_service_times(finish.compute[0] - finish.down[0] - service_ps)


def gaps(edge_slots: dict[str, int], *services_ps: IntArray) -> npt.NDArray[np.float64]:
    """In services, between departures from stations with finite buffers between them."""
    return in_service_times(np.diff(run_both(stations(*services_ps, **edge_slots)).compute[0], prepend=0))


def run_both(program: Program) -> Finish:
    finish = run_des(program)
    assert run_max_plus(program).same_times_as(finish)
    return finish


def at_length() -> Iterator[tuple[str, npt.NDArray[np.float64], float]]:
    """What is measured, its values, and their mean by theory."""
    for load in (0.5, 0.8, 0.9):
        service_ps = exponential(SERVICE_PS, 1, MANY)
        yield f"M/M/1 at load {load}, mean wait", waits(load, service_ps), load / (1 - load)
        yield f"M/D/1 at load {load}, mean wait", waits(load, constant(SERVICE_PS, MANY)), load / (2 * (1 - load))
    edge_ps, leaf_ps = exponential(SERVICE_PS, 0, MANY), exponential(SERVICE_PS, 1, MANY)
    for n in (1, 2, 5):
        values = gaps({"leaf_slots": n}, constant(1, MANY), edge_ps, leaf_ps)
        yield f"closed cycle of {n}, mean gap between departures", values, (n + 1) / n
    rates = (1.0, 0.8, 1.25)
    services_ps = [exponential(SERVICE_PS / rate, i, MANY) for i, rate in enumerate(rates)]
    for node_slots, leaf_slots in ((1, 1), (2, 3), (4, 2)):
        values = gaps({"node_slots": node_slots, "leaf_slots": leaf_slots}, *services_ps)
        what = f"tandem with buffers of {node_slots} and {leaf_slots}, mean gap between departures"
        yield what, values, 1 / tandem_throughput(rates, node_slots, leaf_slots)


@pytest.mark.campaign
def test_queues_of_three_million_customers_have_their_known_means(record_figures: RecordFigures) -> None:
    figures, outside = {}, []
    for what, values, theory in at_length():
        mean, half_width = interval(values)
        off, bound = abs(mean / theory - 1), half_width / theory
        figures[what] = f"{mean:.4f}, theory {theory:.4f}: off by {off:.2%}, 99 % interval ± {bound:.2%}"
        if off > bound:
            outside.append(figures[what])
    assert not outside
    record_figures("engine", figures)
