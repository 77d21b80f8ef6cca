"""The processes that `torchrun` starts to train one model together: what they share, and what they tell each other.

Every process does the same in the same order, and the first one writes the files. What they tell each other about the
run goes over the processors; gradients and shards go from device to device. PyTorch's own modules for this are imported
late: they take most of a second, and one process alone needs none of them.
"""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from socket import getaddrinfo
from typing import TypeVar

import torch
from torch import Tensor

from models.tensor_file import TensorSource
from training.checkpoint import SavedParameter
from training.execution import Device
from training.executor import Batch
from training.interrupt import Interrupted
from wse_sim.errors import AloneError, SpecError
from wse_sim.spec.written import as_whole_number

_SETTLE_S = 0.1

Anything = TypeVar("Anything")
Saved = Mapping[str, SavedParameter]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The processes of a run, seen from one of them.

    What is said to be for all must be called by every process, at the same point of the run.

    Parameters
    ----------
    device :
        This process's own.
    rank :
        From 0; 0 is the first.
    size :
        Processes.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def require_shares(self, batch_size: int, microbatch: int | None) -> None:
        """Raise SpecError when the sequences of a step, or of what goes through at once, cannot be shared equally."""
        for key, n_sequences in (("batch_size", batch_size), ("execution.microbatch", microbatch)):
            if n_sequences is not None and n_sequences % self.size:
                right = -(-n_sequences // self.size) * self.size
                raise SpecError(
                    f"training configuration: {key} is {n_sequences}, {self.size} processes cannot share it equally; "
                    f"a multiple of {self.size} would be right, such as {right}"
                )

    def share(self, batch: Batch) -> Batch:
        """This process's sequences of a batch; those of all processes, in order, are the batch."""
        inputs_BT, targets_BT = (tensor.chunk(self.size)[self.rank] for tensor in batch)
        return inputs_BT, targets_BT

    def mean(self, value: float) -> float:
        """Of the values that the processes call with; for all."""
        return value if self.size == 1 else self._sum(value) / self.size

    def any(self, flag: bool) -> bool:
        """Whether one of the processes calls with True; for all."""
        return flag if self.size == 1 else self._sum(float(flag)) > 0

    def from_first(self, value: Anything) -> Anything:
        """What the first process calls with; for all."""
        if self.size == 1:
            return value
        from torch.distributed import broadcast_object_list

        said = [value]
        broadcast_object_list(said, src=0, device=torch.device("cpu"))
        return said[0]

    def require_same(self, value: object, what: str) -> None:
        """Raise SpecError in every process when one of them calls with another value than the first; for all."""
        if self.any(self.from_first(value) != value):
            raise SpecError(
                f"the {self.size} processes do not start from the same {what}: each must be given the same "
                "configuration and see the same files"
            )

    def first_does(self, action: Callable[[], object], parts: Sequence[Callable[[], object]] = ()) -> None:
        """Call `action` in the first process alone; a SpecError that it raises is raised in every process; for all.

        Parameters
        ----------
        parts :
            What the action needs all processes for. It calls `from_first(i)` before it does part i itself; the others
            do that part then.
        """
        if self.size == 1:
            action()
            return
        word: object = None
        if self.is_first:
            try:
                action()
            except SpecError as error:
                word = str(error)
            self.from_first(word)
        else:
            while isinstance(word := self.from_first(word), int):
                parts[word]()
        if word is not None:
            raise SpecError(str(word))

    def _sum(self, value: float) -> float:
        from torch.distributed import all_reduce

        total = torch.tensor(value, dtype=torch.float64)
        all_reduce(total)
        return total.item()


def n_processes() -> int:
    """Processes that train together, as `torchrun` tells."""
    return _number_told("WORLD_SIZE", 1, least=1)


def n_local_processes() -> int:
    """Processes that share this machine's cores, as `torchrun` tells."""
    return _number_told("LOCAL_WORLD_SIZE", 1, least=1)


def alone(device: Device) -> World:
    """A single process; SpecError when its device is not there."""
    return World(device=_own_device(device))


@contextmanager
def joined(device: Device) -> Iterator[World]:
    """The processes that `torchrun` started together with this one; this one alone where it started none.

    Within another `joined` it is the same processes, on whatever device.

    Raises
    ------
    SpecError
        When the device is not there, the process has not been told its place among the others, or cannot reach them.
    """
    if n_processes() == 1:
        yield alone(device)
        return
    import torch.distributed as dist

    own = _own_device(device, _number_told("LOCAL_RANK", 0))
    if own.type == "cuda":
        torch.cuda.set_device(own)
    if dist.is_initialized():
        yield World(device=own, rank=dist.get_rank(), size=dist.get_world_size())
        return
    _require_meeting_place()
    try:
        # Both where there are GPUs: who joins on the processor may hold others that do not.
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    except (ValueError, dist.DistError) as error:
        raise AloneError(f"WORLD_SIZE is {n_processes()}: {error}; start the processes with torchrun") from None
    try:
        yield World(device=own, rank=dist.get_rank(), size=dist.get_world_size())
    except (SpecError, Interrupted):
        _leave()
        raise
    _leave()  # not after other errors: they are of one process, and to take leave of others that wait may take for ever


def _number_told(name: str, default: int, *, least: int = 0, most: float = math.inf) -> int:
    """A whole number of the environment, where `torchrun` puts it."""
    text = os.environ.get(name, str(default))
    number = as_whole_number(text)
    if number is None or not least <= number <= most:
        right = f"a whole number of at least {least}" + ("" if most == math.inf else f" and at most {most}")
        raise AloneError(
            f"{name} is {text!r}: torchrun sets it to {right}; unset it, or start the processes with torchrun"
        )
    return number


def _require_meeting_place() -> None:
    """Refuse at once what PyTorch would try for a quarter of an hour."""
    _number_told("RANK", 0, most=n_processes() - 1)
    address = os.environ.get("MASTER_ADDR")
    try:
        if address is not None:
            getaddrinfo(address, None)
    except (OSError, UnicodeError) as error:
        raise AloneError(
            f"MASTER_ADDR is {address!r}: there is no such machine ({getattr(error, 'strerror', error)}); that of the "
            "first process would be right, as torchrun sets it"
        ) from None


def save_together(world: World, parameters: Saved, save: Callable[[Saved], object]) -> None:
    """Let the first process save parameters that may be whole in none; for all.

    It says which tensor it comes to, and the others take part in putting that one together, until it is done or fails.
    """
    parts = [source.pieces for parameter in parameters.values() for source in parameter.numbers.values()]
    told = parameters if world.size == 1 else _told(world, parameters)
    world.first_does(lambda: save(told), parts)


def _told(world: World, parameters: Saved) -> Saved:
    """The same parameters, each tensor of which says its number to the other processes when its turn comes."""
    numbers = count()

    def told(source: TensorSource) -> TensorSource:
        number = next(numbers)

        def pieces() -> Iterable[Tensor]:
            world.from_first(number)
            return source.pieces()

        return replace(source, pieces=pieces)

    return {
        name: replace(parameter, numbers={kind: told(source) for kind, source in parameter.numbers.items()})
        for name, parameter in parameters.items()
    }


def _own_device(device: Device, place: int | None = None) -> torch.device:
    """Of a process alone, or at a place among those of its machine: each has its own GPU."""
    if device == "cpu":
        return torch.device(device)
    if not torch.cuda.is_available():
        raise SpecError("execution.device is 'cuda', but PyTorch finds no GPU here; 'cpu' would be right")
    if place is None:
        return torch.device(device)
    if place >= (n_gpus := torch.cuda.device_count()):
        raise SpecError(
            f"execution.device is 'cuda', and process {place} of this machine has no GPU of its own: there are "
            f"{n_gpus}; --nproc_per_node={n_gpus} would be right"
        )
    return torch.device(device, place)


def _leave() -> None:
    """Leave the other processes, at the end."""
    from torch.distributed import destroy_process_group

    destroy_process_group()
    # A thread of PyTorch's lets go of the tensors of the last exchange a moment after it, and needs the interpreter to
    # do it: a process that ends in that moment is aborted (https://github.com/pytorch/pytorch/issues/190489).
    time.sleep(_SETTLE_S)
