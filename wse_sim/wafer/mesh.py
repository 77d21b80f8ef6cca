"""The mesh of cores as a layer's product meets it: its extent, and what one core takes for a weight and for a row."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Cores, the rates at which they work on a product, and their fixed costs in clock cycles.

    Numbers of tokens may be arrays of them.

    Parameters
    ----------
    width, height :
        Cores along the input channels, and along the tokens.
    lanes :
        Multiply-accumulates of a core per cycle at its peak.
    efficiency :
        Share of the lanes' peak that dense products sustain, 0 to 1: the cluster's `linear_efficiency`. What is lost
        (issue, 32-bit sums, conflicts of memory banks) is lost in the AXPYs, so it is in every one of them.
    window_rows :
        Weight rows within which one column of cores may run ahead of another.
    row_issue_cycles :
        Fixed part of handing on the partial sums of one weight row.
    sums_per_cycle :
        Tokens whose partial sum a core hands to its neighbour in a cycle: a matter of the links, not of the lanes.

    Source: Lie, Hot Chips 34 and IEEE Micro 43(3) 2023 for the mapping; docs/explanation/physics.md for the cycles.
    """

    width: int
    height: int
    lanes: int
    efficiency: float
    window_rows: int
    row_issue_cycles: float
    sums_per_cycle: float

    def core_tokens(self, n_tokens: int) -> int:
        """Tokens of the fullest core."""
        return -(-n_tokens // self.height)

    def axpy_cycles(self, n_tokens: int) -> float:
        """Cycles of a core for one weight: its tokens in whole multiples of the lanes, at the sustained rate."""
        return -(-self.core_tokens(n_tokens) // self.lanes) / self.efficiency

    def reduction_cycles(self, n_tokens: int) -> float:
        """Cycles between the partial sums of one weight row and of the next, at any core of the ring.

        The ring is a pipeline: its length is a latency, paid once per product, and is part of `layer_latency_s`.
        """
        return self.row_issue_cycles - (-self.core_tokens(n_tokens) // self.sums_per_cycle)

    def channel_group(self, n_in: int) -> int:
        """Input channels of a full column of cores, when `n_in` channels are laid over at most `width` columns."""
        return -(-n_in // self.width)
