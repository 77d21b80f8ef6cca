"""Which law rows can support, or why they cannot support it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wse_sim.errors import SpecError, choose
from wse_sim.laws.chinchilla import CHINCHILLA
from wse_sim.laws.form import Form
from wse_sim.laws.observation import Row, Sample
from wse_sim.laws.power_law import POWER
from wse_sim.laws.sparse import SPARSE, SPARSE_FIXED_TPP

LawName = Literal["power", "chinchilla", "sparse"]
LAWS: tuple[LawName, ...] = ("sparse", "chinchilla", "power")  # the one that says most comes first
AUTO = "auto"

_SAME_TPP = 0.02  # whole steps make equal tokens per parameter differ a little
_FEWEST_SIZES = {"power": 4, "chinchilla": 3, "sparse": 2}
_FEWEST_DENSITIES = 3  # a_s, b_s and c_s are three numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A law and the rows it is fitted to.

    Parameters
    ----------
    reason :
        Why this one.
    left_out :
        Rows that it has no use for.
    """

    name: LawName
    form: Form[Any]
    rows: tuple[Row, ...]
    left_out: tuple[Row, ...]
    reason: str


def choose_law(rows: Sequence[Row], target: Sample, law: str = AUTO) -> Choice:
    """The law for these rows: the one that was asked for, or the one that says most of those they support.

    Raises
    ------
    SpecError
        When the rows are too few or too much alike for it, or for any; says what each would need.
    """
    choose(law, (*LAWS, AUTO), "law")
    if law != AUTO:
        return _CHECKS[law](rows, target)
    refusals = []
    # What a non-zero is worth is nothing that a dense target asks about.
    by_use = LAWS if target.density < 1 else sorted(LAWS, key=lambda name: name == "sparse")
    for name in by_use:
        try:
            return _CHECKS[name](rows, target)
        except SpecError as error:
            refusals.append(str(error))
    raise SpecError("the runs support no law: " + "; ".join(refusals))


def same_tokens_per_parameter(samples: Sequence[Sample]) -> bool:
    """Whether all have the same, but for whole steps."""
    values = [sample.tokens_per_parameter for sample in samples]
    return max(values) <= min(values) * (1.0 + _SAME_TPP)


def _power(rows: Sequence[Row], target: Sample) -> Choice:
    used, left_out = _at_density(rows, target.density)
    samples = [row.sample for row in used]
    _require_sizes("power", samples, target.density)
    if not same_tokens_per_parameter(samples):
        low, high = (f"{f(s.tokens_per_parameter for s in samples):.3g}" for f in (min, max))
        raise SpecError(f"the power law needs runs of one tokens per parameter, these have {low} to {high}")
    if not same_tokens_per_parameter([*samples, target]):
        raise SpecError(
            f"the power law holds at the runs' {samples[0].tokens_per_parameter:.3g} tokens per parameter, not at the "
            f"target's {target.tokens_per_parameter:.3g}"
        )
    reason = f"{len(used)} sizes at density {target.density:g} and one tokens per parameter"
    return Choice(name="power", form=POWER, rows=used, left_out=left_out, reason=reason)


def _chinchilla(rows: Sequence[Row], target: Sample) -> Choice:
    used, left_out = _at_density(rows, target.density)
    samples = [row.sample for row in used]
    _require_sizes("chinchilla", samples, target.density)
    if same_tokens_per_parameter(samples):
        raise SpecError("the chinchilla law needs runs of two or more tokens per parameter, these have one")
    _require_rows("chinchilla", CHINCHILLA, used)
    reason = f"{_n_sizes(samples)} sizes at density {target.density:g} and several tokens per parameter"
    return Choice(name="chinchilla", form=CHINCHILLA, rows=used, left_out=left_out, reason=reason)


def _sparse(rows: Sequence[Row], target: Sample) -> Choice:
    used = tuple(rows)
    samples = [row.sample for row in used]
    n_densities = len({sample.density for sample in samples})
    if n_densities < _FEWEST_DENSITIES:
        raise SpecError(
            f"the sparse law needs {_FEWEST_DENSITIES} densities (what a non-zero is worth has three coefficients), "
            f"the runs have {n_densities}"
        )
    _require_sizes("sparse", samples, None)
    is_fixed = same_tokens_per_parameter(samples)
    if is_fixed and not same_tokens_per_parameter([*samples, target]):
        raise SpecError(
            f"the runs all have {samples[0].tokens_per_parameter:.3g} tokens per parameter, so the sparse law cannot "
            f"say what {target.tokens_per_parameter:.3g} would give"
        )
    form = SPARSE_FIXED_TPP if is_fixed else SPARSE
    _require_rows("sparse", form, used)
    data = "one tokens per parameter: its term for the data is left out" if is_fixed else "several tokens per parameter"
    reason = f"{n_densities} densities, {_n_sizes(samples)} sizes, {data}"
    return Choice(name="sparse", form=form, rows=used, left_out=(), reason=reason)


_CHECKS = {"power": _power, "chinchilla": _chinchilla, "sparse": _sparse}


def _at_density(rows: Sequence[Row], density: float) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Rows of the target's density, and the others."""
    is_there = [math.isclose(row.sample.density, density, rel_tol=1e-9) for row in rows]
    return (
        tuple(row for row, there in zip(rows, is_there, strict=True) if there),
        tuple(row for row, there in zip(rows, is_there, strict=True) if not there),
    )


def _n_sizes(samples: Sequence[Sample]) -> int:
    return len({(s.shape.n_layers, s.shape.d_model, s.shape.d_ff, s.shape.kv_heads) for s in samples})


def _require_sizes(name: LawName, samples: Sequence[Sample], density: float | None) -> None:
    n_there, n_needed = _n_sizes(samples), _FEWEST_SIZES[name]
    if n_there < n_needed:
        where = "" if density is None else f" at the target's density {density:g}"
        raise SpecError(
            f"the {name} law needs runs of {n_needed} sizes{where}, there are {n_there}; without any runs the "
            "published law of Cerebras-GPT answers"
        )


def _require_rows(name: LawName, form: Form[Any], rows: Sequence[Row]) -> None:
    if len(rows) <= form.n_coefficients:
        raise SpecError(
            f"the {name} law has {form.n_coefficients} coefficients here and needs {form.n_coefficients + 1} rows, "
            f"there are {len(rows)}"
        )
