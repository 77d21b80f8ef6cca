"""What the streaming executor does to non-zeros outside of matrix products, compiled.

A mask is a row of bits, one for each weight of a matrix in row-major order, the first weight in the lowest bit, in
words of `LANES`. All matrices are padded to whole words; what lies beyond the last weight has no bit. The live numbers
lie close together in the same order, so that each chunk of `CHUNK_WORDS` words, whose first live number is known
(`offsets`), can be worked on by itself.

A word is expanded, or gathered, by one instruction where the processor has it (AVX-512), and by a few scalar ones per
weight elsewhere: LLVM chooses. Random places are drawn by Philox4x64-10, as numpy does (`models.masks.philox`), but
where they are needed instead of into memory.

All kernels stand in this one file: numba's cache does not notice a change in a function of another file.

Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011), Section 3.3, for Philox.
"""

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16  # weights to a word
CHUNK_WORDS = 4096

_INT16, _INT32, _INT64, _INT128 = (ir.IntType(width) for width in (16, 32, 64, 128))
_FLAGS = ir.VectorType(ir.IntType(1), LANES)
_WIDE = ir.VectorType(_INT32, LANES)  # 32-bit numbers, whatever they mean
_NARROW = ir.VectorType(_INT16, LANES)
_BF16_SHIFT = 16
_BF16_ROUND = 0x7FFF
_HAS_COMPRESS = binding.get_host_cpu_features().get("avx512f", False)

_kernel: Any = njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)
_intrinsic: Any = intrinsic
_inline: Any = njit(error_model="numpy", cache=True, inline="always", boundscheck=False)


def _function(builder: Any, kind: Any, name: str) -> Any:
    insert: Any = cgutils.get_or_insert_function
    return insert(builder.module, kind, name)


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _flags(builder: Any, word: Any) -> Any:
    return builder.bitcast(builder.trunc(word, _INT16), _FLAGS)


def _all(number: int) -> Any:
    return ir.Constant(_WIDE, [number] * LANES)


def _store(builder: Any, vector: Any, target: Any) -> None:
    builder.store(vector, builder.bitcast(target, vector.type.as_pointer())).align = 2


def _load(builder: Any, source: Any, kind: Any) -> Any:
    loaded = builder.load(builder.bitcast(source, kind.as_pointer()))
    loaded.align = 2
    return loaded


def _bf16(builder: Any, wide: Any) -> Any:
    """The upper halves of 32-bit floats, rounded to nearest, ties to even."""
    odd = builder.and_(builder.lshr(wide, _all(_BF16_SHIFT)), _all(1))
    rounded = builder.add(wide, builder.add(odd, _all(_BF16_ROUND)))
    return builder.trunc(builder.lshr(rounded, _all(_BF16_SHIFT)), _NARROW)


@_intrinsic  # type: ignore[untyped-decorator]
def _expand_word(typing_context: Any, values: Any, k: Any, word: Any, dense: Any, i: Any) -> Any:
    """Write the next live numbers, from values[k] on, to the places of dense[i:] that have a bit, and 0 elsewhere."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = _address(context, builder, signature.args[0], args[0], args[1])
        target = _address(context, builder, signature.args[3], args[3], args[4])
        kind = ir.FunctionType(_WIDE, [source.type, _FLAGS, _WIDE])
        expand = _function(builder, kind, f"llvm.masked.expandload.v{LANES}i32")
        wide = builder.call(expand, [source, _flags(builder, args[2]), ir.Constant(_WIDE, None)])
        is_narrow = signature.args[3].dtype.bitwidth == 16
        _store(builder, _bf16(builder, wide) if is_narrow else wide, target)
        return context.get_dummy_value()

    return types.void(values, types.int64, types.uint64, dense, types.int64), codegen


@_intrinsic  # type: ignore[untyped-decorator]
def _gather_word(typing_context: Any, dense: Any, i: Any, word: Any, values: Any, k: Any, has_room: Any) -> Any:
    """Write the numbers of dense[i:] that have a bit to values[k:]; where there is room, rubbish after them."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = _address(context, builder, signature.args[0], args[0], args[1])
        target = _address(context, builder, signature.args[3], args[3], args[4])
        flags = _flags(builder, args[2])
        if signature.args[0].dtype.bitwidth == 16:
            wide = builder.shl(builder.zext(_load(builder, source, _NARROW), _WIDE), _all(_BF16_SHIFT))
        else:
            wide = _load(builder, source, _WIDE)
        kind = ir.FunctionType(ir.VoidType(), [_WIDE, target.type, _FLAGS])
        exact = _function(builder, kind, f"llvm.masked.compressstore.v{LANES}i32")
        if not _HAS_COMPRESS:
            builder.call(exact, [wide, target, flags])
            return context.get_dummy_value()
        # Compressing into memory is a microprogram of a hundred cycles on some processors; into a register it is not.
        with builder.if_else(builder.trunc(args[5], ir.IntType(1))) as (then, otherwise):
            with then:
                kind = ir.FunctionType(_WIDE, [_WIDE, _WIDE, _FLAGS])
                compress = _function(builder, kind, "llvm.x86.avx512.mask.compress.v16i32")
                _store(builder, builder.call(compress, [wide, ir.Constant(_WIDE, None), flags]), target)
            with otherwise:
                builder.call(exact, [wide, target, flags])
        return context.get_dummy_value()

    return types.void(dense, types.int64, types.uint64, values, types.int64, types.boolean), codegen


