"""A configuration of Cerebras ModelZoo as one of ours, and what became of each of its keys."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from wse_sim.errors import SpecError
from wse_sim.spec.configuration import Configuration, RunTable, TrainingTable
from wse_sim.spec.model import Recipe
from wse_sim.spec.model_zoo.initial_weights import base_of, parametrization_of
from wse_sim.spec.model_zoo.learning_rate import LearningRate, learning_rate, written
from wse_sim.spec.model_zoo.ledger import Affects, Ledger, Section
from wse_sim.spec.model_zoo.legacy import is_legacy, moved
from wse_sim.spec.model_zoo.optimizers import AdamW, adamw_of
from wse_sim.spec.model_zoo.shapes import shape_of
from wse_sim.spec.model_zoo.sparse import sparsity_of
from wse_sim.spec.model_zoo.yaml_text import read_yaml

_MOST_EVALUATED = 256  # sequences: an evaluation here is to take about as long as a few steps
_HALVES = ("float16", "bfloat16", "cbfloat16")
# Callbacks of theirs that change what a run computes.
_CALLBACKS: dict[str, tuple[str, Affects]] = {
    "Lora": ("all weights train here, none through adapters", "both"),
    "SelectiveGrad": ("every token counts in the loss here", "training"),
    "WeightCompression": ("weights are not compressed here", "both"),
    "LoadCheckpointStates": ("the run starts from its initial weights, not from a checkpoint of theirs", "training"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One `trainer:` of a file.

    Parameters
    ----------
    rate :
        Its schedule; None where the optimizer or the scheduler is none that trains here.
    n_steps :
        That it runs for.
    """

    configuration: Configuration
    rate: LearningRate | None
    n_steps: int


class _Loop(NamedTuple):
    n_steps: int
    eval_interval: int | None
    eval_steps: int | None


def read_phases(path: str, ledger: Ledger) -> list[Phase]:
    """The phases that a YAML file of Cerebras ModelZoo describes: one, or several where `trainer:` is a list.

    Raises
    ------
    SpecError
        When the file cannot be read, is in no form of theirs, or says what cannot be followed.
    """
    document = read_yaml(path)
    if is_legacy(document.content):
        document = moved(document)
    root = Section(document.content, (), document, ledger)
    if "trainer" not in root:
        raise SpecError(f"{path}: there is no trainer: the form of Cerebras ModelZoo is trainer: init: ..., fit: ...")
    if not isinstance(document.content["trainer"], list):
        phases = [_phase(root.section("trainer"), path)]
    else:
        entries = root.value("trainer", "")
        phases = []
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict) or list(entry) != ["trainer"]:
                root.wrong("trainer", entry, "a list of mappings, each with a trainer of its own")
            each = Section(entry, ("trainer", number), document, ledger)
            phases.append(_phase(each.section("trainer"), path))
    root.finish()
    return phases


def _phase(trainer: Section, path: str) -> Phase:
    init, fit = trainer.section("init"), trainer.section("fit")
    data, model = fit.section("train_dataloader"), init.section("model")
    cannot_train: list[str] = []
    seq_len = data.integer("max_sequence_length", "seq_len", None)
    shape = shape_of(model, seq_len=seq_len, name=_name(path))
    loop, num_csx = _loop(init), _num_csx(init)
    batch_size = data.integer("batch_size", "batch_size")
    adamw, rate = _optimizer(init, cannot_train)
    clip, precision = _precision(init, cannot_train)
    parametrization = parametrization_of(model)
    base = base_of(model, shape, parametrization, peak_lr=rate.peak if rate else 1.0, cannot_train=cannot_train)
    algorithms, density = sparsity_of(init, shape, loop.n_steps)
    said = {"batch_size": batch_size, "n_steps": loop.n_steps, "num_csx": num_csx}
    recipe = None
    if adamw is not None and rate is not None:
        recipe = Recipe(
            **said,
            parametrization=parametrization,
            warmup_steps=rate.n_warmup_steps,
            peak_lr=rate.peak,
            end_lr_fraction=rate.end_fraction,
            decay=rate.decay,
            adam_eps=adamw.eps,
            betas=adamw.betas,
            weight_decay=adamw.weight_decay,
            clip=clip,
            source=path,
        )
        said = {}
    training = {
        **(written(rate, loop.n_steps)._asdict() if rate else {}),
        "precision": precision,
        "eval_interval": loop.eval_interval,
        "n_eval_sequences": _n_evaluated(fit, loop, batch_size),
        "log_interval": _interval(init, "logging", "log_steps", "log_interval"),
        "checkpoint_interval": _interval(init, "checkpoint", "steps", "checkpoint_interval"),
        "data": _data(data),
        "cannot_train": tuple(cannot_train),
    }
    run = {
        **said,
        "seq_len": seq_len or shape.seq_len,
        "density": density,
        "sparsity": algorithms,
        "seed": init.integer("seed", "seed", 0, at_least=0),
    }
    _callbacks(init)
    for section in (data, fit, model, init, trainer):
        section.finish()
    ledger = trainer.ledger
    configuration = Configuration(
        shape=shape,
        recipe=recipe,
        base=base if recipe else None,
        run=RunTable(**run, differs=ledger.differences("simulation")),
        training=TrainingTable(**training, differs=ledger.differences("training")),
    )
    return Phase(configuration=configuration, rate=rate, n_steps=loop.n_steps)


