"""The tokenizer of a run, as the files that stock `AutoTokenizer` loads."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from models.hugging_face.byte_tokenizer import TOKENIZER, TOKENIZER_CONFIG, byte_tokenizer, tokenizer_config
from training.data import BYTES, end_of_documents
from wse_sim.files import read_bytes, write_atomically, write_json
from wse_sim.spec.reading import read_json


def write_tokenizer(run_dir: Path, folder: Path, tokenizer: str, seq_len: int) -> str | None:
    """Put the tokenizer that a run's ids are of into a folder, where it is known.

    Parameters
    ----------
    tokenizer :
        As the fingerprint of the run's data names it.
    seq_len :
        Longest sequence of the model.

    Returns
    -------
    str | None
        Checksum of the run's own `tokenizer.json`; None where ids are bytes, or nothing was written because the run's
        folder does not have the one that made the tokens.

    Raises
    ------
    SpecError
        When a file cannot be read or written.
    """
    if tokenizer == BYTES:
        write_json(folder / TOKENIZER, byte_tokenizer())
        write_json(folder / TOKENIZER_CONFIG, tokenizer_config(seq_len))
        return None
    path = run_dir / TOKENIZER
    if (digest := digest_of_tokenizer(run_dir)) is None or not is_named(digest, tokenizer):
        return None
    write_atomically(folder / TOKENIZER, read_bytes(path))
    write_json(folder / TOKENIZER_CONFIG, tokenizer_config(seq_len, _end_of(read_json(path))))
    return digest


def copy_tokenizer(source: Path, folder: Path) -> None:
    """What another export has of its tokenizer."""
    for name in (TOKENIZER, TOKENIZER_CONFIG):
        if (source / name).is_file():
            write_atomically(folder / name, read_bytes(source / name))


def digest_of_tokenizer(folder: Path) -> str | None:
    """Checksum of a folder's `tokenizer.json`; None where there is none."""
    path = folder / TOKENIZER
    return sha256(read_bytes(path)).hexdigest() if path.is_file() else None


def is_named(digest: str, tokenizer: str) -> bool:
    """The tokenizer of that checksum is the one that a fingerprint names."""
    return tokenizer.endswith(f" ({digest[:12]})")


def _end_of(content: dict[str, Any]) -> str | None:
    """The token that stands behind each document; None too where it is no token of its own in the midst of text."""
    added = {token["content"] for token in content.get("added_tokens") or ()}
    vocabulary = dict(content.get("model", {}).get("vocab") or ())  # tokens to ids, or pairs of a token and its score
    end = end_of_documents({*added, *vocabulary})
    return end if end in added else None
