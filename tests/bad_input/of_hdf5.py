"""HDF5 files, as Cerebras' Model Zoo writes them, and as nobody should."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.bad_input.case import Group, Made
from tests.bad_input.of_tokens import TRAIN, trained_on


def hdf5(fill: Callable[[Any], object]) -> Callable[[Path], None]:
    """A file of HDF5, filled by a function of it."""

    def make(path: Path) -> None:
        import h5py

        with h5py.File(path, "w") as file:
            fill(file)

    return make


def _samples(n: int = 64, length: int = 64, dtype: str = "i4", top: int = 255) -> Any:
    array = np.zeros((n, 3, length), dtype)
    array[:, 0] = array[:, 2] = np.arange(length) % (top + 1)
    array[:, 1] = 1
    return array


def _cut(keep: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        hdf5(lambda file: file.create_dataset("data", data=_samples()))(path)
        content = path.read_bytes()
        path.write_bytes(content[:keep])

    return make


def _flipped(path: Path) -> None:
    """Every 97th byte of the first two thousand is another one."""
    hdf5(lambda file: file.create_dataset("data", data=_samples(), chunks=(8, 3, 64), compression="gzip"))(path)
    content = bytearray(path.read_bytes())
    for place in range(512, 4000, 97):
        content[place] ^= 0xFF
    path.write_bytes(content)


def cases() -> Group:
    import h5py

    add = trained_on("HDF5", "t.h5")
    good: Made = hdf5(lambda file: file.create_dataset("data", data=_samples()))
    for name, fill, says in (
        ("no data set", lambda file: None, "data"),
        ("another data set", lambda file: file.create_dataset("tokens", data=_samples()), "tokens"),
        ("a group", lambda file: file.create_group("data"), "data"),
        ("floats", lambda file: file.create_dataset("data", data=_samples(dtype="f4")), "float32"),
        ("texts", lambda file: file.create_dataset("data", data=[b"a", b"b"]), "whole numbers"),
        ("one number", lambda file: file.create_dataset("data", data=5), "shape"),
        ("two dimensions", lambda file: file.create_dataset("data", data=np.zeros((4, 4), "i4")), "shape"),
        ("four channels", lambda file: file.create_dataset("data", data=np.zeros((4, 4, 8), "i4")), "shape"),
        ("packed for VSL", lambda file: file.create_dataset("data", data=np.zeros((4, 5, 8), "i4")), "VSL"),
        ("empty", lambda file: file.create_dataset("data", data=np.zeros((0, 3, 8), "i4")), "token"),
        ("no data space", lambda file: file.create_dataset("data", data=h5py.Empty("i4")), "data"),
        (
            "a count that lies",
            lambda file: (file.create_dataset("data", data=_samples()), file.attrs.__setitem__("n_examples", 7)),
            "n_examples",
        ),
        (
            "a count of text",
            lambda file: (file.create_dataset("data", data=_samples()), file.attrs.__setitem__("n_examples", "many")),
            "n_examples",
        ),
        (
            "a count of two",
            lambda file: (file.create_dataset("data", data=_samples()), file.attrs.__setitem__("n_examples", [1, 2])),
            "n_examples",
        ),
        (
            "ids beyond the vocabulary",
            lambda file: file.create_dataset("data", data=_samples(length=64, top=63) + 999),
            "vocabulary",
        ),
        ("ids below 0", lambda file: file.create_dataset("data", data=_samples() - 5), "id"),
        ("ids of 2^64 - 1", lambda file: file.create_dataset("data", data=np.full((64, 3, 64), 2**64 - 1, "u8")), "id"),
        ("a link that leads nowhere", lambda file: file.__setitem__("data", h5py.SoftLink("/nothing")), "data"),
        ("a link to itself", lambda file: file.__setitem__("data", h5py.SoftLink("/data")), "data"),
        (
            "a link into another file",
            lambda file: file.__setitem__("data", h5py.ExternalLink("other.h5", "data")),
            "another file",
        ),
        (
            "a link out of the folder",
            lambda file: file.__setitem__("data", h5py.ExternalLink("../../etc/other.h5", "data")),
            "another file",
        ),
        (
            "numbers kept in another file",
            lambda file: file.create_dataset(
                "data", (64, 3, 64), "i4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
            ),
            "another file",
        ),
        ("a virtual data set", _virtual, "another file"),
        ("numbers that cannot be unpacked", _damaged_chunk, "damaged|read"),
        (
            "a chunk of 2 GB",
            lambda file: file.create_dataset("data", (2**29,), "i4", chunks=(2**29,), compression="gzip"),
            "chunk",
        ),
    ):
        add(name, {"t.h5": hdf5(fill), "other.h5": good}, "t.h5", says)
    for name, made, says in (
        ("no HDF5", b"not HDF5", "HDF5"),
        ("no byte", b"", "HDF5"),
        ("its signature alone", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("cut within the head", _cut(700), "HDF5"),
        ("cut within the numbers", _cut(-3000), "HDF5"),
        ("bits flipped", _flipped, "t.h5"),
    ):
        add(name, {"t.h5": made}, "t.h5", says)
    short: Made = hdf5(lambda file: file.create_dataset("data", data=_samples(length=32)))
    add("samples that are too short", {"t.h5": short}, "t.h5", "at most 32", more="--seq-len 64")
    add(
        "files of two lengths",
        {"d/a.h5": good, "d/b.h5": hdf5(lambda file: file.create_dataset("data", data=_samples(length=32)))},
        "b.h5",
        "the same",
        command=TRAIN + "d",
    )
    return add.group  # type: ignore[attr-defined,no-any-return]


def _damaged_chunk(file: Any) -> None:
    data = file.create_dataset("data", (64, 3, 64), "i4", chunks=(64, 3, 64), compression="gzip")
    data.id.write_direct_chunk((0, 0, 0), b"this was never compressed")


def _virtual(file: Any) -> None:
    import h5py

    layout = h5py.VirtualLayout(shape=(64, 3, 64), dtype="i4")
    layout[:] = h5py.VirtualSource("other.h5", "data", shape=(64, 3, 64))
    file.create_virtual_dataset("data", layout)
