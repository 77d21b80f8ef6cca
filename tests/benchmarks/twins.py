"""The compiled engines' twins in C++: the same algorithms on the same memory, to measure what numba costs."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np

COMPILER = shutil.which("g++")
_HERE = Path(__file__).parent
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror")


def build(name: str, directory: Path, constants: dict[str, int] | None = None) -> ctypes.CDLL:
    """Compile `name`.cpp of this folder into `directory`, with `constants` as macros, and load it.

    Raises
    ------
    RuntimeError
        When there is no g++, or it refuses the source.
    """
    if COMPILER is None:
        raise RuntimeError("no C++ compiler: install g++")
    header, library = directory / f"{name}.h", directory / f"{name}.so"
    macros = (constants or {}).items()
    header.write_text("".join(f"#define {macro} (std::int64_t{{{value}}})\n" for macro, value in macros))
    command = [COMPILER, *_FLAGS, "-include", "cstdint", "-include", str(header), str(_HERE / f"{name}.cpp")]
    done = subprocess.run([*command, "-o", str(library)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"g++ refuses {name}.cpp:\n{done.stderr}")
    return ctypes.CDLL(str(library))


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    """What a twin is handed of a contiguous array."""
    return ctypes.c_void_p(array.ctypes.data)


def integer_constants(module: object) -> dict[str, int]:
    """The upper-case integers of a module: names of fields and kinds, which the C++ side must not spell again."""
    return {name: value for name, value in vars(module).items() if name.isupper() and type(value) is int}
