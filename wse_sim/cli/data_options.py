"""The options that say what is trained on, and what a person sees while it is read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from training.data import Corpus, OnProgress, Progress

Command = TypeVar("Command", bound=Callable[..., Any])

_LINE_EVERY_S = 5.0  # where there is no terminal
DEFAULTS = {"data": "stdlib", "tokenizer": "bytes", "text_field": "text"}


def data_options(command: Command) -> Command:
    """Adds `data`, `tokenizer` and `text_field`."""
    return _data_options(command, DEFAULTS)


def optional_data_options(command: Command) -> Command:
    """The same for a command whose configuration file may say them: what is not given is None."""
    return _data_options(command, {})


def tokenizer_options(command: Command) -> Command:
    """Adds `tokenizer` and `text_field` alone."""
    return _tokenizer_options(command, DEFAULTS)


def _data_options(command: Command, defaults: dict[str, str]) -> Command:
    return click.option(
        "--data",
        default=defaults.get("data"),
        show_default=bool(defaults),
        metavar="PATH",
        help="Text, .jsonl(.zst), .bin, .idx, .h5, .arrow, .parquet; file, folder or '*'; or markov."
        + ("" if defaults else "  [default: stdlib]"),
    )(_tokenizer_options(command, defaults))


def _tokenizer_options(command: Command, defaults: dict[str, str]) -> Command:
    command = click.option(
        "--text-field",
        default=defaults.get("text_field"),
        show_default=bool(defaults),
        metavar="NAME",
        help="Of JSON lines or tables, that holds the text." + ("" if defaults else "  [default: text]"),
    )(command)
    return click.option(
        "--tokenizer",
        default=defaults.get("tokenizer"),
        show_default=bool(defaults),
        metavar="T",
        help="Of text: bytes, bpe:8192 (trained on it), a tokenizer.json." + ("" if defaults else "  [default: bytes]"),
    )(command)


@contextmanager
def reading_display(console: "Console") -> Iterator["OnProgress"]:
    """What is told how far reading is: a bar on a terminal, a line now and then where there is none."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(progress: "Progress") -> None:
            if progress.what not in tasks:
                tasks[progress.what] = bar.add_task(progress.what, total=progress.n_bytes_in_all)
            bar.update(tasks[progress.what], completed=progress.n_bytes)

        yield show


def corpus_in_words(corpus: "Corpus") -> list[str]:
    """What was read, in a line; and what was assumed of it."""
    from wse_sim.report.quantities import count

    said, train, val = corpus.fingerprint, corpus.train, corpus.val
    unit, by = ("bytes", "") if said.tokenizer == "bytes" else ("tokens", f", tokenizer {said.tokenizer}")
    ratio = "" if not by or train.n_bytes is None else f", {train.n_bytes / train.n_tokens:.2f} bytes of text each"
    parts = f"{count(train.n_tokens)} {unit} to train on, {count(val.n_tokens)} held out"
    return [f"data {said.source}: {parts}{by}{ratio}", *(f"note: {note}" for note in corpus.notes)]


class _Lines:
    def __init__(self, console: "Console") -> None:
        self.console = console
        self.what = ""
        self.started_s = self.said_s = 0.0

    def __call__(self, progress: "Progress") -> None:
        import time

        from wse_sim.report.quantities import data_size, duration, percent

        now_s = time.monotonic()
        if progress.what != self.what:
            self.what, self.started_s, self.said_s = progress.what, now_s, now_s
        if now_s - self.said_s < _LINE_EVERY_S or not progress.n_bytes:
            return
        self.said_s = now_s
        rate = progress.n_bytes / (now_s - self.started_s)
        left_s = (progress.n_bytes_in_all - progress.n_bytes) / rate
        share = percent(progress.n_bytes / progress.n_bytes_in_all)
        self.console.print(
            f"{progress.what}: {share} of {data_size(progress.n_bytes_in_all)}, {data_size(rate)}/s, "
            f"left {duration(left_s)}",
            soft_wrap=True,
        )
