"""Arrays as raw pointers inside compiled code.

Numba counts references of every array that a function is handed, and its optimizer cannot remove the counting across
branches; in an event loop that is most of the run time. A raw pointer has no count, and no bounds. Where numba's own
switch NUMBA_DISABLE_JIT=1 is set, the same kernels are run by Python on the arrays themselves, so that every access is
checked and a debugger can follow; the tests run them both ways.
"""

from typing import Any

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


@intrinsic
def _raw_pointer(typing_context: Any, array: Any) -> Any:
    signature = types.CPointer(array.dtype)(array)  # type: ignore[no-untyped-call]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return signature, codegen


@intrinsic
def _prefetch(typing_context: Any, memory: Any, place: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number, address = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [address, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [address], kind)
        line = builder.bitcast(builder.gep(args[0], [args[1]]), address)
        for_writing, near, data = number(1), number(3), number(1)
        builder.call(prefetch, [line, for_writing, near, data])
        return context.get_dummy_value()

    return types.void(memory, place), codegen


def _same_array(array: Any) -> Any:
    return array


def _nothing(memory: Any, place: Any) -> None:
    pass


_IS_COMPILED = not numba.config.DISABLE_JIT  # type: ignore[attr-defined]
# numba types neither its configuration nor what an intrinsic takes inside compiled code.
pointer: Any = _raw_pointer if _IS_COMPILED else _same_array
# Ask for the cache line at `memory[place]`, to write there; a place behind the end does no harm.
prefetch: Any = _prefetch if _IS_COMPILED else _nothing
