"""A source of bytes whose entropy rate is known: no model can predict it better than that."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.masks import philox
from wse_sim.errors import SpecError

N_TRAIN_BYTES = 1 << 20
N_VAL_BYTES = 1 << 17
_N_CHAINS = 1024
_MOST_TRANSITIONS = 1 << 20
_N_SETTLING = 512  # steps after which a chain has forgotten where it began


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkovSource:
    """A Markov chain over a few byte values, its transitions drawn from the seed.

    Parameters
    ----------
    order :
        Symbols that the next one depends on.
    n_symbols :
        Byte values 0 ... n_symbols - 1 occur.
    sharpness :
        Exponent on the uniform draws behind the transitions: 1 is nearly flat, larger is more predictable.

    Raises
    ------
    SpecError
        When a parameter is out of its range, or the table of transitions would be too large.
    """

    seed: int = 0
    order: int = 1
    n_symbols: int = 16
    sharpness: float = 4.0

    def __post_init__(self) -> None:
        for key, holds, right in (
            ("seed", self.seed >= 0, "at least 0"),
            (
                "order",
                1 <= self.order < _MOST_TRANSITIONS.bit_length(),
                f"from 1 to {_MOST_TRANSITIONS.bit_length() - 1}",
            ),
            ("n_symbols", 2 <= self.n_symbols <= 256, "from 2 to 256"),
            ("sharpness", 0 <= self.sharpness < float("inf"), "at least 0"),
        ):
            if not holds:
                raise SpecError(f"markov: {key} is {getattr(self, key)}, it must be {right}")
        if self.n_symbols ** (self.order + 1) > _MOST_TRANSITIONS:
            raise SpecError(
                f"markov: order {self.order} over {self.n_symbols} symbols has {self.n_symbols ** (self.order + 1):,} "
                f"transitions; at most {_MOST_TRANSITIONS:,} (n_symbols ^ (order + 1)) would be right"
            )

    @property
    def transitions(self) -> npt.NDArray[np.float64]:
        """(n_symbols ^ order, n_symbols), row = the symbols before, the last one counting 1; each row sums to 1."""
        n_rows = self.n_symbols**self.order
        weights = _uniform(self.seed, "transitions", n_rows * self.n_symbols) ** self.sharpness + 1e-4
        table = weights.reshape(n_rows, self.n_symbols)
        normalized: npt.NDArray[np.float64] = table / table.sum(axis=1, keepdims=True)
        return normalized

    @property
    def entropy_rate_nats(self) -> float:
        """Per symbol: sum over rows of their long-run share times their entropy."""
        table = self.transitions
        share = np.zeros(len(table))
        share[0] = 1.0
        for _ in range(_N_SETTLING):
            # The oldest symbol is forgotten, the next one becomes the last.
            share = (share[:, None] * table).reshape(self.n_symbols, -1, self.n_symbols).sum(axis=0).reshape(-1)
        return float(-(share[:, None] * table * np.log(table)).sum())

    def sample(self, stream: int, n_bytes: int) -> npt.NDArray[np.uint8]:
        """(n_bytes,) uint8: many chains side by side, laid end to end."""
        length = -(-n_bytes // _N_CHAINS)
        cumulative = np.cumsum(self.transitions, axis=1)
        draws = _uniform(self.seed, f"sample/{stream}", length * _N_CHAINS).reshape(length, _N_CHAINS)
        chains = np.empty((length, _N_CHAINS), dtype=np.uint8)
        row = np.zeros(_N_CHAINS, dtype=np.int64)
        for place in range(length):
            symbol = (draws[place, :, None] > cumulative[row]).sum(axis=1).clip(max=self.n_symbols - 1)
            chains[place] = symbol
            row = (row * self.n_symbols + symbol) % len(cumulative)
        return np.ascontiguousarray(chains.T).reshape(-1)[:n_bytes]


def _uniform(seed: int, label: str, n: int) -> npt.NDArray[np.float64]:
    draws = philox(seed, "markov", label).random_raw(n) >> np.uint64(11)
    return draws.astype(np.float64) * 2.0**-53
