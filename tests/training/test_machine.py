"""The machine is measured once and then remembered."""

from pathlib import Path

import msgspec
import pytest
import torch

from training import machine
from training.machine import MachineProfile, machine_profile
from wse_sim.processes.limits import cpu_name, n_usable_cpus


def test_profile_is_measured_once_and_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "deep" / "machine.json"
    first = machine_profile(cache=cache)
    assert machine_profile(cache=cache) == first
    assert first.matmul_flops_per_s > 1e9
    assert [rate.d_model for rate in first.step_rates] == list(machine.MEASURED_WIDTHS)
    assert first.step_rates[0].s_per_token < first.step_rates[-1].s_per_token
    other = msgspec.structs.replace(first, cpu="another machine", measured_at="2000-01-01T00:00:00+00:00")
    cache.write_bytes(msgspec.json.encode(other))
    monkeypatch.setattr(machine, "_measured", lambda: first)
    assert machine_profile(cache=cache) == first
    assert machine_profile(cache=cache) == first  # it was kept


def test_damaged_or_unwritable_cache_only_costs_a_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    profile = _profile()

    def measure() -> MachineProfile:
        measured.append(1)
        return profile

    monkeypatch.setattr(machine, "_measured", measure)
    (tmp_path / "machine.json").write_text("{")
    assert machine_profile(cache=tmp_path / "machine.json") == profile
    assert machine_profile(cache=tmp_path / "machine.json" / "no" / "folder.json") == profile
    assert len(measured) == 2
    assert machine_profile(cache=tmp_path / "machine.json") == profile
    assert len(measured) == 2


def _profile() -> MachineProfile:
    return MachineProfile(
        cpu=cpu_name(),
        n_cpus=n_usable_cpus(),
        memory_bytes=1,
        gpu=None,
        matmul_flops_per_s=1e11,
        matmul_bf16_flops_per_s=2e11,
        step_rates=(),
        torch_version=str(torch.__version__),
        measured_at="2026-01-01T00:00:00+00:00",
    )
