"""-q and -v: of every command, before its name and behind it."""

from typing import TYPE_CHECKING

import click

from wse_sim.cli.output import say_more
from wse_sim.cli.terminal import Loudness, set_loudness

if TYPE_CHECKING:
    import logging

_TOLD = ("wse_sim", "training", "models")  # whose log a verbose command shows
_FLAGS: dict[Loudness, tuple[str, str]] = {
    "quiet": ("-q", "Print results and errors alone."),
    "verbose": ("-v", "Say what was read and chosen, and what took how long."),
}


class _LoudnessOption(click.Option):
    def __init__(self, asked: Loudness) -> None:
        flag, line = _FLAGS[asked]
        super().__init__([flag, f"--{asked}"], is_flag=True, expose_value=False, callback=self._heard, help=line)
        self._asked = asked

    def _heard(self, ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if not value:
            return
        set_loudness(ctx, self._asked)
        if self._asked == "verbose":
            _show_log(ctx)


def hear_loudness(command: click.Command) -> None:
    """Adds -q and -v to a command, and to those in it, unless they have them."""
    if not any(isinstance(param, _LoudnessOption) for param in command.params):
        command.params += [_LoudnessOption(asked) for asked in _FLAGS]
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            hear_loudness(inner)


def _show_log(context: click.Context) -> None:
    """What the libraries log, each line once, until the command ends."""
    import logging

    said = set()

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = record.getMessage()
            if line not in said:
                said.add(line)
                say_more(line)

    notes = Notes(logging.INFO)
    loggers = [(logger := logging.getLogger(name), logger.level) for name in _TOLD]
    for logger, _ in loggers:
        logger.addHandler(notes)
        logger.setLevel(logging.INFO)
    context.call_on_close(lambda: _hide_log(notes, loggers))


def _hide_log(notes: "logging.Handler", loggers: "list[tuple[logging.Logger, int]]") -> None:
    for logger, level in loggers:
        logger.removeHandler(notes)
        logger.setLevel(level)
