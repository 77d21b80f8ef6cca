"""What a person sees while a run trains: a live panel on a terminal, a line now and then elsewhere. All on stderr."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from wse_sim.cli.progress import Pace
from wse_sim.cli.terminal import is_live
from wse_sim.report.quantities import count, duration

if TYPE_CHECKING:
    from training.run_record import Row

_LINES_PER_RUN = 20
_LONGEST_SILENCE_S = 30.0  # between two lines, where steps allow
_WINDOW_S = 5.0  # over which tokens/s is averaged


class Display(Protocol):
    """Takes the row of every step."""

    def update(self, row: "Row") -> None: ...


@contextmanager
def training_display(title: str, n_steps: int, console: Console) -> Iterator[Display]:
    """A live panel on a terminal that takes it, plain lines elsewhere, and nothing on a console that is quiet."""
    if console.quiet or not is_live(console.file):
        yield _Lines(title, n_steps, console)
        return
    panel = _LivePanel(title, n_steps)
    with Live(panel.render(), console=console, refresh_per_second=4, transient=True) as live:
        panel.live = live
        yield panel


def held_out_in_bits(row: "Row") -> str:
    """The held-out loss in bits per byte, and where nobody knows these, in nats per token."""
    bits = row.val_bits_per_byte
    return f"{row.val_loss:.4f} nats/token" if bits is None else f"{bits:.3f} bits/byte"


def loss_in_words(row: "Row") -> str:
    """The loss of the step's batch."""
    return "not finite, skipped" if row.loss is None else f"{row.loss:.4f}"


_CLOCKS = "loss: of the step's batch; wafer, gpu: the full-size run at the same fraction of its way, simulated"


class _Pace:
    """Tokens/s over the last seconds, and how long the rest will take; "-" before there are two steps to compare."""

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps
        self.steps: Pace | None = None
        self.tokens: Pace | None = None

    def update(self, row: "Row") -> None:
        if self.steps is None or self.tokens is None:  # a resumed run did not begin here, and a first step is slow
            self.steps = Pace(self.n_steps, row.step, window_s=_WINDOW_S)
            self.tokens = Pace(math.inf, row.tokens, window_s=_WINDOW_S)
        else:
            self.steps.reach(row.step)
            self.tokens.reach(row.tokens)

    @property
    def tokens_per_s(self) -> str:
        return "-" if self.tokens is None or not self.tokens.rate else count(self.tokens.rate)

    @property
    def left(self) -> str:
        return "-" if self.steps is None or self.steps.left_s == math.inf else duration(self.steps.left_s)


class _Lines:
    def __init__(self, title: str, n_steps: int, console: Console) -> None:
        self.title, self.n_steps, self.console = title, n_steps, console
        self.pace = _Pace(n_steps)
        self.every, self.said_s = max(1, n_steps // _LINES_PER_RUN), monotonic()
        self.is_skipping = False
        console.print(f"training {title}", soft_wrap=True)

    def update(self, row: "Row") -> None:
        self.pace.update(row)
        is_told = row.val_loss is not None or row.step % self.every == 0 or row.step == 1
        is_told |= row.loss is None and not self.is_skipping  # of many in a row, the first
        self.is_skipping = row.loss is None
        if not is_told and monotonic() - self.said_s < _LONGEST_SILENCE_S:
            return
        self.said_s = monotonic()
        if row.step == 1 and row.wafer_s:
            self.console.print(_CLOCKS, soft_wrap=True)
        is_known = self.pace.tokens_per_s != "-"
        pace = f"  {self.pace.tokens_per_s} tokens/s  left {self.pace.left}" if is_known else ""
        held_out = "" if row.val_loss is None else f"  held out {held_out_in_bits(row)}"
        simulated = "".join(
            f"  {name} {duration(seconds)}" for name, seconds in (("wafer", row.wafer_s), ("gpu", row.gpu_s)) if seconds
        )
        bits = "" if row.bits_per_byte is None else f"  {row.bits_per_byte:.3f} bits/byte"
        loss = f"{loss_in_words(row)}{bits}{held_out}"
        self.console.print(
            f"step {row.step}/{self.n_steps}  loss {loss}  lr {row.lr:.2e}{pace}{simulated}", soft_wrap=True
        )


class _LivePanel:
    def __init__(self, title: str, n_steps: int) -> None:
        self.title = title
        self.pace = _Pace(n_steps)
        self.live: Live | None = None
        self.row: Row | None = None
        self.held_out = "-"
        self.progress = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:.0f} %"),
            TimeElapsedColumn(),
            expand=True,
        )
        self.task = self.progress.add_task("", total=n_steps)

    def update(self, row: "Row") -> None:
        self.pace.update(row)
        self.row = row
        self.held_out = self.held_out if row.val_loss is None else held_out_in_bits(row)
        self.progress.update(self.task, completed=row.step)
        if self.live is not None:
            self.live.update(self.render())

    def render(self) -> Panel:
        grid = Table.grid(padding=(0, 3), expand=True)
        for _ in range(3):
            grid.add_column(ratio=1)
        if self.row is not None:
            row = self.row
            bits = "-" if row.bits_per_byte is None else f"{row.bits_per_byte:.3f}"
            grid.add_row(f"loss  {loss_in_words(row)}", f"bits per byte  {bits}", f"held out  {self.held_out}")
            grid.add_row(
                f"learning rate  {row.lr:.2e}",
                f"tokens/s  {self.pace.tokens_per_s}",
                f"left  {self.pace.left}",
            )
            simulated = "   ".join(
                f"{name} {duration(seconds)}"
                for name, seconds in (("wafer cluster", row.wafer_s), ("GPU cluster", row.gpu_s))
                if seconds
            )
            return self._panel(grid, f"at the same fraction of the full run, simulated: {simulated}")
        return self._panel(grid)

    def _panel(self, *parts: RenderableType) -> Panel:
        return Panel(Group(self.progress, *parts), title=Text(self.title), title_align="left")
