"""How clusters are run: the data, other values of it, and what is refused."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wse_sim.errors import SpecError
from wse_sim.spec.operations import Operations, load_gpu_operations, load_operations, read_operations

LOADS = [load_operations, load_gpu_operations]
STRAGGLERS = ["straggler_duration_s", "straggler_slowdown", "stragglers_per_system_day"]


def test_what_no_source_says_is_marked_as_assumed() -> None:
    of_wafers = ["cluster_mtbf_s", "detection_s", *STRAGGLERS, "system_mtbf_s"]
    assert load_operations().named("assumed") == of_wafers
    of_gpus = ["cluster_mtbf_s", "compile_s", "first_checkpoint_s", "scheduling_s", "stragglers_per_system_day"]
    assert load_gpu_operations().named("assumed") == of_gpus


def test_what_stragglers_are_like_is_no_assumption_of_a_run_without_any() -> None:
    operations = load_operations()
    assert set(operations.named("assumed")) - set(operations.assumed) == {"straggler_duration_s", "straggler_slowdown"}
    assert set(STRAGGLERS) < set(operations.with_values("here", stragglers_per_system_day=0.1).assumed)


@pytest.mark.parametrize("load", LOADS)
def test_every_range_holds_its_value(load: Callable[[], Operations]) -> None:
    ranges = [c for c in load().constants.values() if c.low is not None and c.high is not None]
    assert len(ranges) >= 10
    assert all(c.low <= c.value <= c.high and c.low < c.high for c in ranges)  # type: ignore[operator]


def test_systems_fail_on_their_own_and_share_the_rest() -> None:
    operations = replace(load_operations(), system_mtbf_s=1000.0, cluster_mtbf_s=500.0)
    assert operations.failures_per_s(3) == pytest.approx(3 / 1000 + 1 / 500)
    assert replace(operations, system_mtbf_s=math.inf, cluster_mtbf_s=math.inf).failures_per_s(3) == 0


def test_wafers_checkpoint_in_one_place_and_servers_side_by_side() -> None:
    """82 s per 1e9 parameters from MemoryX; BLOOM's 40 s for 176e9 on 48 servers."""
    assert load_operations().checkpoint_s(10**9, 1) == load_operations().checkpoint_s(10**9, 16) == pytest.approx(82)
    assert load_gpu_operations().checkpoint_s(176 * 10**9, 48) == pytest.approx(40, rel=0.01)
    assert load_gpu_operations().checkpoint_s(10**9, 4) == 4 * load_gpu_operations().checkpoint_s(10**9, 16)


def test_other_values_keep_the_rest_and_say_where_they_come_from(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text('[detection_s]\nvalue = 60\nkind = "published"\nsource = "our logs"\n')
    read = read_operations(str(path), load_operations())
    assert read.detection_s == 60
    assert read.constants["detection_s"].source == "our logs"
    assert "detection_s" not in read.named("assumed")
    assert replace(read, detection_s=300.0, constants={}) == replace(load_operations(), constants={})
    given = load_operations().with_values("--system-mtbf", system_mtbf_s=5.0)
    assert (given.system_mtbf_s, given.constants["system_mtbf_s"].kind) == (5.0, "assumed")
    assert given.constants["system_mtbf_s"].source == "--system-mtbf"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '[system_mtbf]\nvalue = 1\nkind = "assumed"\nsource = "x"',
            "did you mean 'system_mtbf_s'? known are",
        ),
        ("[detection_s]\nvalue = 1", r"ours.toml: \[detection_s\]: .*missing required field `kind`"),
        ("detection_s = 1", r"ours.toml: \[detection_s\]: Expected"),
        ('[detection_s]\nvalue = -1\nkind = "assumed"\nsource = "x"', "ours.toml: detection_s is -1: .* at least 0"),
        ('[detection_s]\nvalue = inf\nkind = "assumed"\nsource = "x"', "detection_s is inf: .* at most"),
        ('[system_mtbf_s]\nvalue = nan\nkind = "assumed"\nsource = "x"', "low <= value <= high does not hold"),
        (
            '[straggler_slowdown]\nvalue = 0.9\nkind = "assumed"\nsource = "x"',
            "slowdown is 0.9: it must be a number at least 1",
        ),
        ("[", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_file_and_key(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(content)
    with pytest.raises(SpecError, match=message.replace("?", r"\?")):
        read_operations(str(path), load_operations())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"system_mtbf_s": 0.0}, r"system_mtbf_s is 0.0: it must be above 0 \(inf = never\)"),
        ({"cluster_mtbf_s": math.nan}, "cluster_mtbf_s is nan"),
        ({"compile_s": math.nan}, "compile_s is nan"),
        ({"checkpoint_steps": 0}, "checkpoint_steps is 0: it must be at least 1"),
        ({"checkpoint_interval_s": -1.0}, "checkpoint_interval_s is -1.0: it must be above 0"),
        ({"checkpoint_interval_s": 1.0, "checkpoint_steps": 1}, "both given"),
    ],
)
def test_impossible_operations_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        replace(load_operations(), **wrong)
