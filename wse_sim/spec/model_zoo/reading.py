"""A configuration of Cerebras ModelZoo as one of ours, and what became of each of its keys."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from msgspec.structs import replace

from wse_sim.errors import SpecError, errors_at
from wse_sim.spec.base import BaseHyperparameters
from wse_sim.spec.configuration import Configuration, RunTable, TrainingTable
from wse_sim.spec.model import ModelShape, Recipe
from wse_sim.spec.model_zoo.initial_weights import base_of, parametrization_of
from wse_sim.spec.model_zoo.learning_rate import LearningRate, learning_rate, written
from wse_sim.spec.model_zoo.ledger import Ledger, Section
from wse_sim.spec.model_zoo.legacy import is_legacy, moved
from wse_sim.spec.model_zoo.optimizers import adamw_of
from wse_sim.spec.model_zoo.settings import (
    data_of,
    interval_of,
    loop_of,
    n_evaluated,
    note_callbacks,
    note_loss,
    num_csx_of,
    precision_of,
)
from wse_sim.spec.model_zoo.shapes import shape_of
from wse_sim.spec.model_zoo.sparse import sparsity_of
from wse_sim.spec.model_zoo.yaml_text import read_yaml


class _Length(TypedDict):
    batch_size: int
    n_steps: int
    num_csx: int | None


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
    with errors_at(path):
        if isinstance(document.content["trainer"], list):
            trainers = [root.at(entry, "trainer", n).section("trainer") for n, entry in enumerate(_listed(root))]
        else:
            trainers = [root.section("trainer")]
        phases = [_phase(trainer, path) for trainer in trainers]
    root.finish()
    return phases


def _listed(root: Section) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = root.value("trainer", "")
    if not entries or not all(isinstance(entry, dict) and list(entry) == ["trainer"] for entry in entries):
        root.wrong("trainer", entries, "a list of mappings, each with a trainer of its own")
    return entries


def _phase(trainer: Section, path: str) -> Phase:
    init, fit = trainer.section("init"), trainer.section("fit")
    data, model = fit.section("train_dataloader"), init.section("model")
    cannot_train: list[str] = []
    seq_len = data.integer("max_sequence_length", "seq_len", None)
    shape = shape_of(model, seq_len=seq_len, name=Path(path).stem.removeprefix("params_"))
    seq_len = seq_len or shape.seq_len
    note_loss(model, seq_len)
    loop = loop_of(init)
    length: _Length = {
        "batch_size": data.integer("batch_size", "batch_size"),
        "n_steps": loop.n_steps,
        "num_csx": num_csx_of(init),
    }
    clip, precision = precision_of(init, cannot_train)
    rate, recipe, base = _recipe(init, model, shape, cannot_train, length=length, clip=clip)
    run = _run(init, shape, seq_len, length, has_recipe=recipe is not None)
    training = TrainingTable(
        **(written(rate, loop.n_steps)._asdict() if rate else {}),
        precision=precision,
        eval_interval=loop.eval_interval,
        n_eval_sequences=n_evaluated(fit, loop, length["batch_size"]),
        log_interval=interval_of(init, "logging", "log_steps", "log_interval"),
        checkpoint_interval=interval_of(init, "checkpoint", "steps", "checkpoint_interval"),
        data=data_of(data),
        cannot_train=tuple(cannot_train),
    )
    note_callbacks(init)
    for section in (data, fit, model, init, trainer):
        section.finish()
    ledger = trainer.ledger
    configuration = Configuration(
        shape=shape,
        recipe=recipe,
        base=base,
        run=replace(run, differs=ledger.differences("simulation")),
        training=replace(training, differs=ledger.differences("training")),
    )
    return Phase(configuration=configuration, rate=rate, n_steps=loop.n_steps)


def _recipe(
    init: Section,
    model: Section,
    shape: ModelShape,
    cannot_train: list[str],
    *,
    length: _Length,
    clip: float | None,
) -> tuple[LearningRate | None, Recipe | None, BaseHyperparameters | None]:
    """Schedule, recipe and base; none of them where the optimizer is none of Adam's family."""
    adamw = adamw_of(init.section("optimizer"), cannot_train)
    schedulers = init.value("schedulers", "", [])
    rate = learning_rate(schedulers, init, adamw.constant_lr) if adamw else None
    parametrization = parametrization_of(model)
    base = base_of(model, shape, parametrization, peak_lr=rate.peak if rate else 1.0, cannot_train=cannot_train)
    if adamw is None or rate is None:
        init.note("schedulers", schedulers, "the optimizer is not followed", "training")
        return None, None, None
    recipe = Recipe(
        **length,
        parametrization=parametrization,
        warmup_steps=rate.n_warmup_steps,
        peak_lr=rate.peak,
        end_lr_fraction=rate.end_fraction,
        decay=rate.decay,
        adam_eps=adamw.eps,
        betas=adamw.betas,
        weight_decay=adamw.weight_decay,
        clip=clip,
        source=model.document.where,
    )
    return rate, recipe, base


def _run(init: Section, shape: ModelShape, seq_len: int, length: _Length, *, has_recipe: bool) -> RunTable:
    """What is said of the run beside the recipe, which says its length."""
    algorithms, density = sparsity_of(init, shape, length["n_steps"])
    seed = init.integer("seed", "seed", 0, at_least=0)
    if has_recipe:
        return RunTable(seq_len=seq_len, density=density, sparsity=algorithms, seed=seed)
    return RunTable(**length, seq_len=seq_len, density=density, sparsity=algorithms, seed=seed)
