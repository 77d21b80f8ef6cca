"""Where a run starts: at the beginning, at its own last checkpoint, or at a checkpoint of another run."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from training.checkpoint import (
    Checkpoint,
    CheckpointMeta,
    load_checkpoint,
    load_latest,
    read_meta,
    saved_steps,
    tensor_path,
)
from training.config import CONFIG_FILE, Branch, InitFrom, TrainConfig, read_config
from training.data import Corpus
from training.execution import Execution
from wse_sim.errors import SpecError

if TYPE_CHECKING:
    from training.distributed import World

# How often a run looks and saves does not change what it computes; nor does what would become of a step that diverges,
# up to where the run stands.
_MAY_CHANGE_ON_RESUME = frozenset(
    {"eval_interval", "log_interval", "checkpoint_interval", "last_checkpoints", "kept_checkpoints", "on_nan"}
)
# A branch goes on with the same model and data, along another learning rate and for another time.
_MAY_CHANGE_ON_BRANCH = _MAY_CHANGE_ON_RESUME | {
    "schedule",
    "n_steps",
    "warmup",
    "first_step_lr",
    "branch",
    "execution",
}
_SAME_LR = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingPoint:
    """What a run goes on from.

    Parameters
    ----------
    config :
        The run's, with where it branched from.
    checkpoint :
        None = the beginning.
    """

    config: TrainConfig
    checkpoint: Checkpoint | None
    warnings: tuple[str, ...] = ()

    @property
    def own_checkpoint(self) -> Checkpoint | None:
        """The checkpoint, unless it is the one of another run that this one branches from."""
        branch, checkpoint = self.config.branch, self.checkpoint
        is_of_parent = checkpoint is not None and branch is not None and branch.step == checkpoint.meta.step
        return None if is_of_parent else checkpoint


def starting_point(
    config: TrainConfig, run_dir: Path, data: Corpus, *, resume: bool, branch_from: Path | None
) -> StartingPoint:
    """Where the run in `run_dir` starts.

    Parameters
    ----------
    resume :
        At the newest undamaged checkpoint in `run_dir`, if there is one; else as if it were a new run.
    branch_from :
        Either file of a checkpoint of another run.

    Raises
    ------
    SpecError
        When the checkpoint is damaged, or of another model, other data or another configuration.
    """
    checkpoint, warnings = load_latest(run_dir) if resume else (None, [])
    if checkpoint is not None:
        config = _gone_on_with(config, checkpoint.meta, run_dir)
        _require_same_data(checkpoint.meta, data, f"{run_dir}: the run was started")
        return StartingPoint(config=config, checkpoint=checkpoint, warnings=tuple(warnings))
    if resume:
        warnings.append(f"{run_dir}: there is no checkpoint yet, the run starts from the beginning")
    if branch_from is None:
        branch = config.branch or _branch_of(run_dir)
        if branch is not None:
            raise SpecError(f"the run branches from step {branch.step} of {branch.run}: name that checkpoint")
        from training.initial_weights import with_digest

        return StartingPoint(config=with_digest(config), checkpoint=None, warnings=tuple(warnings))
    return _branched(config, branch_from, data, tuple(warnings))


def require_same_run(config: TrainConfig, run_dir: Path) -> None:
    """Refuse at once what `starting_point` would refuse of a configuration that goes on, without reading any tensors.

    Raises
    ------
    SpecError
        When the newest checkpoint in `run_dir` is of another configuration; not where it is damaged.
    """
    steps = saved_steps(run_dir)
    if not steps:
        return
    try:
        meta = read_meta(tensor_path(run_dir, steps[-1]).with_suffix(".json"))
    except SpecError:  # the one before it may be sound
        return
    _gone_on_with(config, meta, run_dir)


def require_agreement(world: "World", start: StartingPoint, data: Corpus) -> None:
    """Raise SpecError when the processes are about to train from different starts: folders may be of one machine."""
    checkpoint = start.checkpoint
    world.require_same(start.config, "configuration")
    world.require_same(data.fingerprint, "data")
    world.require_same(None if checkpoint is None else checkpoint.meta.sha256, "checkpoint")


def _branch_of(run_dir: Path) -> Branch | None:
    """What the run in a folder branched from, by its configuration."""
    path = run_dir / CONFIG_FILE
    return read_config(path).branch if path.is_file() else None


def _gone_on_with(config: TrainConfig, meta: CheckpointMeta, run_dir: Path) -> TrainConfig:
    """The configuration with what the run's checkpoint says of its beginning; SpecError where it is of another run."""
    if config.branch is None:
        config = msgspec.structs.replace(config, branch=meta.config.branch)
    config = _as_it_began(config, meta)
    _require_same(meta, config, f"{run_dir}: the run was started", "resumed", _MAY_CHANGE_ON_RESUME)
    return config


