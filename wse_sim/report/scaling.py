"""Run directories as rows for the laws of the loss."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from wse_sim.errors import SpecError, errors_at
from wse_sim.laws.observation import Observation, Sample
from wse_sim.report import run_files
from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number
from wse_sim.spec.reading import as_written, convert, read_json, read_toml

CONFIG = "config.toml"
_CHECKPOINTS = "checkpoints"


class _Size(msgspec.Struct, frozen=True):
    """What is needed of a configuration."""

    shape: ModelShape
    density: float
    n_steps: int
    batch_size: int
    seq_len: int


def read_observation(run_dir: Path) -> Observation:
    """A finished run, from the files that it left: `config.toml`, `run.jsonl`, and who its text was.

    Raises
    ------
    SpecError
        When one is missing, or the run has not ended.
    """
    path = run_dir / CONFIG
    if not path.is_file():
        raise SpecError(f"{run_dir}: there is no {CONFIG} in it: give the folder of a training run")
    config = read_toml(path)
    sample = _sample(config, path)
    with as_written(run_dir / run_files.ROWS):
        loss = _last_loss(run_dir, int(config["n_steps"]))
    with as_written(run_dir / run_files.SUMMARY):
        corpus = _corpus(run_dir)
    return Observation(name=run_dir.name, sample=sample, loss=loss, config=_flat(config), corpus=corpus)


def _sample(config: Mapping[str, Any], path: Path) -> Sample:
    said = {name: config[name] for name in _Size.__struct_fields__ if name in config}
    size = convert(said, _Size, f"{path}: is not the configuration of a training run")
    with errors_at(str(path)):
        for name in ("density", "n_steps", "batch_size", "seq_len"):
            check_number(name, getattr(size, name))
    tokens = float(size.n_steps * size.batch_size * size.seq_len)
    return Sample(shape=size.shape, density=size.density, tokens=tokens, seq_len=size.seq_len)


def _last_loss(run_dir: Path, n_steps: int) -> float:
    rows = run_files.read_rows(run_dir)
    if not rows or rows[-1]["step"] < n_steps:
        done = rows[-1]["step"] if rows else 0
        raise SpecError(f"{run_dir}: the run stopped after step {done} of {n_steps}: finish it, or leave it out")
    loss = rows[-1].get("val_loss")
    if loss is None:
        raise SpecError(f"{run_dir}: {run_files.ROWS} has no val_loss at the last step")
    if not 0 < loss < math.inf:
        raise SpecError(f"{run_dir}: {run_files.ROWS} has the val_loss {loss} at the last step, it must be above 0")
    return float(loss)


def _corpus(run_dir: Path) -> dict[str, Any]:
    """Source and fingerprint of the run's text: from its summary, or from its newest checkpoint."""
    summary = run_dir / run_files.SUMMARY
    if summary.is_file():
        corpus = run_files.read_document(summary).get("measured", {}).get("corpus")
    else:
        checkpoints = sorted((run_dir / _CHECKPOINTS).glob("step-*.json"))
        corpus = read_json(checkpoints[-1]).get("data") if checkpoints else None
    if not isinstance(corpus, dict) or "sha256" not in corpus:
        raise SpecError(
            f"{run_dir}: neither {run_files.SUMMARY} nor a checkpoint says what text the run was trained on, so it "
            "cannot be compared with others"
        )
    return corpus


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
