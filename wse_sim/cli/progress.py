"""How far long work is, with its rate and the time that is left: a bar on a terminal, a line now and then elsewhere."""

import math
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from wse_sim.cli.terminal import console, is_live, loudness
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.report.quantities import data_size, duration, significant

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

LEAST_S = 5.0  # between two lines
AFTER_S = 2.0  # for `progress`, of work that is mostly done in a moment
BYTES = "bytes"  # items that are shown as sizes
_SHORTEST_BAR = 10
_PER_SECOND = 10  # that a bar is drawn anew, at most


class Pace:
    """How fast something comes, and how long the rest of it will take: the only place where this is worked out.

    Parameters
    ----------
    total, done :
        Of it in all, and from before.
    window_s :
        The rate is that of the last so many seconds, or of the last two times that something came.
    began_s :
        On the clock `monotonic`; now, if it is not given.
    """

    def __init__(
        self, total: float, done: float = 0.0, *, window_s: float = 60.0, began_s: float | None = None
    ) -> None:
        self.total, self._window_s = total, window_s
        self._began = monotonic() if began_s is None else began_s, done
        self._seen = deque([self._began])

    @property
    def done(self) -> float:
        """So far."""
        return self._seen[-1][1]

    @property
    def is_done(self) -> bool:
        return self.done >= self.total

    @property
    def last_s(self) -> float:
        """When something came last, or it began."""
        return self._seen[-1][0]

    @property
    def took_s(self) -> float:
        """From the beginning until something came last."""
        return self.last_s - self._began[0]

    @property
    def rate(self) -> float:
        """Per second, over all of it once it is done; 0 before anything came."""
        (first_s, first), (last_s, last) = self._began if self.is_done else self._seen[0], self._seen[-1]
        return (last - first) / max(1e-9, last_s - first_s)

    @property
    def left_s(self) -> float:
        """Until all is done; infinite before anything came."""
        if self.is_done or not self.rate:
            return 0.0 if self.is_done else math.inf
        return max(0.0, (self.total - self.done) / self.rate - (monotonic() - self.last_s))

    def reach(self, done: float) -> None:
        """So much is done now."""
        now_s = monotonic()
        self._seen.append((now_s, done))
        while len(self._seen) > 2 and now_s - self._seen[0][0] > self._window_s:
            self._seen.popleft()


class Meter(Watch, Protocol):
    """What commands hand to long work; `update` is for work that knows its whole amount as it goes, such as bytes."""

    def update(self, done: float, total: float, note: str = "") -> None: ...


@contextmanager
def progress(items: str = "items", *, after_s: float = 0.0) -> Iterator[Meter]:
    """Shows on stderr what work tells it, unless the user wants quiet.

    Parameters
    ----------
    items :
        What `update` counts; `BYTES` are shown as sizes.
    after_s :
        Work that takes less shows nothing, and leaves no line at its end.
    """
    if loudness() == "quiet":
        yield Quiet()
    elif is_live(sys.stderr):
        meter = _Bar(items, after_s, console(sys.stderr))
        try:
            yield meter
        finally:
            meter.close()
    else:
        yield _Lines(items, after_s)


class Quiet:
    """Shows nothing."""

    begin, came, say = UNWATCHED.begin, UNWATCHED.came, UNWATCHED.say

    def update(self, done: float, total: float, note: str = "") -> None:
        """Nothing is shown."""


