"""How large the program of a step is, and what memory it takes, known before it is built."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace

from wse_sim.processes.memory import require_memory
from wse_sim.schedule.tree import tree_widths

BYTES_PER_TASK = 8.5  # its finish time, and a share of tables and rings
_BYTES_PER_TILE = 8 * 16  # of one step at one system, while it is told what the time goes into
_BYTES_PER_PASS = 2500
# Tables of services by system and pass: those of two steps at a time, one of which is being built or merged.
_COPIES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSize:
    """The step of a model of `n_layers` on `n_systems`.

    Parameters
    ----------
    n_steps :
        That are simulated.
    n_offloaded :
        Blocks whose activations leave the wafer.
    has_jitter :
        Every pass of every micro-batch has its own time at every system.
    is_recorded :
        Every finish time is kept.
    """

    n_steps: int
    n_microbatches: int
    n_tiles: int
    n_systems: int
    fan_out: int
    n_layers: int
    n_offloaded: int
    has_jitter: bool
    is_recorded: bool

    @property
    def n_passes(self) -> int:
        """As `cost.StepCosts.passes` has them: three of each block, five of embedding and output layer."""
        return 3 * self.n_layers + 5

    @property
    def n_tasks(self) -> int:
        """As the program will have."""
        n_nodes = sum(tree_widths(self.n_systems, self.fan_out)[:-1])
        n_edges = n_nodes + self.n_systems
        down = (2 * self.n_layers + 2) * n_edges
        at_leaf = self.n_passes + 1 + 2 * self.n_offloaded
        up = (self.n_layers + 2) * (n_edges + n_nodes + 1)
        return self.n_steps * self.n_microbatches * self.n_tiles * (down + self.n_systems * at_leaf + up)

    @property
    def n_bytes(self) -> float:
        """Of memory, at most."""
        n_tables = 1 + self.has_jitter * self.n_steps * self.n_microbatches
        tables = 8 * self.n_systems * self.n_passes * n_tables
        recorded = BYTES_PER_TASK * self.n_tasks + _BYTES_PER_TILE * self.n_microbatches * self.n_passes * self.n_tiles
        return _BYTES_PER_PASS * self.n_passes + _COPIES * tables + self.is_recorded * recorded

    def require_memory(self, what: str) -> None:
        """Raise SpecError where it takes more memory than is free; it names sizes that would fit."""
        sizes = f"num_csx {self.n_systems:,}, n_layers {self.n_layers:,}, micro-batches {self.n_microbatches:,}"
        jitter = ", jitter" if self.has_jitter else ""
        require_memory(self.n_bytes, f"{what}: a step ({sizes}{jitter}) takes", self._fitting)

    def _fitting(self, free: int) -> str:
        n_systems = _most(self.n_systems, free, lambda n: replace(self, n_systems=n))
        n_microbatches = _most(self.n_microbatches, free, lambda n: replace(self, n_microbatches=n))
        n_layers = _most(self.n_layers, free, lambda n: replace(self, n_layers=n))
        fitting = [f"num_csx {n_systems:,}"] if n_systems else []
        if n_microbatches:
            fitting += [f"{n_microbatches:,} micro-batches (a larger --microbatch or a smaller --batch-size)"]
        if n_layers and not fitting:
            fitting += [f"n_layers {n_layers:,}"]
        return f"at most {' or '.join(fitting)} would fit" if fitting else "a machine with more memory would be right"


def _most(n: int, free: int, with_number: Callable[[int], StepSize]) -> int:
    """The largest number below `n` that fits; 0 where not even one does."""
    return bisect_right(range(1, n), float(free), key=lambda fewer: with_number(fewer).n_bytes)
