"""A container's limit counts, not the machine's; the processor has a name wherever this runs."""

from pathlib import Path

import pytest

from wse_sim.processes import limits


@pytest.mark.parametrize(("quota", "n_cpus"), [("max 100000", 64), ("250000 100000", 2), ("50000 100000", 1)])
def test_container_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, n_cpus: int) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(limits, "_CGROUP", tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert limits.n_usable_cpus() == n_cpus


def test_processor_is_called_as_the_system_tells_or_else_by_its_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nmodel name\t: Made-up CPU @ 2.50GHz\nmodel name\t: another\n")
    monkeypatch.setattr(limits, "_CPU_INFO", told)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert limits.cpu_name() == "Made-up CPU @ 2.50GHz"
    told.write_text("processor\t: 0\n")  # as on ARM
    assert limits.cpu_name() == "aarch64"
    told.unlink()
    assert limits.cpu_name() == "aarch64"
