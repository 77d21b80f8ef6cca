"""What the user asked for, with every default resolved: the target of a run."""

import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from models.bases import BaseHyperparameters, base_for
from models.rules import ParametrizationName, factors_of, rules_of
from training.host import Host
from training.imported import Imported, StartMask, fields_of_job
from training.schedules import parse_schedule
from training.sparsity import Algorithm, make_algorithm
from training.toml_text import toml_text
from wse_sim.defaults import TRAIN
from wse_sim.errors import FileError, SpecError, choose
from wse_sim.files import write_atomically
from wse_sim.simulation import resolve_run
from wse_sim.spec.configuration import Configuration
from wse_sim.spec.load import NO_MODEL, convert, load_model, read_toml
from wse_sim.spec.model import ModelPreset
from wse_sim.spec.run import MaskUpdates, Run, mask_updates_of
from wse_sim.spec.sparsity import stretched
from wse_sim.spec.written import parse_seconds
from wse_sim.workload.sparse_wide import sparse_wide
from wse_sim.workload.transformer import n_parameters

TARGET_FILE, RUNS = "target.toml", Path("runs")
GPUS_PER_CSX = 8  # the default comparison: one 8-GPU server for each wafer-scale system

_LONGEST_SCHEDULE = 80  # letters in the name of a folder, which takes 255
_OF_THE_RUN = ("system", "density", "is_sparse_wide", "mask_updates", "release", "seed")
# Those for whose proxies there is a base (`training.proxy`).
PARAMETRIZATIONS: tuple[ParametrizationName, ...] = ("sp", "mup", "smupar")


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The target of a run: the full-size model, how and where it would be trained, and what may be spent here.

    Parameters
    ----------
    model :
        Preset, shape TOML, or Hugging Face config.json; the name alone where there is a configuration.
    configuration :
        What a file says of the run, the model among it; the other fields here win.
    is_sparse_wide :
        The model is widened so that its linear layers keep the non-zeros of the dense one
        (`wse_sim.workload.sparse_wide`).
    mask_updates :
        How masks change while the target trains; None = they never do.
    batch_size :
        Sequences per optimizer step of the target.
    tokens :
        Of the whole target run.
    budget_s :
        Seconds that training may take on this machine.
    host :
        What else is asked of the run made here.
    data, tokenizer, text_field :
        As in `TrainConfig`.
    start :
        Weights that the run here begins with; None = drawn ones.
    start_sparsity :
        How they are masked; None = as the density and the mask updates say.
    """

    model: str
    configuration: Configuration | None = None
    density: float = 1.0
    is_sparse_wide: bool = False
    mask_updates: MaskUpdates | None = None
    schedule: str = TRAIN["schedule"]
    parametrization: ParametrizationName = "smupar"
    seed: int = TRAIN["seed"]
    system: str = TRAIN["system"]
    num_csx: int
    batch_size: int
    seq_len: int
    tokens: float
    release: str = TRAIN["release"]
    gpu: str = TRAIN["gpu"]
    gpu_software: str = TRAIN["gpu_software"]
    num_gpus: int
    budget_s: float = parse_seconds(TRAIN["budget"], "budget")
    data: str = TRAIN["data"]
    tokenizer: str = TRAIN["tokenizer"]
    text_field: str = TRAIN["text_field"]
    host: Host = Host()
    start: Imported | None = None
    start_sparsity: tuple[Algorithm, ...] | None = None

    @property
    def preset(self) -> ModelPreset:
        preset = _preset(self.model, self.start) if self.configuration is None else self.configuration.preset
        if not self.is_sparse_wide:
            return preset
        return msgspec.structs.replace(preset, shape=sparse_wide(preset.shape, self.density))

    @property
    def tokens_per_parameter(self) -> float:
        return self.tokens / n_parameters(self.preset.shape)

    def simulated_run(self, density: float) -> Run:
        """The target as the simulator takes it."""
        return Run(
            shape=self.preset.shape,
            system=self.system,
            num_csx=self.num_csx,
            batch_size=self.batch_size,
            seq_len=self.seq_len,
            tokens=self.tokens,
            density=density,
            release=self.release,
            seed=self.seed,
            mask_updates=self.mask_updates if density < 1.0 else None,
        )

    @property
    def algorithm_name(self) -> str:
        """Of the sparsity algorithm; `dense` where nothing is masked."""
        if self.density == 1.0:
            return "dense"
        return "static" if self.mask_updates is None else self.mask_updates.algorithm

    def algorithm(self, n_steps: int) -> Algorithm | tuple[Algorithm, ...]:
        """The target's sparsity algorithm for a run of `n_steps`, whose masks change as often in the course of it."""
        updates, configuration = self.mask_updates, self.configuration
        if self.start_sparsity is not None:
            return self.start_sparsity
        if configuration is not None and self.density < 1.0:
            of, algorithms = configuration.n_steps, configuration.run.sparsity
            return tuple(stretched(each, of=of, n_steps=n_steps) for each in algorithms)
        if updates is None or self.density == 1.0:
            return make_algorithm("static")
        target_steps = self.tokens / (self.batch_size * self.seq_len)
        return make_algorithm(
            updates.algorithm,
            update_freq=max(1, round(updates.every_steps * n_steps / target_steps)),
            update_stop=float(updates.until),
        )

    @property
    def warmup_fields(self) -> dict[str, Any]:
        """What the configuration says of the warm-up, as fields of `TrainConfig`; nothing without one."""
        configuration = self.configuration
        if configuration is None:
            return {}
        training, recipe = configuration.training, configuration.recipe
        warmup = training.warmup
        if self.schedule != training.schedule and recipe is not None:
            # A schedule that is written piece by piece has its warm-up among them; another one needs it beside.
            warmup = f"{recipe.warmup_steps}/{recipe.n_steps}"
        return {"warmup": warmup, "first_step_lr": training.first_step_lr}

    @property
    def name(self) -> str:
        """Of the run's folder: what tells it from its neighbours."""
        model = self.preset.shape.name.replace("/", "-")
        schedule = re.sub(r"[^\w.=-]+", "_", self.schedule).strip("_")  # without what a shell would read
        if len(schedule) > _LONGEST_SCHEDULE:
            schedule = f"{schedule.partition('_')[0]}-{sha256(schedule.encode()).hexdigest()[:8]}"
        updates = "" if self.mask_updates is None else f"-{self.mask_updates.algorithm}"
        mode = "" if self.host.mode == "auto" else f"-{self.host.mode}"
        if self.start is not None:
            mode += "-from-weights"
        return f"{model}-density-{self.density:g}{updates}-{schedule}-{self.parametrization}-seed-{self.seed}{mode}"


