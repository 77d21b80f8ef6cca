"""What the user asked for, with every default resolved: the target of a run."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from models.bases import BaseHyperparameters, base_for
from models.rules import ParametrizationName, factors_of, rules_of
from training.execution import OnNan
from training.host import Host
from training.imported import Imported
from training.toml_text import toml_text
from wse_sim.defaults import TRAIN
from wse_sim.errors import SpecError
from wse_sim.files import make_folder, require_folder, write_atomically
from wse_sim.report import run_files
from wse_sim.run_lock import require_idle
from wse_sim.spec.configuration import Configuration
from wse_sim.spec.load import as_preset, convert, read_toml
from wse_sim.spec.model import ModelPreset
from wse_sim.spec.ranges import check_number
from wse_sim.spec.run import MaskUpdates, Run
from wse_sim.spec.sparsity import Algorithm, make_algorithm, stretched
from wse_sim.spec.written import parse_seconds
from wse_sim.workload.sparse_wide import sparse_wide
from wse_sim.workload.transformer import n_parameters

TARGET_FILE, RUNS = run_files.TARGET, Path("runs")
_STARTED_IN = "started_in"  # in that file, beside the job

_LONGEST_SCHEDULE = 80  # letters in the name of a folder, which takes 255


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The target of a run: the full-size model, how and where it would be trained, and what may be spent here.

    Parameters
    ----------
    model :
        Preset, shape TOML, or Hugging Face config.json; what these hold; the name alone where there is a configuration.
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
    on_nan :
        As in `TrainConfig`; None = stop.
    host :
        What else is asked of the run made here.
    data, tokenizer, text_field :
        As in `TrainConfig`.
    start :
        Weights that the run here begins with; None = drawn ones.
    start_sparsity :
        How they are masked; None = as the density and the mask updates say.
    """

    model: str | ModelPreset
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
    on_nan: OnNan | None = None
    host: Host = Host()
    start: Imported | None = None
    start_sparsity: tuple[Algorithm, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("num_gpus", "budget_s"):  # whoever simulates the target checks the others
            check_number(name, getattr(self, name))

    @property
    def preset(self) -> ModelPreset:
        preset = preset_of(self.model, self.start) if self.configuration is None else self.configuration.preset
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


def preset_of(model: str | ModelPreset, start: Imported | None) -> ModelPreset:
    """The model that the user named; of weights alone, the model of those."""
    return ModelPreset(shape=start.shape) if start is not None and model == start.folder else as_preset(model)


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


def require_free(run_dir: Path, job: Job, *, is_of_several: bool = False) -> None:
    """Make sure that a folder is free for a run: it may hold this very job, if nothing was trained for it yet.

    Parameters
    ----------
    is_of_several :
        It is for the folder that this run will have among others.

    Raises
    ------
    SpecError
        When it holds another run, one that has begun, or several, or a process is at work in it.
    """
    require_idle(run_dir)
    if (run_dir / run_files.RUNS).exists():
        what, which = "several runs", "them"
    elif (run_dir / TARGET_FILE).exists() and (is_of_several or _has_begun(run_dir) or read_job(run_dir) != job):
        what, which = "another run", "it"
    else:
        return
    raise SpecError(f"{run_dir}: holds {what}; name another folder with --out, or go on with {which} with --resume")


def _has_begun(run_dir: Path) -> bool:
    return (run_dir / run_files.ROWS).exists()


def write_job(job: Job, run_dir: Path) -> None:
    """Keep the job in a new run's folder, and the current folder, which what it names by relative paths is found from.

    Raises
    ------
    SpecError
        As `require_free`, and when the folder cannot be written.
    """
    require_free(run_dir, job)
    make_folder(run_dir)
    content = {_STARTED_IN: str(Path.cwd()), **msgspec.structs.asdict(job)}
    write_atomically(run_dir / TARGET_FILE, toml_text(content).encode())


def read_job(run_dir: Path) -> Job:
    """The job of a run's folder.

    Raises
    ------
    SpecError
        When the folder holds no run.
    """
    return convert(_read(run_dir)[0], Job, str(run_dir / TARGET_FILE))


@contextmanager
def where_it_started(run_dir: Path) -> Iterator[Path]:
    """The folder of a run that goes on; meanwhile the current folder is the one in which the run was started.

    So the data, tokenizer, model, system, weights and store that it names by relative paths are found from wherever the
    user calls. Where that folder is gone, or another user's, the current one stays.

    Raises
    ------
    SpecError
        As `read_job`.
    """
    started_in, here, absolute = _read(run_dir)[1], Path.cwd(), run_dir.resolve()
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(chdir(started_in))
        yield run_dir if here == Path.cwd() else absolute


def _read(run_dir: Path) -> tuple[dict[str, Any], str]:
    """The table of a run's job, and the folder in which the run was started."""
    path = run_dir / TARGET_FILE
    if not path.is_file():
        require_folder(run_dir)
        run_files.require_one_run(run_dir)
        raise SpecError(f"{run_dir}: there is no run to resume here, it would hold {TARGET_FILE}")
    table = read_toml(path)
    started_in = table.pop(_STARTED_IN, ".")  # older versions did not say
    if not isinstance(started_in, str):
        raise SpecError(f"{path}: {_STARTED_IN} is {started_in!r}, it must be the folder in which the run was started")
    return table, started_in


def free_folder(name: str) -> Path:
    """A folder under runs/ that no run has taken yet."""
    folder, n = RUNS / name, 1
    while folder.exists():
        n += 1
        folder = RUNS / f"{name}-{n}"
    return folder
