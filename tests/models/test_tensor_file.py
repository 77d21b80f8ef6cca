"""Tensors come back from a file as they went, by our reader and by the safetensors library."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.tensor_file import TensorFile, TensorSource, file_pieces

TENSORS = {
    "weight": torch.arange(15, dtype=torch.float32).reshape(3, 5) / 7,
    "a.mask": torch.arange(7, dtype=torch.uint8),
    "exp_avg.weight": torch.linspace(-1, 1, 9).bfloat16(),
    "scalar": torch.tensor(3.25),
    "nothing": torch.zeros(0),
}


def write(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    sources = {
        name: TensorSource(tensor.dtype, tuple(tensor.shape), lambda tensor=tensor: [tensor])
        for name, tensor in tensors.items()
    }
    path.write_bytes(b"".join(file_pieces(sources, metadata)))


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def test_the_library_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write(path, TENSORS, {"weight": "3x5"})
    theirs = safetensors.torch.load_file(path)
    assert theirs.keys() == TENSORS.keys()
    assert all(same(theirs[name], tensor) for name, tensor in TENSORS.items())
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata() == {"weight": "3x5"}


def test_we_read_what_the_library_writes(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file(TENSORS, path, metadata={"who": "they"})
    ours = TensorFile(path)
    assert set(ours) == TENSORS.keys()
    assert all(same(ours[name], tensor) for name, tensor in TENSORS.items())
    assert ours.metadata == {"who": "they"}
    assert ours.shape("weight") == (3, 5)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(1, 5))
@settings(max_examples=30)
def test_pieces_come_back_as_one_tensor(lengths: list[int], n_pieces: int) -> None:
    tensors = [torch.rand(length) for length in lengths]
    sources = {
        str(i): TensorSource(torch.float32, tuple(tensor.shape), lambda tensor=tensor: tensor.tensor_split(n_pieces))
        for i, tensor in enumerate(tensors)
    }
    content = b"".join(file_pieces(sources, {}))
    theirs = safetensors.torch.load(content)
    assert all(same(theirs[str(i)], tensor) for i, tensor in enumerate(tensors))


@pytest.mark.parametrize(
    "content", [b"", b"\x05\0\0\0\0\0\0\0{", (2).to_bytes(8, "little") + b"[]", (1).to_bytes(8, "little") + b"{"]
)
def test_what_is_no_such_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"table|Expecting"):
        TensorFile(path)


def test_a_file_that_ends_too_early_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write(path, TENSORS, {})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match="ends within"):
        TensorFile(path)