def resolve_job(
    model: str,
    *,
    num_csx: int | None = None,
    batch_size: int | None = None,
    seq_len: int | None = None,
    tokens: float | None = None,
    num_gpus: int | None = None,
    **given: Any,
) -> Job:
    """The job, with the published recipe's numbers where the user gave none.

    Raises
    ------
    SpecError
        When something is unknown or missing; the message names it.
    """
    parse_schedule(given.get("schedule", TRAIN["schedule"]))
    start = given.get("start")
    if start is None and "parametrization" in given:
        choose(given["parametrization"], PARAMETRIZATIONS, "parametrization")
    target = {name: given[name] for name in _OF_THE_RUN if name in given}
    run = resolve_run(
        _preset(model, start), num_csx=num_csx, batch_size=batch_size, seq_len=seq_len, tokens=tokens, **target
    )
    return Job(
        model=model,
        num_csx=run.num_csx,
        batch_size=run.batch_size,
        seq_len=run.seq_len,
        tokens=run.tokens,
        num_gpus=GPUS_PER_CSX * run.num_csx if num_gpus is None else num_gpus,
        **given,
    )


def job_from(
    *,
    model: str | None = None,
    sparsity_algorithm: str = "static",
    mask_update_steps: int | None = None,
    budget: float | None = None,
    batch_size: int | None = None,
    parametrization: str | None = None,
    init_from: str | None = None,
    mask_init: StartMask | None = None,
    **given: Any,
) -> Job:
    """The job that a user describes by the options of `wse-sim train`, one value each.

    Parameters
    ----------
    budget :
        Seconds.
    batch_size :
        Of the target, and where the target itself trains, of the run here.
    parametrization :
        None = SμPar; with `init_from`, what the folder's weights are of (`training.imported.imported`).
    init_from, mask_init :
        Folder whose weights the run begins with, and how masks are chosen of them; then the model may be left out.
    given :
        Other fields of `Job` and of `training.host.Host`.

    Raises
    ------
    SpecError
        As `resolve_job`, and when options do not go together.
    """
    host = Host(**{name: given.pop(name) for name in Host.__struct_fields__ if name in given})
    if host.is_itself:
        host = msgspec.structs.replace(host, batch_size=batch_size)
    if init_from is None:
        if model is None:
            raise SpecError(NO_MODEL)
        if mask_init is not None:
            raise SpecError("--mask-init is about weights that are there: give --init-from too")
        given |= {} if parametrization is None else {"parametrization": parametrization}
    else:
        _require_itself(host, given.get("is_sparse_wide", False), None if mask_init is None else sparsity_algorithm)
        given |= fields_of_job(init_from, model, parametrization, mask_init, given.get("density", 1.0))
    if budget is not None:
        given["budget_s"] = budget
    return resolve_job(
        model or init_from or "",
        mask_updates=mask_updates_of(sparsity_algorithm, mask_update_steps),
        batch_size=batch_size,
        host=host,
        **given,
    )


