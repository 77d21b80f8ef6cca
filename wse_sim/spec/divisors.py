"""Numbers that divide a number: into which parts a batch can be cut."""

from functools import lru_cache
from math import isqrt


@lru_cache(maxsize=65536)
def divisors(n: int, largest: int) -> tuple[int, ...]:
    """Of `n`, up to `largest`, smallest first."""
    small = [m for m in range(1, isqrt(n) + 1) if n % m == 0]
    return tuple(m for m in dict.fromkeys([*small, *(n // m for m in reversed(small))]) if m <= largest)
