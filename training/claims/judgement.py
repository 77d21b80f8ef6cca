"""From what a criterion asks, one check at a time, to the verdict on a claim."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.claims.claim import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED, Finding, Setting, Table, Verdict
from training.claims.interval import Interval
from wse_sim.report.curves import Panel

_VERDICTS: Mapping[bool | None, Verdict] = {True: REPRODUCED, False: NOT_REPRODUCED, None: INCONCLUSIVE}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a criterion asks.

    Parameters
    ----------
    what :
        What was asked and what was measured, in a few words.
    holds :
        None where the interval over seeds leaves both answers open.
    """

    what: str
    holds: bool | None


def is_within(found: Interval, low: float = -math.inf, high: float = math.inf) -> bool | None:
    """Whether a figure lies in [low, high]; None where its interval reaches over an end, or is none at all."""
    if math.isnan(found.mean):
        return None
    if low <= found.low and found.high <= high:
        return True
    return False if found.high < low or found.low > high else None


def all_of(answers: Sequence[bool | None]) -> bool | None:
    """Whether all hold: False where one does not, None where one is open and the others hold."""
    if any(answer is False for answer in answers):
        return False
    return True if all(answers) else None


def verdict_on(checks: Sequence[Check]) -> Verdict:
    """Reproduced where all hold, not reproduced where one fails, inconclusive otherwise."""
    return _VERDICTS[all_of([check.holds for check in checks])]


def concluded(
    setting: Setting,
    checks: Sequence[Check],
    *,
    setup: Sequence[str],
    tables: Sequence[Table],
    panels: Sequence[Panel] = (),
    remarks: Sequence[str] = (),
) -> Finding:
    """The finding that the checks come to; of a smoke run, none.

    Parameters
    ----------
    remarks :
        Sentences that go with the reason: what the criterion does not ask.
    """
    if setting.is_smoke:
        verdict, why = INCONCLUSIVE, "A smoke run: it shows that the claim can be tested, and tests nothing."
    else:
        verdict, why = verdict_on(checks), " ".join((_reason(checks), *remarks))
    return Finding(verdict=verdict, why=why, setup=tuple(setup), tables=tuple(tables), panels=tuple(panels))


def _reason(checks: Sequence[Check]) -> str:
    groups = (("Fails", False), ("Open", None), ("Holds", True))
    parts = []
    for word, holds in groups:
        said = [check.what for check in checks if check.holds is holds]
        if said:
            parts.append(f"{word}: {'; '.join(said)}.")
    return " ".join(parts)
