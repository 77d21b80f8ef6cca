"""The parameters of each question, once: what the functions take by keyword, and what the commands take as options.

They are called as on the command line, and take what is written there too: `tokens="26.3B"`, `budget="3m"`.
"""

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from wse_sim.api.configured import Configured
    from wse_sim.spec.economics import Economics
    from wse_sim.spec.operations import Operations

LAWS = ("auto", "power", "chinchilla", "sparse")  # of the loss
CONVENTIONS = ("paper", "algorithmic", "palm", "6nd")  # of FLOPs

Named = str | PathLike[str]  # a name in the data, or a file of the user's own
Whole = int | str
Number = float | str
Wholes = Whole | Iterable[Whole]  # one, several, or several as text: 1,2,4
Numbers = Number | Iterable[Number]
Names = Named | Iterable[Named]


class RunParameters(TypedDict, total=False):
    """A run on a wafer-scale cluster; what is None or missing comes from the model's recipe, or is the fastest.

    `config` describes it in place of a model: files of Cerebras ModelZoo, or one of our own; what is said beside it
    wins.
    """

    config: "Names | Configured | None"
    system: Named
    num_csx: Whole | None
    batch_size: Whole | None
    microbatch: Whole | None
    seq_len: Whole | None
    density: Number | None
    sparsity: Number | None
    sparse_wide: bool
    release: str
    tokens: Number | None
    seed: Whole


class ImperfectionParameters(TypedDict, total=False):
    """What makes systems and masks less than ideal."""

    jitter: Number
    straggler: Number
    sparsity_algorithm: str
    mask_update_steps: Whole | None


class EconomicsParameters(TypedDict, total=False):
    """How energy, carbon and money are counted; `economics` is a file, or a record."""

    price_basis: str
    grid: Number | None
    electricity_usd_per_kwh: Number | None
    pue: Number | None
    economics: "Named | Economics | None"


class OperationsParameters(TypedDict, total=False):
    """How the cluster is run; `operations` is a file, or a record."""

    system_mtbf: Number | None
    cluster_mtbf: Number | None
    no_failures: bool
    checkpoint_interval: Number | None
    operations: "Named | Operations | None"


class GpuParameters(TypedDict, total=False):
    """Which GPUs, and how they share the work; what is None is searched."""

    gpu: Named
    num_gpus: Whole | None
    gpu_software: Named
    precision: str
    two_four: bool
    tp: Whole | None
    cp: Whole | None
    pp: Whole | None
    interleave: Whole | None
    microbatch_gpu: Whole | None
    recompute_gpu: str | None
    sharding: str | None


class SimulateParameters(RunParameters, ImperfectionParameters, EconomicsParameters, OperationsParameters, total=False):
    """Of `simulate`."""

    mask_from: Named | None
    engine: str | None


class CompareParameters(
    RunParameters, ImperfectionParameters, GpuParameters, EconomicsParameters, OperationsParameters, total=False
):
    """Of `compare`."""

    layouts: Whole
    here: Number | None


class PlanParameters(EconomicsParameters, OperationsParameters, total=False):
    """Of `plan`: limits with their units as text (`"10d"`, `"1.2MW"`), and the values of each axis."""

    deadline: str | None
    max_cost: Number | None
    max_power: str | None
    max_energy: str | None
    max_carbon: str | None
    target_loss: Number | None
    max_csx: Whole | None
    minimise: str | None
    system: Names
    num_csx: Wholes | None
    batch_size: Wholes | None
    microbatch: Wholes | None
    density: Numbers | None
    sparsity: Numbers | None
    schedule: Names | None
    tpp: Numbers | None
    seq_len: Whole | None
    release: str
    seed: Whole


class SweepParameters(TypedDict, total=False):
    """The keys of `sweep`: one value or several each, and every combination is a point; None = no such key."""

    system: Names | None
    num_csx: Wholes | None
    batch_size: Wholes | None
    microbatch: Wholes | None
    seq_len: Wholes | None
    density: Numbers | None
    sparsity: Numbers | None
    release: Names | None
    tokens: Numbers | None
    seed: Wholes | None
    jitter: Numbers | None
    straggler: Numbers | None
    sparsity_algorithm: Names | None
    mask_update_steps: Wholes | None
    gpu: Names | None
    num_gpus: Wholes | None
    gpu_software: Names | None
    precision: Names | None
    two_four: Names | bool | Iterable[bool] | None
    tp: Wholes | None
    cp: Wholes | None
    pp: Wholes | None
    interleave: Wholes | None
    microbatch_gpu: Wholes | None
    recompute_gpu: Names | None
    sharding: Names | None
    schedule: Names | None
    peak_lr: Numbers | None
    mode: Names | None
    steps: Wholes | None
    budget: Numbers | None


class ProjectParameters(TypedDict, total=False):
    """Of `project`."""

    density: Number | None
    sparsity: Number | None
    tpp: Number | None
    law: str
    convention: str
    seed: Whole


class TrainParameters(TypedDict, total=False):
    """Of `train`: of the full-size run, and of the one that is made here."""

    config: "Names | Configured | None"
    density: Number | None
    sparsity: Number | None
    sparse_wide: bool
    sparsity_algorithm: str
    mask_update_steps: Whole | None
    schedule: str
    parametrization: str | None
    seed: Whole
    system: Named
    num_csx: Whole | None
    batch_size: Whole | None
    seq_len: Whole | None
    tokens: Number | None
    release: str
    gpu: Named
    gpu_software: Named
    num_gpus: Whole | None
    budget: Number
    on_nan: str | None
    mode: str
    steps: Whole | None
    microbatch: Whole | None
    precision: str | None
    device: str | None
    peak_lr: Number | None
    clip: Number
    recompute: str | None
    moments: str
    store: Named | None
    compile: bool
    sharding: str
    data: Named
    tokenizer: Named
    text_field: str
    init_from: Named | None
    mask_init: str | None
    log: Names | None
    trace_steps: Whole | None
    trace_max_bytes: Number | None
    remeasure: bool
