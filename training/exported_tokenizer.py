"""The tokenizer of a run, as the files that stock `AutoTokenizer` loads."""

from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from models.hugging_face.byte_tokenizer import TOKENIZER, TOKENIZER_CONFIG, byte_tokenizer, tokenizer_config
from training.config import TrainConfig
from training.data import BYTES, END_BYTE, end_of_documents, is_synthetic
from wse_sim.files import read_bytes, write_atomically, write_json
from wse_sim.spec.reading import read_json


class Tokens(NamedTuple):
    """What is known of the ids of a run.

    Parameters
    ----------
    sha256 :
        Of the run's own `tokenizer.json`; None where ids are bytes, or the one that made them is not with the run.
    end_id :
        That ends a document; None where there is none, or nobody knows.
    """

    sha256: str | None = None
    end_id: int | None = None


def write_tokenizer(run_dir: Path, folder: Path, config: TrainConfig, tokenizer: str) -> Tokens:
    """Put the tokenizer that a run's ids are of into a folder, where it is known.

    Parameters
    ----------
    tokenizer :
        As the fingerprint of the run's data names it.

    Raises
    ------
    SpecError
        When a file cannot be read or written.
    """
    if tokenizer == BYTES:
        write_json(folder / TOKENIZER, byte_tokenizer())
        write_json(folder / TOKENIZER_CONFIG, tokenizer_config(config.seq_len))
        # To the chain a zero is a symbol like others.
        return Tokens(end_id=None if is_synthetic(config.data) else END_BYTE)
    path = run_dir / TOKENIZER
    if (digest := digest_of_tokenizer(run_dir)) is None or not is_named(digest, tokenizer):
        return Tokens()
    content = read_json(path)
    end, end_id, is_added = _end_of(content)
    write_atomically(folder / TOKENIZER, read_bytes(path))
    # In the midst of text, one of the vocabulary alone would be read for it wherever its letters stand.
    write_json(folder / TOKENIZER_CONFIG, tokenizer_config(config.seq_len, end if is_added else None))
    return Tokens(sha256=digest, end_id=end_id)


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


def _end_of(content: dict[str, Any]) -> tuple[str | None, int | None, bool]:
    """The token that stands behind each document, its id, and whether it is one of those added to the vocabulary."""
    vocabulary = content.get("model", {}).get("vocab") or {}
    if isinstance(vocabulary, list):  # pairs of a token and its score
        vocabulary = {token: number for number, (token, _) in enumerate(vocabulary)}
    added = {token["content"]: token["id"] for token in content.get("added_tokens") or ()}
    ids = {**vocabulary, **added}
    end = end_of_documents(ids)
    return end, None if end is None else ids[end], end in added
