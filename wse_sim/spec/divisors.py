"""Numbers that divide a number: into which parts a batch can be cut."""

from functools import lru_cache
from math import isqrt


@lru_cache(maxsize=65536)
def divisors(n: int, largest: int) -> tuple[int, ...]:
    """Of `n`, up to `largest`, smallest first."""
    small = [m for m in range(1, isqrt(n) + 1) if n % m == 0]
    return tuple(m for m in dict.fromkeys([*small, *(n // m for m in reversed(small))]) if m <= largest)


@lru_cache(maxsize=4096)
def largest_parts(n: int) -> tuple[int, ...]:
    """The largest part of `n` when it is cut into 1, 2, ... `n` parts as equal as can be: ceil(n / parts).

    Smallest first, each once; there are about 2 sqrt(n).
    """
    root = isqrt(n - 1)
    return tuple(sorted({*range(1, root + 2), *((n - 1) // parts + 1 for parts in range(1, root + 1))}))
