"""Steps that leave the numbers when they are told to."""

from collections.abc import Collection
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training import trainer
from training.executors import make_executor

WHERE = ("loss", "gradient")


class Poison:
    """Makes the loss of a model, or the gradient alone, NaN while it is on.

    Parameters
    ----------
    norm_out :
        The norm behind the last block: what leaves it, every logit hangs on.
    where :
        Of `WHERE`.
    """

    def __init__(self, norm_out: nn.Module, where: str = "loss") -> None:
        self.is_on = False
        self._where = where
        norm_out.register_forward_hook(self._forward)

    def _forward(self, module: nn.Module, inputs: Any, y_BTD: Tensor) -> Tensor:
        if not (self.is_on and torch.is_grad_enabled()):
            return y_BTD
        if self._where == "loss":
            return y_BTD * torch.nan
        y_BTD.register_hook(lambda slope_BTD: slope_BTD * torch.nan)
        return y_BTD


class Poisoned:
    """An executor with poison in some of its steps, from 0."""

    def __init__(self, executor: Any, steps: Collection[int], where: str = "loss") -> None:
        self._executor, self._steps = executor, steps
        model = executor.model if hasattr(executor, "model") else executor._ends._model
        self._poison = Poison(model.norm_out, where)

    def step(self, batch: Any, step: int) -> Any:
        self._poison.is_on = step in self._steps
        return self._executor.step(batch, step)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)


def poison(monkeypatch: pytest.MonkeyPatch, steps: Collection[int], where: str = "loss") -> None:
    """Runs of the trainer get poison in these steps."""
    monkeypatch.setattr(trainer, "make_executor", lambda *args: Poisoned(make_executor(*args), steps, where))