def free_folder(name: str) -> Path:
    """A folder under runs/ that no run has taken yet."""
    folder, n = RUNS / name, 1
    while folder.exists():
        n += 1
        folder = RUNS / f"{name}-{n}"
    return folder


def require_masks(densities: Iterable[float], algorithm: str) -> None:
    """Raises SpecError when masks are to change, and there are none at any density."""
    if algorithm != "static" and min(densities) == 1:
        raise SpecError(f"--sparsity-algorithm {algorithm} has nothing to mask at density 1: give --density too")


def _require_itself(host: Host, is_sparse_wide: bool, masked_by: str | None) -> None:
    """Raise SpecError where what trains is not the model whose weights are given, or its masks are not the weights'."""
    if not host.is_itself:
        raise SpecError("--init-from gives the weights of the model itself: name --mode dense or --mode full too")
    if is_sparse_wide:
        raise SpecError("--sparse-wide makes another model than the one of --init-from: leave one out")
    if masked_by not in (None, "static"):
        raise SpecError(f"--mask-init is of masks that stay, and those of {masked_by} change: leave one out")


def _preset(model: str, start: Imported | None) -> ModelPreset:
    """The model that the user named; of weights alone, the model of those."""
    return ModelPreset(shape=start.shape) if start is not None and model == start.folder else load_model(model)


def target_base(job: Job) -> BaseHyperparameters:
    """The hyper-parameters that the target would be trained with: published, or those of the weights it begins with."""
    if job.start is not None and job.start.base is not None:
        return job.start.base
    return base_for(job.preset, job.parametrization)


def target_hyperparameters(job: Job) -> dict[str, Any]:
    """Learning rate and initial standard deviation of the target, for each role, with their source."""
    base, shape = target_base(job), job.preset.shape
    factors = factors_of(shape, base, job.density)
    roles = {}
    for role in ("embedding", "hidden_in", "hidden_out"):
        rule = rules_of(job.parametrization)[role]
        roles[role] = {
            "peak_lr": base.peak_lr * rule.lr_multiplier(factors),
            "init_std": rule.init_std(base.sigma(role), factors),
        }
    return {"peak_lr": base.peak_lr, "d_base": base.d_base, "source": base.source, "roles": roles}


def write_job(job: Job, run_dir: Path) -> None:
    """Keep the job in a new run's folder.

    Raises
    ------
    SpecError
        When the folder holds a run already, or cannot be written.
    """
    path = run_dir / TARGET_FILE
    if path.exists():
        raise SpecError(f"{run_dir}: holds another run; name another folder with --out, or go on with it with --resume")
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{run_dir}: cannot be made: {error.strerror}; name another folder with --out") from None
    write_atomically(path, toml_text(job).encode())


def read_job(run_dir: Path) -> Job:
    """The job of a run's folder.

    Raises
    ------
    SpecError
        When the folder holds no run.
    """
    path = run_dir / TARGET_FILE
    if not path.is_file():
        raise SpecError(f"{run_dir}: there is no run to resume here, it would hold {TARGET_FILE}")
    return convert(read_toml(path), Job, str(path))