def _name(path: str) -> str:
    return Path(path).stem.removeprefix("params_")


def _loop(init: Section) -> _Loop:
    loop = init.section("loop")
    n_steps = loop.integer("num_steps", "n_steps", None)
    max_steps = loop.integer("max_steps", "n_steps", None)
    if n_steps is None and max_steps is None:
        raise SpecError(f"{loop.document.place(loop.path)}: there is no max_steps: say how long the run is in steps")
    frequency = loop.number("eval_frequency", "evaluation every {value} steps, or that share of the run", None)
    n_steps = max_steps if n_steps is None else n_steps
    if frequency is not None and frequency <= 1.0:
        frequency = max(1, round(frequency * n_steps)) if frequency > 0 else None
    eval_steps = loop.integer("eval_steps", f"batches of an evaluation, at most {_MOST_EVALUATED} sequences here", None)
    loop.finish()
    return _Loop(n_steps, None if frequency is None else int(frequency), eval_steps)


def _optimizer(init: Section, cannot_train: list[str]) -> tuple[AdamW | None, LearningRate | None]:
    adamw = adamw_of(init.section("optimizer"), cannot_train)
    schedulers = init.value("schedulers", "", [])
    rate = learning_rate(schedulers, init, adamw.constant_lr if adamw else None) if schedulers or adamw else None
    return adamw, rate


def _num_csx(init: Section) -> int | None:
    backend = init.section("backend", needed=False)
    cluster = backend.section("cluster_config", needed=False)
    n: int | None = cluster.integer("num_csx", "num_csx", None)
    cluster.finish()
    backend.finish()
    return n


def _precision(init: Section, cannot_train: list[str]) -> tuple[float | None, str]:
    """Largest norm of the gradient, None where it is not clipped; and the precision of matrix products."""
    if "precision" not in init:
        init.assume("precision", "none", "matrix products in 32 bits, no clipping")
        return None, "fp32"
    precision = init.section("precision")
    is_mixed = precision.flag("enabled", "matrix products in 16 bits", True)
    precision.one_way(
        "fp16_type",
        precision.word("fp16_type", "", "bfloat16", options=_HALVES),
        "bfloat16",
        "matrix products are computed in bfloat16 here",
        "training" if is_mixed else "nothing",
    )
    clip = precision.number("max_gradient_norm", "clip", None)
    if "max_gradient_value" in precision:
        cannot_train.append("gradients are clipped one by one (max_gradient_value): wse-sim clips their norm")
        precision.ignore("max_gradient_value", "gradients are clipped by their norm here", "training")
    precision.finish()
    return clip or None, "bf16" if is_mixed else "fp32"


def _n_evaluated(fit: Section, loop: _Loop, batch_size: int) -> int | None:
    """Sequences of an evaluation: batches of the first set that it reads."""
    sets = fit.value("val_dataloader", "", None)
    if sets is not None:
        why = "the held-out part of the data is what evaluates here; of its batch_size are the eval_steps"
        fit.note("val_dataloader", sets, why, "nothing")
    first = sets[0] if isinstance(sets, list) and sets else sets
    if loop.eval_steps is None or not isinstance(first, dict):
        return None
    size = first.get("batch_size", batch_size)
    return min(_MOST_EVALUATED, loop.eval_steps * (size if isinstance(size, int) else batch_size))


def _interval(init: Section, section: str, key: str, became: str) -> int | None:
    table = init.section(section, needed=False)
    value: int | None = table.integer(key, became + " {value}", None)
    table.finish()
    return value


def _data(data: Section) -> str | None:
    """The folder of the data where there is one and it is here."""
    folders = data.value("data_dir", "", None)
    listed = [folders] if isinstance(folders, str) else folders or []
    here = [folder for folder in listed if isinstance(folder, str) and Path(folder).exists()]
    if len(listed) == 1 and here:
        data.understand("data_dir", here[0], "data")
        return here[0]
    if listed:
        why = "is not here: --data names what trains in its place" if not here else "one folder alone: --data names it"
        data.note("data_dir", folders, why, "training")
    return None


def _callbacks(init: Section) -> None:
    found = init.value("callbacks", "", [])
    for number, callback in enumerate(found if isinstance(found, list) else [found]):
        for name, arguments in callback.items() if isinstance(callback, dict) else [(str(callback), None)]:
            why, affects = _CALLBACKS.get(
                name, ("callbacks watch or steer a run of theirs; wse-sim has its own", "nothing")
            )
            init.note(f"callbacks[{number}].{name}", arguments, why, affects)
