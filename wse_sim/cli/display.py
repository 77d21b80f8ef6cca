"""What a person sees while a run trains: a live panel on a terminal, a line now and then elsewhere. All on stderr."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from wse_sim.report.quantities import count, duration

if TYPE_CHECKING:
    from training.run_record import Row

_LINES_PER_RUN = 20
_WINDOW_S = 5.0  # over which tokens/s is averaged


class Display(Protocol):
    """Takes the row of every step."""

    def update(self, row: "Row") -> None: ...


@contextmanager
def training_display(title: str, n_steps: int, console: Console) -> Iterator[Display]:
    """A live panel where `console` is a terminal, plain lines where it is not."""
    if not console.is_terminal:
        yield _Lines(title, n_steps, console)
        return
    panel = _LivePanel(title, n_steps)
    with Live(panel.render(), console=console, refresh_per_second=4, transient=True) as live:
        panel.live = live
        yield panel


def held_out_in_bits(row: "Row") -> str:
    """The held-out loss in bits per byte, and where nobody knows these, in nats per token."""
    return f"{row.val_loss:.4f} nats/token" if row.val_bits_per_byte is None else f"{row.val_bits_per_byte:.3f}"


class _Pace:
    """Tokens/s over the last seconds, and how long the rest will take."""

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps
        self.seen: list[tuple[float, int, int]] = []

    def update(self, row: "Row") -> None:
        now = time.monotonic()
        self.seen.append((now, row.step, row.tokens))
        while now - self.seen[0][0] > _WINDOW_S and len(self.seen) > 2:
            self.seen.pop(0)

    def __str__(self) -> str:
        """Nothing before there are two steps to compare."""
        if len(self.seen) < 2:
            return ""
        return f"  {count(self.tokens_per_s)} tokens/s  left {duration(self.remaining_s)}"

    @property
    def tokens_per_s(self) -> float:
        (first_s, _, first), (last_s, _, last) = self.seen[0], self.seen[-1]
        return (last - first) / max(1e-9, last_s - first_s)

    @property
    def remaining_s(self) -> float:
        (first_s, first, _), (last_s, last, _) = self.seen[0], self.seen[-1]
        return (self.n_steps - last) * (last_s - first_s) / max(1, last - first)


class _Lines:
    def __init__(self, title: str, n_steps: int, console: Console) -> None:
        self.title, self.n_steps, self.console = title, n_steps, console
        self.pace = _Pace(n_steps)
        self.every = max(1, n_steps // _LINES_PER_RUN)
        console.print(f"training {title}", soft_wrap=True)

    def update(self, row: "Row") -> None:
        self.pace.update(row)
        if row.val_loss is None and row.step % self.every and row.step != 1:
            return
        held_out = "" if row.val_loss is None else f"  held out {held_out_in_bits(row)}"
        simulated = "".join(
            f"  {name} {duration(seconds)}" for name, seconds in (("wafer", row.wafer_s), ("gpu", row.gpu_s)) if seconds
        )
        bits = "" if row.bits_per_byte is None else f"  {row.bits_per_byte:.3f} bits/byte"
        self.console.print(
            f"step {row.step}/{self.n_steps}  loss {row.loss:.4f}{bits}{held_out}"
            f"  lr {row.lr:.2e}{self.pace}{simulated}",
            soft_wrap=True,
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
            grid.add_row(f"loss  {row.loss:.4f}", f"bits per byte  {bits}", f"held out  {self.held_out}")
            grid.add_row(
                f"learning rate  {row.lr:.2e}",
                f"tokens/s  {count(self.pace.tokens_per_s)}",
                f"left  {duration(self.pace.remaining_s)}",
            )
            simulated = "   ".join(
                f"{name} {duration(seconds)}"
                for name, seconds in (("wafer cluster", row.wafer_s), ("GPU cluster", row.gpu_s))
                if seconds
            )
            return self._panel(grid, f"at the same fraction of the full run, simulated: {simulated}")
        return self._panel(grid)

    def _panel(self, *parts: RenderableType) -> Panel:
        return Panel(Group(self.progress, *parts), title=self.title, title_align="left")
