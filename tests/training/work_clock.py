"""A clock that goes by what is computed instead of by time: the same on every machine, however busy."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


def _product(a: Tensor, b: Tensor) -> float:
    return 2.0 * a.numel() * b.shape[-1]


def _attention(query_BNTH: Tensor) -> float:
    """Both products over the full square of places."""
    return 4.0 * query_BNTH.numel() * query_BNTH.shape[-2]


_TICKS: dict[Any, Callable[..., float]] = {
    aten.mm: lambda a, b, **_: _product(a, b),
    aten.addmm: lambda bias, a, b, **_: _product(a, b),
    aten.addmm_: lambda total, a, b, **_: _product(a, b),
    aten.bmm: lambda a, b, **_: _product(a, b),
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, *_, **__: _attention(q),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda slope, q, *_, **__: 2.0 * _attention(q),
    aten._fused_adamw_: lambda parameters, *_, **__: float(sum(p.numel() for p in parameters)),
}


class WorkClock(TorchDispatchMode):
    """Ticks are FLOPs of matrix products and of attention, and numbers that AdamW steps along; all else is free."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (ticks := _TICKS.get(func.overloadpacket)) is not None:
            self.now += ticks(*args, **(kwargs or {}))
        assert math.isfinite(self.now)
        return out