class _Counter(ABC):
    """What bars and lines have in common: what has come, in words."""

    def __init__(self, items: str, after_s: float) -> None:
        self.items, self.note, self.after_s = items, "", after_s
        self.started_s = monotonic()
        self.count = self.work = Pace(0.0)

    def begin(self, n_items: int, items: str, *, n_known: int = 0, work: float | None = None) -> None:
        self.items, self.note = items, ""
        self.count = Pace(n_items, n_known)
        self.work = self.count if work is None else Pace(work)
        if n_known:
            self.say(f"{n_known:,} of {n_items:,} {items} are there already")
        self.moved()

    def came(self, n_items: int = 1, *, work: float | None = None, note: str = "") -> None:
        self.note = note
        self.count.reach(self.count.done + n_items)
        if self.work is not self.count:
            self.work.reach(self.work.done + (work or 0.0))
        self.moved()

    def update(self, done: float, total: float, note: str = "") -> None:
        if (self.count.total, self.note) != (total, note):
            self.note = note
            # It began where what came before ended: there may be a part of it when it is first heard of.
            self.count = self.work = Pace(total, began_s=self.count.last_s)
        self.count.reach(done)
        self.moved()

    @abstractmethod
    def say(self, line: str) -> None: ...

    @abstractmethod
    def moved(self) -> None: ...

    @property
    def is_due(self) -> bool:
        """Whether it has taken long enough to be shown."""
        return monotonic() - self.started_s >= self.after_s

    @property
    def is_lasting(self) -> bool:
        """Whether a line of it is left in the end."""
        return self.after_s == 0

    @property
    def amount(self) -> str:
        """12/96 runs."""
        done, total = self.count.done, self.count.total
        amount = f"{done:,.0f}/{total:,.0f} {self.items}"
        if self.items == BYTES:
            amount = f"{data_size(done)}/{data_size(total)}"
        return amount + (f", {self.note}" if self.note else "")

    @property
    def pace(self) -> str:
        """Rate, and the time that is left, or that it took; "" before anything came."""
        rate = self.count.rate
        if not rate:
            return ""
        if self.items == BYTES:
            words = f"{data_size(rate)}/s"
        else:
            words = f"{significant(rate)}/s" if rate >= 1 else f"{duration(1 / rate)} each"
        if self.count.is_done:
            return f"{words}  took {duration(self.count.took_s)}"
        return f"{words}  left {duration(self.work.left_s)}" if self.work.left_s < math.inf else words


class _Lines(_Counter):
    """A line at most every few seconds, and one at the end."""

    def __init__(self, items: str, after_s: float) -> None:
        super().__init__(items, after_s)
        self.said_s = monotonic()

    def say(self, line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def moved(self) -> None:
        is_time = monotonic() - self.said_s >= LEAST_S
        if self.pace and self.is_due and (is_time or (self.count.is_done and self.is_lasting)):
            self.said_s = monotonic()
            self.say(f"{self.amount}  {self.pace}")


class _Bar(_Counter):
    """A bar that is drawn anew, and the line that is left of it in the end."""

    def __init__(self, items: str, after_s: float, drawn_on: "Console") -> None:
        super().__init__(items, after_s)
        self.console = drawn_on
        self.live: Live | None = None

    def say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True)

    def moved(self) -> None:
        if self.count.is_done:
            self.close()
        elif self.live is None and self.is_due:
            from rich.live import Live

            self.live = Live(
                console=self.console, transient=True, refresh_per_second=_PER_SECOND, get_renderable=self.drawn
            )
            self.live.start()

    def close(self) -> None:
        """Takes the bar away, and leaves a line of what came."""
        if self.live is not None:
            self.live.stop()
            self.live = None
        if self.pace and self.is_lasting:
            self.say(f"{self.amount}  {self.pace}")
        self.count = self.work = Pace(0.0)

    def drawn(self) -> "RenderableType":
        """Amount, bar and pace; without the bar where the terminal is too narrow for it."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        words = [word for word in (self.amount, self.pace) if word]
        width = self.console.width - sum(len(word) + 2 for word in words)
        if width < _SHORTEST_BAR:
            return Text("  ".join(words), no_wrap=True, overflow="ellipsis")
        grid = Table.grid(padding=(0, 2, 0, 0))
        bar = ProgressBar(total=max(1e-9, self.work.total), completed=self.work.done, width=width)
        grid.add_row(words[0], bar, *words[1:])
        return grid
