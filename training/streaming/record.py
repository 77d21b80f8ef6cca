"""What was streamed, computed and timed, by layer and pass: the executed schedule, in the simulator's own units."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import msgspec

# As in `wse_sim.schedule.cost`: forward; backward, first the derivative by a layer's input, then that by its weights.
Pass = Literal["forward", "delta", "gradient"]
Part = Literal["expand", "compute", "recompute", "gather", "update", "masks"]
PARTS: tuple[Part, ...] = get_args(Part)
STREAM_FILE = "stream.jsonl"


class StreamRow(msgspec.Struct, frozen=True, kw_only=True, rename={"pass_": "pass"}):
    """One layer in one pass of one optimizer step: a row of `stream.jsonl`.

    Parameters
    ----------
    layer :
        `embedding`, `block 0` and so on, or `output`, whose delta is made together with its forward pass.
    tokens :
        That went through.
    weight_bytes :
        Non-zeros and their bits, streamed in for this pass; 0 where the block was still dense.
    gradient_bytes :
        Gradients of non-zeros, streamed out.
    dense_flops, sparse_flops :
        Of its products, with and without the masked weights; recomputation is not counted.
    host_s, cpu_s :
        Measured seconds, and those of all processors together, by what they were spent on.
    """

    step: int
    layer: str
    pass_: Pass
    tokens: int
    weight_bytes: int = 0
    gradient_bytes: int = 0
    dense_flops: float = 0.0
    sparse_flops: float = 0.0
    host_s: dict[Part, float]
    cpu_s: dict[Part, float]


class StreamRecorder:
    """Collects what happens in one optimizer step."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, Pass], _Growing] = defaultdict(_Growing)

    def start(self) -> None:
        """Forget the step before."""
        self._rows.clear()

    @contextmanager
    def timed(self, layer: str, pass_: Pass, part: Part) -> Iterator[None]:
        """Add the time of what it encloses."""
        row, host_s, cpu_s = self._rows[layer, pass_], time.perf_counter(), time.process_time()
        yield
        row.host_s[part] = row.host_s.get(part, 0.0) + time.perf_counter() - host_s
        row.cpu_s[part] = row.cpu_s.get(part, 0.0) + time.process_time() - cpu_s

    def count(self, layer: str, pass_: Pass, **counts: float) -> None:
        """Add to what a layer streamed and computed, by the names of `StreamRow`."""
        of_row = self._rows[layer, pass_].counts
        for name, number in counts.items():
            of_row[name] = of_row.get(name, 0) + number

    def rows(self, step: int, tokens: int) -> list[StreamRow]:
        """Of the step, in the order in which layers came."""
        return [
            msgspec.convert(
                {
                    "step": step,
                    "layer": layer,
                    "pass": pass_,
                    "tokens": tokens,
                    "host_s": row.host_s,
                    "cpu_s": row.cpu_s,
                    **row.counts,
                },
                StreamRow,
            )
            for (layer, pass_), row in self._rows.items()
        ]


class _Growing:
    def __init__(self) -> None:
        self.host_s: dict[Part, float] = {}
        self.cpu_s: dict[Part, float] = {}
        self.counts: dict[str, float] = {}
