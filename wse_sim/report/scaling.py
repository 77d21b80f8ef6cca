"""Run directories as rows for the laws of the loss."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wse_sim.errors import SpecError
from wse_sim.laws.observation import Observation, Sample
from wse_sim.report import run_files
from wse_sim.spec.model import ModelShape
from wse_sim.spec.reading import convert, read_json, read_toml

CONFIG = "config.toml"
_CHECKPOINTS = "checkpoints"


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
    return Observation(
        name=run_dir.name,
        sample=sample,
        loss=_last_loss(run_dir, int(config["n_steps"])),
        config=_flat(config),
        corpus=_corpus(run_dir),
    )


def _sample(config: Mapping[str, Any], path: Path) -> Sample:
    try:
        return Sample(
            shape=convert(config["shape"], ModelShape, f"{path} [shape]"),
            density=float(config["density"]),
            tokens=float(config["n_steps"] * config["batch_size"] * config["seq_len"]),
            seq_len=int(config["seq_len"]),
        )
    except KeyError as error:
        raise SpecError(f"{path}: key {error} is missing: it is not the configuration of a training run") from None


def _last_loss(run_dir: Path, n_steps: int) -> float:
    rows = run_files.read_rows(run_dir)
    if not rows or rows[-1]["step"] < n_steps:
        done = rows[-1]["step"] if rows else 0
        raise SpecError(f"{run_dir}: the run stopped after step {done} of {n_steps}: finish it, or leave it out")
    loss = rows[-1].get("val_loss")
    if loss is None:
        raise SpecError(f"{run_dir}: {run_files.ROWS} has no val_loss at the last step")
    return float(loss)


def _corpus(run_dir: Path) -> dict[str, Any]:
    """Source and fingerprint of the run's text: from its summary, or from its newest checkpoint."""
    summary = run_dir / run_files.SUMMARY
    if summary.is_file():
        corpus = read_json(summary).get("measured", {}).get("corpus")
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
