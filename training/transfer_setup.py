"""The run that a study varies: ours, in which a run takes seconds, or a configuration file, with changes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from training.axis import scaled
from training.config import TrainConfig, read_config
from training.data import STDLIB, reading_of
from training.data.source import BYTE_VALUES
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape

_D_HEAD = 32
_SMALL: dict[str, Any] = {"n_steps": 200, "seq_len": 64, "batch_size": 8}
_SHAPE = {"d_model": 128, "n_layers": 2}


def transfer_setup(
    file: Path | None = None, *, d_model: int | None = None, n_layers: int | None = None, **changes: Any
) -> TrainConfig:
    """The configuration of a file, or of small models on bytes, with fields of it replaced.

    Raises
    ------
    SpecError
        When the file cannot be read, or a field is wrong.
    """
    if file is None:
        given = {**_SMALL, **changes}
        return TrainConfig(shape=_small_shape(d_model, n_layers, given["seq_len"], _vocabulary(given)), **given)
    config = read_config(file)
    shape = config.shape
    if d_model is not None:
        shape, _ = scaled(shape, 1.0, "width", d_model)
    if n_layers is not None:
        shape, _ = scaled(shape, 1.0, "depth", n_layers)
    return msgspec.structs.replace(config, shape=shape, **changes)


def _vocabulary(given: Mapping[str, Any]) -> int:
    """Of the data."""
    said = {key: given[key] for key in ("tokenizer", "text_field") if key in given}
    vocab_size = reading_of(given.get("data", STDLIB), **said).vocab_size
    if vocab_size is None:
        raise SpecError(
            f"data {given['data']!r}: nothing says how large the vocabulary is; --config with a shape, or a side-car "
            "with vocab_size beside the file, would"
        )
    return max(BYTE_VALUES, vocab_size)


def _small_shape(d_model: int | None, n_layers: int | None, seq_len: int, vocab_size: int) -> ModelShape:
    width = d_model or _SHAPE["d_model"]
    return ModelShape(
        name="small",
        n_layers=n_layers or _SHAPE["n_layers"],
        d_model=width,
        n_heads=max(1, width // _D_HEAD),
        d_ff=4 * width,
        vocab_size=vocab_size,
        seq_len=seq_len,
    )
