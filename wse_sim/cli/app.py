"""The command line: names and one line each here; a command's module is imported when the command is called."""

import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from types import FrameType
from typing import Any, NoReturn

import click

from wse_sim import __version__
from wse_sim.cli.loudness import hear_loudness
from wse_sim.cli.numbers import take_plain_numbers
from wse_sim.cli.output import EXIT_INTERRUPTED, complain, say_more
from wse_sim.cli.streams import make_streams_whole
from wse_sim.cli.terminal import COMPLETING, use_plain_letters
from wse_sim.cli.words import hear_words
from wse_sim.errors import AloneError, SpecError
from wse_sim.processes.garbage import look_less_for_garbage

COMMANDS = {
    "train": "Train here, simulate the full-size run, write a report.",
    "prepare": "Make files of tokens of text, once, to train on.",
    "simulate": "Simulate a training run on a wafer-scale cluster.",
    "sweep": "Simulate, or train, many configurations as one table.",
    "compare": "Compare a run on wafers with GPUs, or with what ran here.",
    "plan": "Say what to book for a deadline, a purse or a target loss.",
    "project": "Project the loss of a model from runs, or from a published law.",
    "validate": "Hold the simulator against published throughput.",
    "calibrate": "Fit a few constants to your own runs, and write your system.",
    "schedules": "Learning-rate schedules, and what AdamW averages with each.",
    "transfer": "Train a grid: does the best learning rate stay where it is?",
    "coord-check": "Do activations keep their size over width, density or depth?",
    "reproduce": "Test claims of the papers here: a verdict and a page for each.",
    "explain": "Say what a field or a constant means, and where it comes from.",
    "list": "List models, systems, GPUs and software releases.",
    "schema": "Print the JSON Schema of what commands print and users write.",
    "export": "Write a trained run as a folder that transformers loads.",
    "report": "Write report.html of a run directory again.",
    "bench": "Time commands, engines, plans and the trainer here.",
    "completion": "Complete commands, options and values in your shell.",
}

_OF_MATPLOTLIB = ("MPLBACKEND", "SOURCE_DATE_EPOCH")  # which would fail at a wrong one; no figure is shown or dated

EXIT_OUR_FAULT = 1
EXIT_INPUT = 2
EXIT_UNMET = 3  # what the user asserted, or asked to be proved, does not hold
EXIT_READER_LEFT = 141  # as of a program that SIGPIPE ends


class _InputError(click.ClickException):
    exit_code = EXIT_INPUT

    def __init__(self, message: str, *, is_of_one: bool = False) -> None:
        super().__init__(message)
        self._is_of_one = is_of_one

    def show(self, file: object = None) -> None:
        # Of the processes that torchrun starts, the first one speaks for all.
        if self._is_of_one or os.environ.get("RANK", "0") == "0":
            complain(self.message)


@contextmanager
def _usage_in_one_line(command_path: str) -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        _, *names = (error.ctx.command_path if error.ctx else command_path).split()
        raise _InputError(f"{_said(error)} ({' '.join(('wse-sim', *names))} --help)") from None


def _said(error: click.UsageError) -> str:
    """Its message; of an option that there is not, with the nearest one alone: click lists several by the alphabet."""
    if not isinstance(error, click.NoSuchOption) or not error.possibilities:
        return error.format_message()
    (near,) = get_close_matches(error.option_name, error.possibilities, n=1, cutoff=0.0)
    return f"{error.message} Did you mean {near!r}?"


def _said_of(error: OSError) -> str:
    return f"{os.fsdecode(error.filename)}: {error.strerror}"


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """SIGTERM, by which batch systems end what they take the machine from, is as Ctrl-C: work is saved."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):  # a shell lets its background jobs ignore SIGINT
            raise KeyboardInterrupt
        handler(number, frame)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _our_fault() -> NoReturn:
    traceback.print_exc()
    words = f"wse-sim {__version__} has a bug: please report the command and the lines above to its maintainers"
    click.echo(words, err=True)
    raise click.exceptions.Exit(EXIT_OUR_FAULT) from None


class _Commands(click.Group):
    """The commands of `COMMANDS`; the attribute `command` of the module of the same name is what runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"wse_sim.cli.{cmd_name.replace('-', '_')}").command
        hear_loudness(command)
        take_plain_numbers(command)
        if COMPLETING in os.environ:
            from wse_sim.cli.completion import complete_values

            complete_values(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"{error.message}{hint}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **extra: Any) -> Any:
        look_less_for_garbage()
        make_streams_whole()
        for name in _OF_MATPLOTLIB:
            os.environ.pop(name, None)
        use_plain_letters()
        try:
            with _termination_as_interrupt():
                return super().main(*args, **extra)
        except OSError as error:  # of help, or of an error that could not be told
            if error.filename is None:
                raise
            with suppress(OSError):
                complain(_said_of(error))
            sys.exit(EXIT_INPUT)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            hear_words(ctx, args)
        return super().parse_args(ctx, args)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _usage_in_one_line("wse-sim"):
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> object:
        started_s = time.perf_counter()
        try:
            with _usage_in_one_line(ctx.command_path):
                done = super().invoke(ctx)
            say_more(f"took {time.perf_counter() - started_s:.2f} s")
            return done
        except SpecError as error:
            raise _InputError(str(error), is_of_one=isinstance(error, AloneError)) from None
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            raise click.exceptions.Exit(EXIT_READER_LEFT) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except OSError as error:
            if error.filename is None:
                return _our_fault()
            raise _InputError(_said_of(error)) from None
        except Exception:
            return _our_fault()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wse-sim")
def main() -> None:
    """Simulate training on a Cerebras Wafer-Scale Cluster, and train for real beside it.

    Every number is measured (it ran here), simulated (it came out of the discrete-event model) or projected (a named
    law says so).
    """


hear_loudness(main)
