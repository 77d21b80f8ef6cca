"""Everything a training run needs to know, in one frozen record that reads and writes TOML."""

from pathlib import Path

import msgspec

from models.parametrization import (
    BASES,
    BaseHyperparameters,
    InitialDraw,
    Parametrization,
    ParametrizationName,
    WeightDecayScaling,
)
from training.execution import Clip, Execution, OnNan
from training.schedules import FirstStepLr, lr_factor, warmup_steps
from training.sparsity import SparsityPlan, plan_sparsity
from wse_sim.errors import SpecError
from wse_sim.spec.load import convert, read_toml
from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number
from wse_sim.spec.sparsity import Algorithm, Static, configure

_AT_LEAST_ONE = (
    "n_eval_sequences",
    "eval_interval",
    "log_interval",
    "checkpoint_interval",
    "last_checkpoints",
    "n_threads",
)
_MOST_BETA_IN_BF16 = 0.99  # 1 - beta is to be more than a step of 2^-8
N_EVAL_SEQUENCES = 256  # by default
CONFIG_FILE = "config.toml"  # in a run's folder
_DENSITY_SLACK = 1e-4  # the counts of an Erdős-Rényi share are whole numbers


class Branch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The checkpoint of another run that a run starts from.

    Parameters
    ----------
    run :
        Name of that run's folder.
    step :
        Optimizer steps it had done.
    sha256 :
        Of the checkpoint's tensor file.
    """

    run: str
    step: int
    sha256: str


class InitFrom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder for `transformers` whose weights a run starts from.

    Parameters
    ----------
    folder :
        With `config.json` and safetensors.
    sha256 :
        Of its weights (`models.hugging_face.tensors.digest`), to be held against it; the trainer fills it in.
    """

    folder: str
    sha256: str | None = None


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What trains, on what, for how long.

    Parameters
    ----------
    shape :
        Of the model that trains (the proxy, where one trains in place of the target).
    parametrization, weight_decay_scaling :
        By which rules `base` is transferred, and whether learning rate times weight decay stays that of the base.
    seed :
        Of weights, masks and the order of the data.
    n_steps :
        Optimizer steps.
    weight_decay, betas, eps :
        Of AdamW.
    density :
        Of the hidden matrices, in (0, 1]; where masks change, the one they end at (of SPDF, the one before they are
        lifted). Where `sparsity` names its own, this is what follows from it.
    sparsity :
        How weights are masked: an algorithm of `wse_sim.spec.sparsity`, or several with filters, the first match wins.
    base :
        Hyper-parameters that the parameterization transfers; its peak_lr is the base learning rate.
    schedule :
        As `training.schedules.parse_schedule` reads it: `linear`, `wsd(cooldown=0.1,shape=1-sqrt)`.
    batch_size :
        Sequences per optimizer step.
    seq_len :
        Tokens per sequence, at most shape.seq_len.
    warmup :
        `10%` or `0.1` of n_steps, `346 steps` or `375e6 tokens`, rounded to a step.
    first_step_lr :
        Whether the warm-up begins with its first increment or with a learning rate of zero.
    clip :
        Largest norm of the whole gradient, anything above is scaled down to it; or `none`.
    on_nan :
        What becomes of a step whose loss or gradient is no finite number: `stop` ends the run, `skip` leaves weights,
        moments and masks as they were, and goes on to the next batch.
    eval_interval, log_interval, checkpoint_interval :
        In steps. Evaluation and checkpoint also happen after the last step.
    last_checkpoints :
        That are kept; older ones go.
    kept_checkpoints :
        Steps after which a checkpoint is written, and kept when later ones come: to branch from.
    branch :
        Where the run starts, if not from the beginning; the trainer fills it in.
    init_from :
        Weights to begin with, in place of drawn ones.
    n_eval_sequences :
        Held-out sequences per evaluation, the same ones every time.
    data :
        `stdlib`: sources of the Python standard library; `markov`, `markov:seed=3,order=2`: the synthetic source; else
        a path of text or tokens (`training.data.load_corpus`).
    tokenizer :
        Of text: `bytes`, `bpe:8192`, a `tokenizer.json`, or a folder of GPT-2's files.
    text_field :
        That holds the text, where data are lines of JSON or tables.
    n_threads :
        CPU threads. Part of the run's identity: sums split over other threads round otherwise.
    initial_draw :
        Where initial weights come from: `torch`, or `philox`, of which large sparse models need a small part only
        (`models.build.initialize`).
    execution :
        How it is computed.
    """

    shape: ModelShape
    base: BaseHyperparameters = BASES["bytes-64"]
    parametrization: ParametrizationName = "smupar"
    weight_decay_scaling: WeightDecayScaling = "none"
    seed: int = 0
    density: float = 1.0
    sparsity: Algorithm | tuple[Algorithm, ...] = Static()
    schedule: str = "linear"
    n_steps: int
    batch_size: int
    seq_len: int
    warmup: str = "10%"
    first_step_lr: FirstStepLr = "first_increment"
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    clip: Clip = 1.0
    on_nan: OnNan = "stop"
    eval_interval: int = 250
    n_eval_sequences: int = N_EVAL_SEQUENCES
    log_interval: int = 10
    checkpoint_interval: int = 500
    last_checkpoints: int = 2
    kept_checkpoints: tuple[int, ...] = ()
    branch: Branch | None = None
    init_from: InitFrom | None = None
    data: str = "stdlib"
    tokenizer: str = "bytes"
    text_field: str = "text"
    n_threads: int = 1
    initial_draw: InitialDraw = "torch"
    execution: Execution = Execution()

    def __post_init__(self) -> None:
        for key in ("n_steps", "batch_size", "seq_len"):
            check_number(key, getattr(self, key), f"training configuration: {key}")
        for key in _AT_LEAST_ONE:
            _require(getattr(self, key) >= 1, key, getattr(self, key), "at least 1")
        _require(0 < self.density <= 1, "density", self.density, "in (0, 1]; density = 1 - sparsity")
        self.lr_factor(self.n_steps - 1)  # refuses a schedule or a warm-up that does not fit the run
        _require(
            self.seq_len <= self.shape.seq_len, "seq_len", self.seq_len, f"at most shape.seq_len = {self.shape.seq_len}"
        )
        _require(
            self.shape.vocab_size >= 256,
            "shape.vocab_size",
            self.shape.vocab_size,
            "at least 256, the values of a byte",
        )
        _require(all(0 <= beta < 1 for beta in self.betas), "betas", self.betas, "in [0, 1)")
        if self.execution.moments == "bf16":
            right = "at most 0.99 where moments are bf16: a smaller change of an average is lost in its 8 bits"
            _require(max(self.betas) <= _MOST_BETA_IN_BF16, "betas", self.betas, right)
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "at least 0")
        _require(self.eps > 0, "eps", self.eps, "positive")
        _require(self.clip == "none" or self.clip > 0, "clip", self.clip, 'positive, or "none"')
        if self.on_nan == "skip" and self.takes_gradients_at_once:
            right = "stop, or clip a number such as 1.0: without one, streaming steps along each gradient at once"
            _require(False, "on_nan", "skip", right)
        _require(0 <= self.seed < 2**63, "seed", self.seed, "in [0, 2^63)")
        _require(all(step >= 1 for step in self.kept_checkpoints), "kept_checkpoints", self.kept_checkpoints, "steps")
        self._settle_sparsity()

    @property
    def n_warmup_steps(self) -> int:
        return warmup_steps(self.warmup, n_steps=self.n_steps, tokens_per_step=self.tokens_per_step)

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * self.seq_len

    def lr_factor(self, step: int) -> float:
        """Learning rate of a step, from 0, as a fraction of the peak."""
        return lr_factor(self.schedule, step, self.n_steps, self.n_warmup_steps, self.first_step_lr)

    @property
    def takes_gradients_at_once(self) -> bool:
        """Weights change before the whole gradient is known, so a step cannot be skipped for it."""
        return self.clip == "none" and self.execution.executor == "streaming"

    @property
    def algorithms(self) -> tuple[Algorithm, ...]:
        """`sparsity` as a tuple."""
        return self.sparsity if isinstance(self.sparsity, tuple) else (self.sparsity,)

    @property
    def sparsity_plan(self) -> SparsityPlan:
        """Which tensors are masked, when, and to what density."""
        return plan_sparsity(self.algorithms, self.shape, density=self.density, n_steps=self.n_steps)

    @property
    def parameters_transfer_by(self) -> Parametrization:
        """The rules and the base that `models.build` takes."""
        return Parametrization(
            name=self.parametrization, base=self.base, weight_decay_scaling=self.weight_decay_scaling
        )

    def _settle_sparsity(self) -> None:
        """One algorithm is no tuple; and where the algorithms name the density, it follows from them."""
        if len(self.algorithms) == 1:
            msgspec.structs.force_setattr(self, "sparsity", self.algorithms[0])
        if self.sparsity == Static():
            return
        density = self.sparsity_plan.density
        if self.density == 1.0:
            msgspec.structs.force_setattr(self, "density", density)
        right = f"{density:.6g}, what the sparsity of the hidden matrices makes together, or be left out"
        _require(abs(self.density - density) <= _DENSITY_SLACK, "density", self.density, right)


def read_config(path: Path) -> TrainConfig:
    """The configuration in a TOML file.

    Raises
    ------
    SpecError
        When the file cannot be read or a key or value is wrong; names the file, the key and the nearest right key.
    """
    table = read_toml(path)
    if "sparsity" in table:
        table["sparsity"] = configure(table["sparsity"], f"{path}: sparsity")
    return convert(table, TrainConfig, str(path))


def _require(holds: bool, key: str, value: object, right: str) -> None:
    if not holds:
        raise SpecError(f"training configuration: {key} is {value}, it must be {right}")
