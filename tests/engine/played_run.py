"""A run event by event, in SimPy: readable, slow, the oracle of the replications and of the formula."""

from collections.abc import Generator, Iterable, Iterator
from typing import Any

import simpy

from wse_sim.engine.run_level import PARTS, RunPlan

Process = Generator[simpy.Event, Any, None]


def play_run(plan: RunPlan, *, gaps_s: Iterable[float], delays_s: Iterable[tuple[float, float]]) -> "PlayedRun":
    """One run on given draws.

    Parameters
    ----------
    gaps_s :
        From the end of the compilation to the first failure, and from each failure to the next; may be endless.
    delays_s :
        Delays in the order in which they are met: the steps before one, in seconds, and its length. The first counts
        from the start of the steps, each other one from the delay before it, or anew from a restart, whose steps meet
        the next one. May be endless.
    """
    run = PlayedRun(plan, iter(delays_s))
    training = run.env.process(run.training())
    run.env.process(run.failing(training, gaps_s))
    run.env.run(until=training)
    return run


class PlayedRun:
    """A run that plays itself: the training, and what makes it fail.

    Parameters
    ----------
    spent_s :
        Time so far by `PARTS`.
    """

    def __init__(self, plan: RunPlan, delays_s: Iterator[tuple[float, float]]) -> None:
        self.plan, self.delays_s = plan, delays_s
        self.env = simpy.Environment()
        self.spent_s = dict.fromkeys(PARTS, 0.0)
        self.n_saved = self.n_failures = 0

    def failing(self, training: simpy.Process, gaps_s: Iterable[float]) -> Process:
        yield self.env.timeout(self.plan.terms.compile_s)
        for gap_s in gaps_s:
            yield self.env.timeout(gap_s)
            training.interrupt()

    def training(self) -> Process:
        yield self.env.timeout(self.plan.terms.compile_s)
        self.spent_s["start_up"] += self.plan.terms.compile_s
        part, to_ready_s = "start_up", self.plan.terms.bring_up_s
        while self.n_saved < len(self.plan.work_s):
            since_s, lost = self.env.now, part  # what a failure now would have cost
            try:
                yield self.env.timeout(to_ready_s)
                self.spent_s[part] += to_ready_s
                self.next_delay = next(self.delays_s)
                while self.n_saved < len(self.plan.work_s):
                    since_s, lost = self.env.now, "lost"
                    yield from self._segment(float(self.plan.work_s[self.n_saved]))
            except simpy.Interrupt:
                self.spent_s[lost] += self.env.now - since_s
                self.n_failures += 1
                part, to_ready_s = "restart", self.plan.terms.restart_s

    def _segment(self, work_s: float) -> Process:
        """Steps with their delays, and the checkpoint; only then do they count."""
        left_s, delay_s = work_s, 0.0
        while self.next_delay[0] < left_s:
            gap_s, length_s = self.next_delay
            yield self.env.timeout(gap_s)
            yield self.env.timeout(length_s)
            left_s -= gap_s
            delay_s += length_s
            self.next_delay = next(self.delays_s)
        yield self.env.timeout(left_s)
        self.next_delay = (self.next_delay[0] - left_s, self.next_delay[1])
        checkpoint_s = float(self.plan.checkpoint_s[self.n_saved])
        yield self.env.timeout(checkpoint_s)
        self.n_saved += 1
        self.spent_s["useful"] += work_s
        self.spent_s["straggler"] += delay_s
        self.spent_s["checkpoint"] += checkpoint_s
