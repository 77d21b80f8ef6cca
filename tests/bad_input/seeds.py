"""What fuzzing begins with: small files that are right, of every kind that is read."""

import json
import os
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

_TESTS = Path(__file__).parents[1]


@cache
def scratch() -> Path:
    """For files of this process; in memory where the system has such a place, for there will be many."""
    memory = Path("/dev/shm")  # noqa: S108  a folder of its own is made there
    return Path(tempfile.mkdtemp(prefix="wse-sim-fuzz-", dir=memory if os.access(memory, os.W_OK) else None))


def of_the_data(*names: str) -> Callable[[], list[bytes]]:
    """The data's own files as seeds."""

    def make() -> list[bytes]:
        from importlib.resources import files

        return [files("wse_sim").joinpath("data", *name.split("/")).read_bytes() for name in names]

    return make


def tiny_model(more: str = "") -> Callable[[], list[bytes]]:
    def make() -> list[bytes]:
        from tests.conftest import TINY

        return [(TINY + more).encode()]

    return make


def yamls() -> list[bytes]:
    files = _TESTS / "spec" / "model_zoo" / "files"
    return [(files / name).read_bytes() for name in ("111m.yaml", "tiny_rigl.yaml", "gpt2_small_legacy.yaml")]


def safetensors_file() -> list[bytes]:
    header = json.dumps({"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}, "__metadata__": {"a": "2x2"}})
    return [struct.pack("<Q", len(header)) + header.encode() + bytes(16)]


def masks_file() -> list[bytes]:
    """The masks of one block, as a checkpoint has them."""
    names = ("attention.qkv", "attention.out", "mlp.up", "mlp.down")
    table: dict[str, object] = {"__metadata__": {f"blocks.0.{name}.weight": "24x8" for name in names}}
    for number, name in enumerate(names):
        place = [24 * number, 24 * number + 24]
        table[f"model.blocks.0.{name}.weight_mask"] = {"dtype": "U8", "shape": [24], "data_offsets": place}
    header = json.dumps(table).encode()
    return [struct.pack("<Q", len(header)) + header + bytes(range(96))]


def of_a_run(name: str) -> Callable[[], list[bytes]]:
    def make() -> list[bytes]:
        from tests.bad_input.a_run import finished

        return [(finished("dense") / name).read_bytes()]

    return make


def indexes() -> list[bytes]:
    from tests.bad_input.of_tokens import index

    return [index()]


def hdf5_files() -> list[bytes]:
    import numpy as np

    from tests.bad_input.of_hdf5 import hdf5

    path = scratch() / "seed.h5"
    made = []
    for shape, more in (((4, 3, 16), {}), ((200,), {"chunks": (50,), "compression": "gzip"})):
        hdf5(lambda file, shape=shape, more=more: file.create_dataset("data", data=np.ones(shape, "i4"), **more))(path)  # type: ignore[misc]
        made.append(path.read_bytes())
    return made


def tables(kind: str) -> Callable[[], list[bytes]]:
    def make() -> list[bytes]:
        from tests.bad_input import of_tables

        maker = of_tables.arrow if kind == "arrow" else of_tables.parquet_file
        path, made = scratch() / "seed", []
        for columns in (
            lambda pa: pa.table({"text": ["a", None, "bc"]}),
            lambda pa: pa.table({"input_ids": [[1, 2], []]}),
        ):
            maker(columns)(path)
            made.append(path.read_bytes())
        return made

    return make


def zstd_files() -> list[bytes]:
    import zstandard

    return [zstandard.compress(b'{"text": "a"}\n' * 20)]


def npy_files() -> list[bytes]:
    import io

    import numpy as np

    file = io.BytesIO()
    np.save(file, np.ones(200, "<u2"))
    return [file.getvalue()]


def written(*seeds: bytes) -> Callable[[], list[bytes]]:
    return lambda: list(seeds)
