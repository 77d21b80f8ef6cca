"""`wse_sim.train` and `wse_sim.load_run`: a run that is made here, and the full-size run beside it."""

from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast, get_args, get_type_hints

import msgspec

from training.cosim import run_plan
from training.execution import OnNan
from training.host import Host
from training.job import Job, free_folder, where_it_started
from training.loggers import parse_loggers
from training.machine import machine_profile
from training.plan import make_plan, plan_of_run
from training.run_record import RUN_FILE, Row, read_rows
from training.summary import Summary
from wse_sim import defaults
from wse_sim.api.asking import asks
from wse_sim.api.configured import Resumed
from wse_sim.api.jobs import jobs_of
from wse_sim.api.notebook import frame, lines_html, plain
from wse_sim.api.parameters import TrainParameters
from wse_sim.api.resuming import require_same
from wse_sim.api.values import as_text, read_all, read_number, read_parsed, read_whole
from wse_sim.errors import SpecError, choose
from wse_sim.report import run_files
from wse_sim.report.headline import headline, loss_unit, title
from wse_sim.report.trace import trace_extent
from wse_sim.spec.load import ModelLike, as_preset, convert
from wse_sim.spec.written import parse_clip, parse_count, parse_seconds

if TYPE_CHECKING:
    from pandas import DataFrame

_WHOLE = ("mask_update_steps", "seed", "num_csx", "batch_size", "seq_len", "num_gpus", "steps", "microbatch")
_TEXTS = ("system", "gpu", "gpu_software", "data", "tokenizer")


class RunResult(Summary, frozen=True, kw_only=True):
    """A finished run: what was measured here, simulated and projected; `wse-sim explain FIELD` says what each field is.

    Parameters
    ----------
    run_dir :
        The folder with rows, checkpoints, timeline and report.
    rows :
        Those of run.jsonl.
    """

    run_dir: Path
    rows: tuple[Row, ...]

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.run_dir / run_files.REPORT

    def to_dict(self) -> dict[str, Any]:
        """What `wse-sim train --json` prints, and summary.json holds."""
        named = {name: getattr(self, name) for name in Summary.__struct_fields__}
        return plain({name: value for name, value in named.items() if value is not msgspec.UNSET})

    def to_frame(self) -> "DataFrame":
        """A row for each logged step; units are in the names of the columns.

        Raises
        ------
        SpecError
            When pandas is not installed.
        """
        return frame(msgspec.to_builtins(row) for row in self.rows)

    def __repr__(self) -> str:
        measured = self.measured
        whose = "the proxy's " if self.choice.mode == "proxy" else ""
        unit = loss_unit(measured.val_loss, measured.bits_per_byte)
        loss = f"{whose}validation loss {measured.val_loss:.4f} {unit} after {measured.steps:,} steps, measured"
        return f"<{title(self.to_dict())}: {loss}; in {self.run_dir}>"

    def _repr_html_(self) -> str:
        summary = self.to_dict()
        return lines_html(title(summary), headline(summary))


@asks(TrainParameters, defaults.TRAIN)
def train(
    model: ModelLike | None = None,
    *,
    out: str | PathLike[str] | None = None,
    resume: str | PathLike[str] | Resumed | None = None,
    on_step: Callable[[Row], object] | None = None,
    **options: Unpack[TrainParameters],
) -> RunResult:
    """Train here, simulate the full-size run, and write a run directory with both.

    Parameters
    ----------
    model :
        As in `simulate`; None to resume.
    out :
        Run directory; None = a new one in runs/.
    resume :
        Directory of an interrupted run to go on with; options beside it are refused where they differ from the run's,
        but for `on_nan`.
        Until `train` returns, the current folder is the one in which the run was started, from which the paths that it
        names are.
    on_step :
        Called with the row of every step.
    options :
        The options of `wse-sim train`, by the same names, one value each: `sweep(..., train=True)` trains several.

    Raises
    ------
    SpecError
        When the input is wrong, or the loss is no longer a finite number.
    training.interrupt.Interrupted
        When you interrupt it; `resume` goes on.
    """
    given = dict(options)
    log = parse_loggers(as_text(given.pop("log")))
    max_bytes = read_parsed("trace_max_bytes", given.pop("trace_max_bytes"), parse_count)
    extent = trace_extent(as_text(given.pop("trace_steps")), max_bytes)
    profile = machine_profile(refresh=bool(given.pop("remeasure")))
    go = partial(run_plan, on_step=on_step, log=log, trace=extent)
    if resume is not None:
        assert isinstance(resume, Resumed)
        folder = resume.folder
        said = {name: value for name, value in _read(given).items() if name in resume.beside}
        require_same(folder, said, model=model, out=None if out is None else Path(out))
        with where_it_started(folder) as run_dir:
            plan = plan_of_run(run_dir, profile, on_nan=_on_nan(given))
            go(plan, run_dir, command=f"wse_sim.train(resume={str(folder)!r})", resume=True)
        return load_run(folder)
    command = _command(model, dict(options))
    job = _job(model, given)
    folder = free_folder(job.name) if out is None else Path(out)
    go(make_plan(job, profile), folder, command=command)
    return load_run(folder)


def load_run(run_dir: str | PathLike[str]) -> RunResult:
    """A finished run, from its folder.

    Raises
    ------
    SpecError
        When the folder holds none, or one of another version.
    """
    folder = Path(run_dir)
    summary = convert(run_files.read_summary(folder), Summary, str(folder / run_files.SUMMARY))
    return RunResult(**msgspec.structs.asdict(summary), run_dir=folder, rows=tuple(read_rows(folder / RUN_FILE)))


def _on_nan(given: Mapping[str, Any]) -> OnNan | None:
    return None if given["on_nan"] is None else cast(OnNan, choose(given["on_nan"], get_args(OnNan), "on_nan"))


def _job(model: ModelLike | None, given: dict[str, Any]) -> Job:
    """What is to be trained."""
    given = _read(given)
    job, *others = jobs_of(given.pop("config"), model, given)
    if others:
        raise SpecError("several densities or schedules are several runs: sweep(..., train=True) trains them")
    return job


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the command line reads them."""
    given = dict(given)
    given |= read_all(given, read_whole, *_WHOLE) | {name: str(given[name]) for name in _TEXTS}
    given |= read_all(given, read_number, "peak_lr")
    given["tokens"] = read_parsed("tokens", given["tokens"], parse_count)
    given["budget"] = read_parsed("budget", given["budget"], parse_seconds)
    given["on_nan"] = _on_nan(given)
    given["clip"] = parse_clip(str(given["clip"]))
    given |= {name: None if given[name] is None else str(given[name]) for name in ("store", "init_from")}
    for name, hint in get_type_hints(Host).items():
        allowed = [option for of in (hint, *get_args(hint)) for option in get_args(of) if isinstance(option, str)]
        if name != "clip" and allowed and given[name] is not None:
            choose(given[name], allowed, name)
    return given


def _command(model: ModelLike | None, given: dict[str, Any]) -> str:
    """The call, with what differs from the defaults."""
    said = {key: value for key, value in given.items() if value != defaults.TRAIN.get(key)}
    if "config" in said:
        said["config"] = ",".join(said["config"].files)
    words = [f"{key}={value!r}" for key, value in said.items()]
    if model is not None:
        words = [repr(str(model) if isinstance(model, str | PathLike) else as_preset(model).shape.name), *words]
    return f"wse_sim.train({', '.join(words)})"
