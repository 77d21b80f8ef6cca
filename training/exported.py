"""What a folder for `transformers` says of the run it was made from: its `wse-sim.json`."""

from pathlib import Path
from typing import Literal

import msgspec

from models.parametrization import Parametrization
from training.data import BYTES
from wse_sim.spec.model import ModelShape
from wse_sim.spec.reading import convert, read_json

EXPORT_FILE = "wse-sim.json"
Dtype = Literal["fp32", "bf16", "fp16"]


class Export(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that was written for `transformers`, and where it is from; `wse-sim explain` says what each key is."""

    version: str = ""
    command: str = ""
    run: str
    step: int
    checkpoint_sha256: str
    sha256: str = ""
    n_bytes: int
    architecture: str
    dtype: Dtype
    is_sparse: bool
    is_untied: bool
    density: float
    params: int
    nonzero_params: int
    data: str
    tokenizer: str
    tokenizer_sha256: str | None
    tokens: int
    val_loss: float | None
    shape: ModelShape
    parametrization: Parametrization

    @property
    def has_tokenizer(self) -> bool:
        """The folder has the one that the ids are of."""
        return self.tokenizer == BYTES or self.tokenizer_sha256 is not None

    @property
    def batch_size(self) -> int:
        """Sequences of the model's length that make up as many tokens as a step of the run had."""
        return max(1, round(self.tokens / self.step / self.shape.seq_len))


def read_export(folder: Path) -> Export | None:
    """What a folder says; None where it is nobody's export.

    Raises
    ------
    SpecError
        When it is of another form.
    """
    path = folder / EXPORT_FILE
    return convert(read_json(path), Export, str(path)) if path.is_file() else None