@_intrinsic  # type: ignore[untyped-decorator]
def _n_bits(typing_context: Any, word: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@_intrinsic  # type: ignore[untyped-decorator]
def _high_product(typing_context: Any, a: Any, b: Any) -> Any:
    """The upper 64 bits of a product of two 64-bit numbers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        product = builder.mul(builder.zext(args[0], _INT128), builder.zext(args[1], _INT128))
        return builder.trunc(builder.lshr(product, ir.Constant(_INT128, 64)), _INT64)

    return types.uint64(types.uint64, types.uint64), codegen


@_kernel
def expand(bits, offsets, values, dense, first_chunk, last_chunk):  # type: ignore[no-untyped-def]
    """Fill chunks of a dense matrix: live numbers where there are bits, zeros elsewhere.

    Parameters
    ----------
    bits :
        (n_words,) uint16.
    offsets :
        (n_chunks + 1,) int64, live numbers before each chunk.
    values :
        (n_live,) uint32, the bits of floats.
    dense :
        (n_words x LANES,) uint32, or uint16 for bfloat16; filled.
    """
    for chunk in range(first_chunk, last_chunk):
        k = offsets[chunk]
        for i in range(chunk * CHUNK_WORDS, min((chunk + 1) * CHUNK_WORDS, bits.size)):
            word = np.uint64(bits[i])
            _expand_word(values, k, word, dense, i * LANES)
            k += _n_bits(word)


@_kernel
def gather(bits, offsets, dense, values, first_chunk, last_chunk):  # type: ignore[no-untyped-def]
    """Fill the live numbers of chunks from a dense matrix: the reverse of `expand`."""
    for chunk in range(first_chunk, last_chunk):
        k, end = offsets[chunk], offsets[chunk + 1]
        for i in range(chunk * CHUNK_WORDS, min((chunk + 1) * CHUNK_WORDS, bits.size)):
            word = np.uint64(bits[i])
            _gather_word(dense, i * LANES, word, values, k, k + LANES <= end)
            k += _n_bits(word)


@_kernel
def count(bits, offsets):  # type: ignore[no-untyped-def]
    """Fill `offsets` for a mask."""
    n_live = np.int64(0)
    for i in range(bits.size):
        if i % CHUNK_WORDS == 0:
            offsets[i // CHUNK_WORDS] = n_live
        n_live += _n_bits(np.uint64(bits[i]))
    offsets[offsets.size - 1] = n_live


@_inline
def _philox(key_0, key_1, block):  # type: ignore[no-untyped-def]
    """Four 64-bit draws: numbers 4 x block to 4 x block + 3 of the stream."""
    c_0, c_1, c_2, c_3 = np.uint64(block + 1), np.uint64(0), np.uint64(0), np.uint64(0)  # numpy counts from 1
    for _ in range(10):
        high_0, low_0 = _high_product(np.uint64(0xD2E7470EE14C6C93), c_0), np.uint64(0xD2E7470EE14C6C93) * c_0
        high_1, low_1 = _high_product(np.uint64(0xCA5A826395121157), c_2), np.uint64(0xCA5A826395121157) * c_2
        c_0, c_1, c_2, c_3 = high_1 ^ c_1 ^ key_0, low_1, high_0 ^ c_3 ^ key_1, low_0
        key_0 += np.uint64(0x9E3779B97F4A7C15)
        key_1 += np.uint64(0xBB67AE8584CAA73B)
    return c_0, c_1, c_2, c_3


@_kernel
def mark_lowest(key, n_weights, low, high, bits, doubtful, places):  # type: ignore[no-untyped-def]
    """Set the bits of all draws below `low`, and list those from there to below `high`: how many of each there are.

    Parameters
    ----------
    key :
        (2,) uint64, of Philox.
    bits :
        (n_words,) uint16; filled.
    doubtful, places :
        uint64 and int64: listed draws and where they are, in order; what finds no room is counted all the same.
    """
    n_below, n_doubtful = 0, 0
    low, width = np.uint64(low), np.uint64(high) - np.uint64(low)
    for i in range(bits.size):
        word = np.uint64(0)
        for quarter in range(LANES // 4):
            first = i * LANES + 4 * quarter
            if first >= n_weights:
                break
            draws = _philox(key[0], key[1], first // 4)
            for lane in range(4):
                draw = draws[lane]
                word |= np.uint64(draw < low) << np.uint64(4 * quarter + lane)
                if draw - low < width and first + lane < n_weights:
                    if n_doubtful < doubtful.size:
                        doubtful[n_doubtful] = draw
                        places[n_doubtful] = first + lane
                    n_doubtful += 1
        if (i + 1) * LANES > n_weights:
            word &= (np.uint64(1) << np.uint64(n_weights - i * LANES)) - np.uint64(1)
        n_below += _n_bits(word)
        bits[i] = word
    return n_below, n_doubtful


@_kernel
def draw_live(key, bits, centred):  # type: ignore[no-untyped-def]
    """Fill `centred`, (n_live,) float32, with even numbers in (-1, 1), one for each place that lives.

    The upper 24 bits of the draw of that place, in the middle of their step: as `models.build.centred`.
    """
    k = 0
    for i in range(bits.size):
        word = np.uint64(bits[i])
        for quarter in range(LANES // 4):
            four = (word >> np.uint64(4 * quarter)) & np.uint64(15)
            if four != 0:
                drawn = _philox(key[0], key[1], i * (LANES // 4) + quarter)
                for lane in range(4):
                    if k < centred.size:
                        step = np.float32(np.int32(drawn[lane] >> np.uint64(40)))
                        centred[k] = (step + np.float32(0.5)) * np.float32(2.0**-23) - np.float32(1.0)
                    k += _n_bits((four >> np.uint64(lane)) & np.uint64(1))
