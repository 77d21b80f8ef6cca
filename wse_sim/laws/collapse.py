"""The universal training curve: losses of models of any size, each over its own last loss, on one line."""

import numpy as np

from wse_sim.errors import SpecError
from wse_sim.laws.form import Floats


def collapse_curve(t: Floats | float, v: float, exponent: float) -> Floats:
    """Loss above the irreducible one at the fraction `t` of a run, over the same at the run's end.

    l(t, v) = (1 + v^-a t^-a) / (1 + v^-a): the Chinchilla form with one exponent a for size and data, in which a run
    that is cut at the fraction t has seen t D tokens. Runs with the same v and the same AdamW timescale lie on one
    line, whatever their size.

    Parameters
    ----------
    t :
        Fraction of the run, above 0, elementwise.
    v :
        Tokens per parameter over the compute-optimal ones.
    exponent :
        a.

    Raises
    ------
    SpecError
        When one of them is not above 0.

    Source: Bergsma et al., "Scaling with Collapse", arXiv 2509.25087, Section 2.
    """
    if not (v > 0 and exponent > 0 and np.all(np.asarray(t) > 0)):
        raise SpecError(f"the collapse curve needs t, v and exponent above 0, not t {t}, v {v}, exponent {exponent}")
    scaled = v**-exponent
    return np.asarray((1.0 + scaled * np.asarray(t, float) ** -exponent) / (1.0 + scaled))


def collapse_spread(curves: Floats) -> Floats:
    """(n_points,): relative standard deviation over the curves (n_curves, n_points) at each point of the way.

    Curves that collapse have one near that of their seeds. Each curve is to be divided by its last value before.
    """
    return np.asarray(np.std(curves, axis=0) / np.mean(curves, axis=0))