def _branched(config: TrainConfig, path: Path, data: Corpus, warnings: tuple[str, ...]) -> StartingPoint:
    parent = load_checkpoint(path.with_suffix(".json"))
    config, started = _as_it_began(config, parent.meta), f"{path}: the run it is of was started"
    _require_same(parent.meta, config, started, "branched", _MAY_CHANGE_ON_BRANCH)
    _require_same_data(parent.meta, data, started)
    step = parent.meta.step
    if step >= config.n_steps:
        raise SpecError(f"{path}: is of step {step}, so n_steps = {config.n_steps} leaves nothing to train")
    _require_same_mask_updates(parent, config, path)
    branch = Branch(run=path.resolve().parent.parent.name, step=step, sha256=parent.meta.sha256)
    if config.branch is not None and config.branch.sha256 != branch.sha256:
        raise SpecError(f"{path}: is not the checkpoint that the run branched from, {config.branch}")
    before, after = (of.lr_factor(step - 1) for of in (parent.meta.config, config))
    if not math.isclose(before, after, rel_tol=_SAME_LR):
        jump = (
            f"at step {step} the run had {before:.3g} of its peak learning rate, the branch's schedule has {after:.3g}"
        )
        warnings = (*warnings, f"{path}: the learning rate jumps where the run branches: {jump}")
    return StartingPoint(config=msgspec.structs.replace(config, branch=branch), checkpoint=parent, warnings=warnings)


def _as_it_began(config: TrainConfig, meta: CheckpointMeta) -> TrainConfig:
    """The configuration with the digest of the weights that the run began with, as the checkpoint has it."""
    began, said = meta.config.init_from, config.init_from
    if began is None or said is None or said.sha256 is not None or said.folder != began.folder:
        return config
    return msgspec.structs.replace(config, init_from=began)


def _require_same_mask_updates(parent: Checkpoint, config: TrainConfig, path: Path) -> None:
    """Fractions of a run are other steps in a run of another length."""
    before, after = (_mask_updates(of, parent.meta.step) for of in (parent.meta.config, config))
    if before != after:
        raise SpecError(
            f"{path}: by step {parent.meta.step} masks were changed at other steps, or to another density, than the "
            "branch's configuration says: fractions in [sparsity] are of n_steps, write them in steps"
        )


def _mask_updates(config: TrainConfig, until: int) -> list[list[tuple[int, float]]]:
    groups = config.sparsity_plan.groups
    return [[(step, group.density(step)) for step in group.steps if step <= until] for group in groups]


def _identity(value: object) -> object:
    """The part of a configuration's value that decides what is computed."""
    if isinstance(value, Execution):
        return msgspec.structs.replace(value, recompute="never", store=None)
    if isinstance(value, InitFrom):
        return value.sha256  # the folder may have moved
    return value


def _require_same(
    meta: CheckpointMeta, config: TrainConfig, started: str, verb: str, may_change: frozenset[str]
) -> None:
    for key in config.__struct_fields__:
        old, new = (_identity(getattr(of, key)) for of in (meta.config, config))
        if key not in may_change and old != new:
            raise SpecError(f"{started} with {key} = {old!r}, it cannot be {verb} with {new!r}")


def _require_same_data(meta: CheckpointMeta, data: Corpus, started: str) -> None:
    if meta.data != data.fingerprint:
        raise SpecError(f"{started} on other data ({meta.data}), not {data.fingerprint}")
