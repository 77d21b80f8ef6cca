"""Compiled kernels kept as object code, so that a warm start needs neither numba nor a compiler.

Importing numba and waking its compiler up takes half a second, several hundred times what a kernel runs for. So a
kernel that works on one array of int64 through a raw pointer, and raises nothing, is compiled once by numba, and its
object code is kept in the user's cache; from then on LLVM's loader alone brings it in, within milliseconds. A kernel
is compiled anew when its source, Python, numba, llvmlite or the processor is another one.
"""

import ctypes
import hashlib
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wse_sim.errors import SpecError
from wse_sim.files import user_cache, write_atomically
from wse_sim.schedule.program import IntArray

Kernel = Callable[[IntArray], None]
Function = Callable[..., Any]

# What numba's code mentions on paths that a kernel without exceptions and without Python objects never takes.
_NEVER_CALLED = (
    "NRT_Free",
    "NRT_MemInfo_call_dtor",
    "NRT_decref",
    "NRT_incref",
    "numba_do_raise",
    "numba_gil_ensure",
    "numba_gil_release",
    "numba_runtime_build_excinfo_struct",
    "numba_unpickle",
)
_ENGINES: list[Any] = []  # LLVM's; the code lives as long as they do


def native_kernel(source: Path, entry: Function, parts: Iterable[Function], inlined: Iterable[Function] = ()) -> Kernel:
    """`entry`, a function of one array of int64, as machine code, from the cache or compiled.

    Where numba's own switch NUMBA_DISABLE_JIT=1 is set, nothing is compiled: Python runs it, and checks every access.

    Parameters
    ----------
    source :
        The file in which all of it stands.
    parts :
        The functions that it calls.
    inlined :
        Further ones, each compiled anew wherever it is called: faster code, for longer compiling.
    """
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return entry
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    path = user_cache() / "kernels" / f"{source.stem}-{_fingerprint(source, llvm)}.o"
    kept = _kept(path)
    if kept is not None:
        return _loaded(*kept, llvm)
    symbol, ir = _compiled(entry, parts, inlined)
    object_code = _object_code(ir, llvm)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, b"\n".join([symbol.encode(), _checksum(object_code), object_code]))
    except (OSError, SpecError):
        pass  # a cache that cannot be written costs time, nothing else
    return _loaded(symbol, object_code, llvm)


def _compiled(entry: Function, *parts: Iterable[Function]) -> tuple[str, str]:
    """The symbol of `entry` as a C function of (pointer to int64), and LLVM's representation of all its code."""
    from numba import cfunc, types

    _make_jitable(*parts)
    # numba takes whatever is of a pointer type for what an array's elements are reached through.
    pointer = types.CPointer(types.int64)  # type: ignore[no-untyped-call]
    with _lightly_optimised():
        function = cfunc(types.void(pointer), error_model="numpy")(entry)
    return function.native_name, function.inspect_llvm()


@contextmanager
def _lightly_optimised() -> Iterator[None]:
    """numba's own switch NUMBA_OPT=1, while it lasts.

    numba optimises each function alone and again inside each that calls it. At level 1 that takes two thirds of the
    time of level 3, and the loops that come out are no slower (2.5 against 2.7 ms for the step of `bench engine`).
    """
    import numba.core.config

    config: Any = numba.core.config
    before = config.OPT
    config.OPT = type(before)(1)
    try:
        yield
    finally:
        config.OPT = before


def _make_jitable(parts: Iterable[Function], inlined: Iterable[Function]) -> None:
    """Let compiled code call `parts`, and take in `inlined`.

    `njit` would compile what it is put on once for each constant that it is handed, with wrappers for Python round it.
    What a function calls is optimised once more with each function above it: most of the time that compiling takes. So
    calls should nest no deeper than they have to.
    """
    from numba.extending import register_jitable

    for is_inlined, functions in ((False, parts), (True, inlined)):
        for function in functions:
            register_jitable(
                error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=is_inlined
            )(function)


def _kept(path: Path) -> tuple[str, bytes] | None:
    """Symbol and object code in the file at `path`; None when it is not there, or not whole."""
    try:
        symbol, checksum, object_code = path.read_bytes().split(b"\n", 2)
    except (OSError, ValueError):
        return None
    return (symbol.decode(), object_code) if checksum == _checksum(object_code) else None


def _checksum(object_code: bytes) -> bytes:
    return hashlib.sha256(object_code).hexdigest().encode()


def _fingerprint(source: Path, llvm: Any) -> str:
    made_by = (platform.python_version(), version("numba"), version("llvmlite"))
    processor = (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    # This file has a say as well.
    content = source.read_bytes() + Path(__file__).read_bytes() + "/".join(made_by + processor).encode()
    return hashlib.sha256(content).hexdigest()[:24]


def _object_code(ir: str, llvm: Any) -> bytes:
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, jit=True
    )
    return bytes(machine.emit_object(llvm.parse_assembly(ir)))


def _loaded(symbol: str, object_code: bytes, llvm: Any) -> Kernel:
    never = ctypes.cast(ctypes.pythonapi.Py_FatalError, ctypes.c_void_p).value
    for name in _NEVER_CALLED:
        llvm.add_symbol(name, never)
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(object_code))
    engine.finalize_object()
    _ENGINES.append(engine)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address(symbol))
    return lambda memory: function(memory.ctypes.data)
