"""Files of token ids, one after the other: nanoGPT's `.bin`, llm.c's with a header, `.npy` with and without one."""

import warnings
from pathlib import Path
from tokenize import TokenError

import msgspec
import numpy as np

from training.data.on_disk import FileTokens
from training.data.shards import Shard
from training.data.side_car import SideCar, read_side_car, side_car_path
from wse_sim.errors import SpecError

_LLM_C_HEADER_BYTES = 256 * 4
# Magic and version of https://github.com/karpathy/llm.c, dev/data/data_common.py: tokens of GPT-2 and of Llama 3.
_LLM_C = {
    (20240520, 1): SideCar(dtype="uint16", tokenizer="gpt2"),
    (20240801, 7): SideCar(dtype="uint32", tokenizer="llama3"),
}
_NPY_MAGIC = b"\x93NUMPY"
_NANO_GPT = SideCar(dtype="uint16")  # what a file is taken for that nobody describes


def token_shard(path: Path) -> Shard:
    """The tokens of a file.

    Its side-car says what they are. Without one it says so itself (the header of llm.c or of numpy), or holds uint16 as
    nanoGPT writes them.

    Raises
    ------
    SpecError
        When it cannot be read, is empty, or is not what is said of it.
    """
    said, note = read_side_car(path), ""
    if said is not None:
        tokens = FileTokens(path, said.numpy_dtype)
    elif path.suffix == ".npy":
        tokens, said = _npy(path)
    elif (of_llm_c := _llm_c(path)) is not None:
        tokens, said = of_llm_c
    else:
        tokens, said = FileTokens(path, _NANO_GPT.numpy_dtype), _NANO_GPT
        note = f"no side-car beside {path.name} says what it holds: it is taken for nanoGPT's uint16"
    if not tokens.n:
        raise SpecError(f"data {path}: there is no token in it")
    if said.n_tokens is not None and said.n_tokens != tokens.n:
        raise SpecError(
            f"data {path}: holds {tokens.n} {said.dtype} tokens, {side_car_path(path)} says {said.n_tokens}: the "
            "two are not of the same data"
        )
    return Shard(path=path, read=tokens, n=tokens.n, said=said, note=note)


def _llm_c(path: Path) -> tuple[FileTokens, SideCar] | None:
    """A file with llm.c's header; None where it has none."""
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as error:
        raise SpecError(f"data {path}: cannot be read: {error.strerror}") from None
    numbers: list[int] = np.frombuffer(start[: len(start) // 4 * 4], "<i4").tolist()
    magic, version, n, *_ = (*numbers, 0, 0, 0)
    versions = [known for of, known in _LLM_C if of == magic]
    if not versions:
        return None
    if version not in versions:
        right = ", ".join(map(str, versions))
        raise SpecError(f"data {path}: has llm.c's header {magic} of version {version}; {right} would be right")
    said = _LLM_C[magic, version]
    return FileTokens(path, said.numpy_dtype, offset=_LLM_C_HEADER_BYTES, n=n), said


def _npy(path: Path) -> tuple[FileTokens, SideCar]:
    """A file that numpy wrote."""
    try:
        with path.open("rb") as file:
            if file.read(len(_NPY_MAGIC)) != _NPY_MAGIC:
                raise SpecError(
                    f"data {path}: has not the header of a .npy file; if it holds bare tokens, as OLMo's do, say of "
                    f'which kind in {side_car_path(path).name} beside it: {{"dtype": "uint16"}}'
                )
            file.seek(0)
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            with warnings.catch_warnings(action="ignore"):  # that Python 2 wrote it
                shape, _, dtype = read(file)
            offset = file.tell()
    except SpecError:
        raise
    except (OSError, ValueError, TypeError, SyntaxError, TokenError, RecursionError) as error:
        raise SpecError(f"data {path}: cannot be read ({error})") from None
    if len(shape) != 1 or dtype.kind not in "ui":
        raise SpecError(f"data {path}: holds {dtype} of shape {shape}; whole numbers in one row would be right")
    try:
        said = msgspec.convert({"dtype": dtype.newbyteorder("=").name}, SideCar)
    except msgspec.ValidationError:
        raise SpecError(f"data {path}: holds {dtype}; uint16 or uint32 would be right") from None
    return FileTokens(path, dtype, offset=offset, n=int(shape[0])), said
