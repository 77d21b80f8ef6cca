"""The JSON file beside a file of tokens: what they are, so that nobody need guess."""

from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from wse_sim.errors import SpecError
from wse_sim.files import read_bytes, write_json

UNKNOWN = "unknown"  # in place of a tokenizer's name
TokenDtype = Literal["uint8", "uint16", "uint32", "uint64", "int32", "int64"]


class SideCar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file of tokens holds; `train.json` lies beside `train.bin`.

    Parameters
    ----------
    dtype :
        Of its numbers, little-endian.
    vocab_size :
        Ids are below this; without it, that of the model.
    tokenizer, tokenizer_sha256 :
        That made the tokens: name, and checksum of its content.
    n_tokens :
        In the file.
    n_bytes :
        Of the text that they stand for; without it, bits per byte cannot be told.
    n_documents :
        They are of: texts, or blocks of texts that were too few to be split as they are.
    sha256 :
        Of the file: what tells these data from others without reading them.
    """

    dtype: TokenDtype
    vocab_size: int | None = None
    tokenizer: str = UNKNOWN
    tokenizer_sha256: str | None = None
    n_tokens: int | None = None
    n_bytes: int | None = None
    n_documents: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        for name in ("vocab_size", "n_tokens", "n_bytes", "n_documents"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} is {value}, it must be at least 1")

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def tokenizer_in_words(self) -> str:
        """Name, and where its content has a checksum, the beginning of that."""
        return tokenizer_in_words(self.tokenizer, self.tokenizer_sha256)


def tokenizer_in_words(name: str, sha256: str | None) -> str:
    """Of a tokenizer, as fingerprints name it."""
    return name + ("" if sha256 is None else f" ({sha256[:12]})")


def smallest_dtype(vocab_size: int) -> TokenDtype:
    """The smallest unsigned one that holds every id of a vocabulary."""
    return next(name for name in ("uint8", "uint16", "uint32") if vocab_size - 1 <= np.iinfo(name).max)


def side_car_path(path: Path) -> Path:
    """Of a file of tokens."""
    return path.with_suffix(".json")


def read_side_car(path: Path) -> SideCar | None:
    """What lies beside a file of tokens; None where there is nothing.

    Raises
    ------
    SpecError
        When it cannot be read, or is something else.
    """
    beside = side_car_path(path)
    if not beside.is_file():
        return None
    try:
        return msgspec.json.decode(read_bytes(beside), type=SideCar)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpecError(
            f"{beside}: is not the description of {path.name} ({error}); it has dtype and, where they are known, "
            "vocab_size, tokenizer, n_tokens, n_bytes, sha256"
        ) from None


def write_side_car(path: Path, side_car: SideCar) -> None:
    """Put it beside a file of tokens; what is not known is left out."""
    content = {key: value for key, value in msgspec.to_builtins(side_car).items() if value is not None}
    write_json(side_car_path(path), content)
