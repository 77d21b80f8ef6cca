"""A run that goes on, and the options given beside its folder: those of the run alone are taken."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import Any

from training.as_started import require_as_started
from training.checkpoint import latest_description
from training.config import CONFIG_FILE, read_config
from training.host import Host
from training.job import Job, read_job
from training.rows_written import require_rows
from training.run_set import read_run_set
from training.schedules import split_schedules
from training.starting_point import require_same_run
from wse_sim.api.configured import Configured
from wse_sim.api.values import as_text
from wse_sim.errors import SpecError
from wse_sim.report import run_files
from wse_sim.run_lock import require_idle
from wse_sim.spec.load import ModelLike, as_preset
from wse_sim.spec.written import parse_densities

_SAME_NAME = (
    *("density", "schedule", "parametrization", "seed", "system", "num_csx", "batch_size", "seq_len", "tokens"),
    *("release", "gpu", "gpu_software", "num_gpus", "data", "tokenizer", "text_field"),
)
_OF_JOB: dict[str, Callable[[Job], object]] = {
    **{name: attrgetter(name) for name in _SAME_NAME},
    **{name: attrgetter(f"host.{name}") for name in Host.__struct_fields__ if name != "batch_size"},
    "sparse_wide": attrgetter("is_sparse_wide"),
    "sparsity_algorithm": lambda job: "static" if job.mask_updates is None else job.mask_updates.algorithm,
    "mask_update_steps": lambda job: None if job.mask_updates is None else job.mask_updates.every_steps,
    "budget": attrgetter("budget_s"),
    "init_from": lambda job: None if job.start is None else job.start.folder,
    "mask_init": lambda job: None if job.start_sparsity is None else job.start_sparsity[0].init_method,
}  # what an option of `wse-sim train` is in a job


def require_same(folder: Path, said: Mapping[str, Any], *, model: ModelLike | None, out: Path | None) -> None:
    """Make sure that what was said beside a folder to go on with is what its runs were started with.

    Parameters
    ----------
    said :
        Options of `wse-sim train`, read; density, sparsity and schedule as text, several with commas between them.
        Those that are not about what is trained may be among them.
    model, out :
        Likewise; None = not said.

    Raises
    ------
    SpecError
        When an option differs, and as `read_job`.
    """
    together = read_run_set(folder)
    jobs = [read_job(folder)] if together is None else [read_job(folder / name) for name in together.runs]
    if model is not None and not any(_is_model(model, job) for job in jobs):
        _refuse(folder, "model", [_name_of(model)], [_name_of(job.model) for job in jobs])
    if out is not None and out.resolve() != folder.resolve():
        _refuse(folder, "out", [out], [folder])
    if said.get("config") is not None and not _is_configured(said["config"], jobs[0]):
        raise SpecError(f"--config: {folder} was started with another one, and goes on so: leave --config out")
    for name, values in _values(said).items():
        known = [_OF_JOB["density" if name == "sparsity" else name](job) for job in jobs]
        if set(values) != set(known):
            _refuse(folder, name, values, known)


def require_can_go_on(folder: Path) -> None:
    """Refuse at once, without torch and without reading much, runs of a folder that could not go on.

    Raises
    ------
    SpecError
        When another process is at work in the folder of a run that has not ended, none of its checkpoints looks sound,
        the newest one is of another configuration, or rows before it are lost.
    """
    together = read_run_set(folder)
    names = ("",) if together is None else together.runs
    for run_dir in (folder / name for name in names):
        if together is not None and (run_dir / run_files.SUMMARY).is_file():
            continue  # it is kept as it is
        require_idle(run_dir)
        newest = latest_description(run_dir)
        if newest is None:
            continue
        if (run_dir / CONFIG_FILE).is_file():
            config = read_config(run_dir / CONFIG_FILE)
            require_as_started(run_dir, read_job(run_dir), config)
            require_same_run(config, run_dir)
        require_rows(run_dir, newest)


def _values(said: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Those that are of a job, by option; of sparsities, the densities."""
    values = {name: [value] for name, value in said.items() if name in _OF_JOB}
    for name in ("density", "sparsity"):
        if said.get(name) is not None:
            values[name] = parse_densities(**{"density": None, "sparsity": None, name: as_text(said[name])})
    if "schedule" in said:
        values["schedule"] = list(split_schedules(said["schedule"]))
    return values


def _is_model(model: ModelLike, job: Job) -> bool:
    if isinstance(job.model, str):
        return isinstance(model, str | PathLike) and str(model) == job.model
    return as_preset(model) == job.model


def _name_of(model: ModelLike) -> str:
    return str(model) if isinstance(model, str | PathLike) else as_preset(model).shape.name


def _is_configured(config: Configured, job: Job) -> bool:
    """Whether the files say what the job's do, but for what options beside them may change."""
    if job.configuration is None:
        return False
    ours, said = ((of.shape, of.recipe, of.base, of.training) for of in (job.configuration, config.read(None)))
    return ours == said


def _refuse(folder: Path, name: str, values: Sequence[Any], known: Sequence[Any]) -> None:
    option = f"--{name.replace('_', '-')}"
    if name == "sparsity":
        values, known = ([1.0 - density for density in of] for of in (values, known))
    raise SpecError(
        f"{option} {_in_words(values)}: {folder} was started {_as_started(known)}, and goes on so: leave {option} out, "
        "or start another run"
    )


def _as_started(known: Sequence[Any]) -> str:
    return "without it" if all(value is None for value in known) else f"with {_in_words(known)}"


def _in_words(values: Sequence[Any]) -> str:
    return ",".join(f"{value:.12g}" if isinstance(value, float) else str(value) for value in dict.fromkeys(values))
