"""Writes data as other programs write them."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from training.data import TokenSource, TokenStream

WORDS = ("wafer", "core", "stream", "weight", "sparse", "naïve", "λόγος", "step", "loss", "scale")


def texts(n: int, seed: int = 0) -> list[str]:
    """Documents of a few words to a few hundred, no two the same."""
    random = np.random.default_rng(seed)
    return [
        f"document {seed}.{k}: " + " ".join(random.choice(WORDS, random.integers(20, 120)).tolist()) for k in range(n)
    ]


def json_lines(documents: Sequence[str], field: str = "text") -> str:
    return "".join(json.dumps({field: text, "meta": {"n": k}}) + "\n" for k, text in enumerate(documents))


def megatron(prefix: Path, documents: Sequence[Sequence[int]], *, code: int = 8, dtype: str = "<u2") -> Path:
    """As the layout is published: packed here by `struct` alone, one sequence for each document."""
    prefix.with_suffix(".bin").write_bytes(b"".join(np.array(ids, dtype).tobytes() for ids in documents))
    n, size = len(documents), np.dtype(dtype).itemsize
    index = b"MMIDIDX\x00\x00" + struct.pack("<Q", 1) + struct.pack("<B", code) + struct.pack("<QQ", n, n + 1)
    index += struct.pack(f"<{n}i", *map(len, documents))
    place, pointers = 0, []
    for ids in documents:
        pointers.append(place)
        place += len(ids) * size
    index += struct.pack(f"<{n}q", *pointers) + struct.pack(f"<{n + 1}q", *range(n + 1))
    path = prefix.with_suffix(".idx")
    path.write_bytes(index)
    return path


def saved_dataset(folder: Path, table: pa.Table, n_files: int = 1) -> Path:
    """As `save_to_disk` of Hugging Face's `datasets` lays it out."""
    folder.mkdir(parents=True)
    size = -(-len(table) // n_files)
    names = [f"data-{k:05d}-of-{n_files:05d}.arrow" for k in range(n_files)]
    for k, name in enumerate(names):
        part = table.slice(k * size, size)
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(part)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {}}))
    return folder


def tokens_of(part: TokenSource) -> np.ndarray[Any, Any]:
    """All of them."""
    assert isinstance(part, TokenStream)
    return part.tokens(0, part.n_tokens)
