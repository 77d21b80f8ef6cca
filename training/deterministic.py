"""PyTorch held to results that depend on nothing but the program, and put back as it was."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def deterministic(n_threads: int) -> Iterator[None]:
    """Fixed threads and no algorithm whose result depends on timing, while it lasts."""
    # cuBLAS takes another order of sums without it, and PyTorch refuses to run; it is read at the first product.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")  # the compiler; it is imported where there is --compile
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    torch.set_num_threads(n_threads)
    torch.set_deterministic_debug_mode("error")  # `use_deterministic_algorithms` would import the compiler
    # It would overwrite every new tensor with NaN first: a help in debugging that costs time and changes no result.
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        memory.fill_uninitialized_memory = fill
