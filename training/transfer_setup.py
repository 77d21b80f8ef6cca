"""The run that a study varies: ours, in which a run takes seconds, or a configuration file, with changes."""

from pathlib import Path
from typing import Any

import msgspec

from training.axis import scaled
from training.config import TrainConfig, read_config
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
        return TrainConfig(shape=_small_shape(d_model, n_layers, given["seq_len"]), **given)
    config = read_config(file)
    shape = config.shape
    if d_model is not None:
        shape, _ = scaled(shape, 1.0, "width", d_model)
    if n_layers is not None:
        shape, _ = scaled(shape, 1.0, "depth", n_layers)
    return msgspec.structs.replace(config, shape=shape, **changes)


def _small_shape(d_model: int | None, n_layers: int | None, seq_len: int) -> ModelShape:
    width = d_model or _SHAPE["d_model"]
    return ModelShape(
        name="small",
        n_layers=n_layers or _SHAPE["n_layers"],
        d_model=width,
        n_heads=max(1, width // _D_HEAD),
        d_ff=4 * width,
        vocab_size=256,
        seq_len=seq_len,
    )
