"""A source of bytes whose entropy rate is known: no model can predict it better than that."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.sparse import philox

N_TRAIN_BYTES = 1 << 20
N_VAL_BYTES = 1 << 17
_N_CHAINS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkovSource:
    """An order-1 Markov chain over a few byte values, its transitions drawn from the seed.

    Parameters
    ----------
    n_symbols :
        Byte values 0 ... n_symbols - 1 occur.
    sharpness :
        Exponent on the uniform draws behind the transitions: 1 is nearly flat, larger is more predictable.
    """

    seed: int = 0
    n_symbols: int = 16
    sharpness: float = 4.0

    @property
    def transitions(self) -> npt.NDArray[np.float64]:
        """(n_symbols, n_symbols), row = from, each row sums to 1."""
        weights = _uniform(self.seed, "transitions", self.n_symbols**2) ** self.sharpness + 1e-4
        table = weights.reshape(self.n_symbols, self.n_symbols)
        normalized: npt.NDArray[np.float64] = table / table.sum(axis=1, keepdims=True)
        return normalized

    @property
    def entropy_rate_nats(self) -> float:
        """Per symbol: sum over states of their long-run share times the entropy of their row."""
        table = self.transitions
        share = np.linalg.matrix_power(table, 512)[0]
        return float(-(share[:, None] * table * np.log(table)).sum())

    def sample(self, stream: int, n_bytes: int) -> npt.NDArray[np.uint8]:
        """(n_bytes,) uint8: many chains side by side, laid end to end."""
        length = -(-n_bytes // _N_CHAINS)
        cumulative = np.cumsum(self.transitions, axis=1)
        draws = _uniform(self.seed, f"sample/{stream}", length * _N_CHAINS).reshape(length, _N_CHAINS)
        chains = np.empty((length, _N_CHAINS), dtype=np.uint8)
        state = np.zeros(_N_CHAINS, dtype=np.int64)
        for place in range(length):
            state = (draws[place, :, None] > cumulative[state]).sum(axis=1).clip(max=self.n_symbols - 1)
            chains[place] = state
        return np.ascontiguousarray(chains.T).reshape(-1)[:n_bytes]


def _uniform(seed: int, label: str, n: int) -> npt.NDArray[np.float64]:
    draws = philox(seed, "markov", label).random_raw(n) >> np.uint64(11)
    return draws.astype(np.float64) * 2.0**-53
