"""A container's limit counts, not the machine's."""

from pathlib import Path

import pytest

from wse_sim.processes import limits


@pytest.mark.parametrize(("quota", "n_cpus"), [("max 100000", 64), ("250000 100000", 2), ("50000 100000", 1)])
def test_container_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, n_cpus: int) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(limits, "_CGROUP", tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert limits.n_usable_cpus() == n_cpus
