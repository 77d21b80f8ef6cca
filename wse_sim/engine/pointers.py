"""Arrays as raw pointers inside compiled code.

Numba counts references of every array that a function is handed, and its optimizer cannot remove the counting across
branches; in an event loop that is most of the run time. A raw pointer has no count, and no bounds. Where numba's own
switch NUMBA_BOUNDSCHECK=1 is set, `pointer` hands the array on unchanged, so that the same kernels run with every
access checked; the tests run them both ways.
"""

from typing import Any

import numba
from numba.core import types
from numba.extending import intrinsic


@intrinsic
def _raw_pointer(typing_context: Any, array: Any) -> Any:
    signature = types.CPointer(array.dtype)(array)  # type: ignore[no-untyped-call]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return signature, codegen


@intrinsic
def _same_array(typing_context: Any, array: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        context.nrt.incref(builder, array, args[0])
        return args[0]

    return array(array), codegen


# numba types neither its configuration nor what an intrinsic takes inside compiled code.
pointer: Any = _same_array if numba.config.BOUNDSCHECK else _raw_pointer  # type: ignore[attr-defined]
