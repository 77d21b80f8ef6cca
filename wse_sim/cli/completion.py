"""`wse-sim completion`, and the values that shells complete: names in the data, of schedules, of claims, of fields.

Whoever presses the tab key waits: names come without what takes long to import (numpy, torch).
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from wse_sim.api.parameters import CONVENTIONS, LAWS
from wse_sim.cli.terminal import COMPLETING

PROGRAM = "wse-sim"
SHELLS = ("bash", "zsh", "fish")
_INSTALL = {
    "bash": 'add to ~/.bashrc:      eval "$(wse-sim completion bash)"',
    "zsh": 'add to ~/.zshrc, behind compinit:      eval "$(wse-sim completion zsh)"',
    "fish": "run once:      wse-sim completion fish > ~/.config/fish/completions/wse-sim.fish",
}

# Those whose own modules import torch; tests/cli/test_completion.py holds them against these.
SCHEDULES = (
    *("constant", "linear", "linear_10x", "cosine", "cosine_to_zero", "cosine_10x", "wsd", "wsd_s", "power"),
    *("inverse_sqrt", "polynomial", "exponential", "step", "multistep", "piecewise", "cyclic", "sequential"),
    *("cooldown", "segments"),
)
PARAMETRIZATIONS = ("sp", "mup", "smupar", "completep", "smupar_init_only", "smupar_lr_only")
CLAIMS = (
    *("parameter-counts", "tokens-and-steps", "training-flops", "scaling-law", "coordinates-over-density"),
    *("coordinates-over-width", "lr-over-density", "both-corrections", "d2z", "ema", "curve-collapse"),
    *("sparse-scaling-law", "spdf-flops", "iso-wpn", "rigl-breaks-smupar", "frontier"),
)
_EXPLAINED = ("parametrization", "constants", "gpus", "operations", "gpu-operations", "economics")


@click.command("completion")
@click.argument("shell", required=False, type=click.Choice(SHELLS))
def command(*, shell: str | None) -> None:
    """Print the script by which SHELL completes commands, options and values; without SHELL, say where it goes.

    A shell reads it from a file of yours when it starts: ~/.bashrc, ~/.zshrc, or one in ~/.config/fish/completions.

    \b
        echo 'eval "$(wse-sim completion bash)"' >> ~/.bashrc
    """
    if shell is not None:
        click.echo(_script(shell), nl=False)
        return
    own = Path(os.environ.get("SHELL", "")).name
    for name in sorted(SHELLS, key=lambda name: name != own):
        click.echo(f"{name + ':':6}{_INSTALL[name]}")


def _script(shell: str) -> str:
    of_shell = get_completion_class(shell)
    assert of_shell is not None, f"click completes in {SHELLS}"
    complete = of_shell(click.get_current_context().find_root().command, {}, PROGRAM, COMPLETING)
    return complete.source_template % complete.source_vars()  # `source` would look for the shell's version


class Named(click.types.StringParamType):
    """A text of which a shell knows some, several with commas between them.

    Parameters
    ----------
    names :
        Those that are known.
    with_files :
        A file will do too.
    """

    def __init__(self, names: Callable[[], Iterable[str]], *, with_files: bool = False) -> None:
        self._names, self._with_files = names, with_files

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        found = [CompletionItem(f"{before}{comma}{name}") for name in self._names() if name.startswith(last)]
        # The file first: in the script for bash it takes away what stands before it.
        return [CompletionItem(incomplete, type="file"), *found] if self._with_files else found


def complete_values(command: click.Command) -> None:
    """Has shells complete the values of a command's parameters, and of the commands in it, by what they are called."""
    for param in command.params:
        if isinstance(param.type, click.types.StringParamType) and not isinstance(param.type, Named):
            known = _OF_COMMAND.get((command.name or "", param.name or "")) or _VALUES.get(param.name or "")
            if known is not None:
                param.type = known
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            complete_values(inner)


def _models() -> Iterable[str]:
    from wse_sim.spec.load import model_names

    return model_names()


def _systems() -> Iterable[str]:
    from wse_sim.spec.cluster import SYSTEMS

    return SYSTEMS


def _gpus() -> Iterable[str]:
    from wse_sim.spec.load import data_names

    return data_names("gpus")


def _programs() -> Iterable[str]:
    from wse_sim.gpu.spec import software_names

    return software_names()


def _releases() -> Iterable[str]:
    from wse_sim.spec.load import release_names

    return release_names()


def _grids() -> Iterable[str]:
    from wse_sim.spec.economics import load_economics

    return (name.removeprefix("grid.") for name in load_economics().constants if name.startswith("grid."))


def _explained() -> Iterable[str]:
    from wse_sim.cli.explain_constants import constants_called
    from wse_sim.report.fields import all_fields

    fields = (field.name for field in all_fields())
    of_data = (
        name for owner in ("constants", "gpus") if (of := constants_called(owner, "cs2")) for name in of.constants
    )
    return dict.fromkeys((*_EXPLAINED, *_gpus(), *_programs(), *fields, *of_data))


def _documents() -> Iterable[str]:
    from wse_sim.cli.documents import DOCUMENTS

    return DOCUMENTS


_VALUES = {
    "model": Named(_models, with_files=True),
    "system": Named(_systems, with_files=True),
    "gpu": Named(_gpus, with_files=True),
    "gpu_software": Named(_programs, with_files=True),
    "release": Named(_releases),
    "schedule": Named(lambda: SCHEDULES),
    "parametrization": Named(lambda: PARAMETRIZATIONS),
    "grid": Named(_grids),
    "data": Named(lambda: ("stdlib", "markov"), with_files=True),
    "economics": Named(tuple, with_files=True),
    "operations": Named(tuple, with_files=True),
    "engine": Named(lambda: ("max-plus", "des", "reference")),
    "minimise": Named(lambda: ("cost", "time", "energy", "carbon", "loss", "systems")),
}
_OF_COMMAND = {
    ("explain", "name"): Named(_explained, with_files=True),
    ("reproduce", "names"): Named(lambda: (*CLAIMS, "all")),
    ("schedules", "schedules"): Named(lambda: SCHEDULES),
    ("schema", "name"): Named(_documents),
    ("calibrate", "base"): Named(lambda: (*_systems(), *_gpus()), with_files=True),
    ("calibrate", "measurements"): Named(tuple, with_files=True),
    ("trainer", "names"): Named(lambda: ("10m", "111m")),
    ("project", "law"): Named(lambda: LAWS),
    ("project", "convention"): Named(lambda: CONVENTIONS),
}
