"""What a plan chooses among."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.planning.questions import SMALL
from wse_sim.errors import SpecError
from wse_sim.planning.space import Candidates, Space, candidates
from wse_sim.spec.load import data_path


def test_candidates_are_every_combination_whose_batch_is_shared_evenly() -> None:
    space = Space(systems=("cs3",), num_csx=(1, 3), batch_sizes=(6, 8), densities=(1.0,), tokens_per_parameter=(20.0,))
    tried = candidates(space)
    rows = set(zip(tried.num_csx.tolist(), tried.batch_size.tolist(), tried.microbatch.tolist(), strict=True))
    assert rows == {(1, 6, m) for m in (1, 2, 3, 6)} | {(1, 8, m) for m in (1, 2, 4, 8)} | {(3, 6, m) for m in (1, 2)}
    assert len(tried) == 2 * len(rows)  # schedules
    assert (tried.n_microbatches * tried.microbatch * tried.num_csx == tried.batch_size).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"systems": ("cs9",)}, "unknown system 'cs9'"),
        ({"schedules": ("wsd",)}, "unknown schedule whose loss a law knows 'wsd'"),
        ({"densities": (0.0,)}, "above 0 and at most 1"),
        ({"batch_sizes": (0,)}, "batch_size is 0"),
    ],
)
def test_a_wrong_axis_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Space(**given)


def test_a_system_that_the_closed_form_does_not_know_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    own = '\n[swarmx.hop_latency_s]\nvalue = 0.05\nkind = "assumed"\nsource = "mine"\n'
    file.write_text(data_path("hardware/cs3.toml").read_text(encoding="utf-8") + own, encoding="utf-8")
    with pytest.raises(SpecError, match=r"mine\.toml: a plan prices .* hops .* of at most 1e-05 s: wse-sim sweep"):
        Space(systems=("cs3", str(file)))


def test_no_candidate_at_all_is_said_with_the_axes() -> None:
    with pytest.raises(SpecError, match="no batch size of 100 is a multiple of a number of systems of 3"):
        candidates(Space(num_csx=(3,), batch_sizes=(100,)))


def test_indexing_keeps_columns_together() -> None:
    tried = candidates(SMALL)
    kept = tried[np.array([3, 1])]
    assert isinstance(kept, Candidates)
    assert kept.microbatch.tolist() == tried.microbatch[[3, 1]].tolist()
    assert kept.density.tolist() == tried.density[[3, 1]].tolist()
