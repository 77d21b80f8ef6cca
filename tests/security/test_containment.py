"""What a file names stays where the user pointed: names with `..`, absolute ones and links lead nowhere else."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.hugging_face.tensors import read_tensors
from tests.report.run_directory import simulation, write_comparison, write_run
from tests.sweeps.test_journal import SWEEP, backwards
from training.data.hdf5 import corpus_of_hdf5
from training.jsonl import LineWriter
from training.run_record import Row as RunRow
from wse_sim.errors import SpecError
from wse_sim.report.html import write_report
from wse_sim.sweeps.page import write_sweep_page
from wse_sim.sweeps.run import run_sweep
from wse_sim.sweeps.sweep import Row, Sweep

OUTWARD = ("../outside", "/etc", "..", "inside/../../outside", "..\\outside", "")
TOKENS = np.arange(4096, dtype=np.uint16) % 50


@pytest.mark.parametrize("named", ["../outside.safetensors", "/outside.safetensors", "in/../../outside.safetensors"])
def test_an_index_of_weights_leads_to_files_of_its_own_folder_alone(tmp_path: Path, named: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"weight": torch.zeros(2)}, tmp_path / "outside.safetensors")
    index = {"metadata": {}, "weight_map": {"weight": named}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(SpecError, match=rf"weight_map names '{named}', it must name files in the folder"):
        read_tensors(folder)


def linked(file: h5py.File, other: Path) -> None:
    file["data"] = h5py.ExternalLink(str(other), "data")


def stored_elsewhere(file: h5py.File, other: Path) -> None:
    file.create_dataset("data", (4096,), "u2", external=[(str(other.with_suffix(".raw")), 0, 8192)])


def put_together(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout((4096,), "u2")
    layout[:] = h5py.VirtualSource(str(other), "data", (4096,))
    file.create_virtual_dataset("data", layout)


@pytest.mark.parametrize("leads_out", [linked, stored_elsewhere, put_together])
def test_hdf5_that_leads_to_another_file_is_refused(tmp_path: Path, leads_out: Callable[..., None]) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["data"] = TOKENS
    other.with_suffix(".raw").write_bytes(TOKENS.tobytes())
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        leads_out(file, other)
    with pytest.raises(SpecError, match="data leads to another file; name that one"):
        corpus_of_hdf5([path], tmp_path, "mine.h5")
    corpus_of_hdf5([other], tmp_path, "other.h5")


@pytest.mark.parametrize("name", OUTWARD)
def test_a_comparison_shows_runs_of_its_own_folder_alone(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "runs"
    write_comparison(folder, (1.0,))
    write_run(tmp_path / "outside", simulation())
    comparison = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    comparison["rows"][0]["run"] = name
    (folder / "comparison.json").write_text(json.dumps(comparison), encoding="utf-8")
    with pytest.raises(SpecError, match="the name of a folder in it would be right"):
        write_report(folder)


@pytest.mark.parametrize("name", OUTWARD[:-1])
def test_a_sweep_that_trained_shows_runs_of_its_own_folder_alone(tmp_path: Path, name: str) -> None:
    names = ("run", "measured_val_loss", "measured_host_s", "simulated_run_time_s", "simulated_cost_usd")
    rows = [Row(0, results=dict(zip(names, (name, 2.0, 9.0, 900.0, 20.0), strict=True)))]
    sweep = Sweep(kind="measured", points=({"model": "111m"},), results=names)
    run_sweep(sweep, lambda todo: (yield rows), tmp_path / "runs" / "sweep.csv")
    with pytest.raises(SpecError, match="the name of a folder in it would be right"):
        write_sweep_page(tmp_path / "runs" / "sweep.csv")


def test_nothing_is_appended_to_a_file_that_a_link_leads_to(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine", encoding="utf-8")
    out = tmp_path / "sweep.csv"
    with pytest.raises(KeyboardInterrupt):
        run_sweep(SWEEP, _stopped, out)
    part = tmp_path / "sweep.csv.part"
    part.unlink()
    part.symlink_to(mine)
    with pytest.raises(SpecError, match=r"sweep\.csv\.part: cannot be written"):
        run_sweep(SWEEP, backwards(), out)
    assert mine.read_text(encoding="utf-8") == "mine"


def _stopped(todo):  # type: ignore[no-untyped-def]
    yield []
    raise KeyboardInterrupt


def test_files_of_a_run_take_the_place_of_links_and_leave_alone_what_they_lead_to(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("", encoding="utf-8")
    run = tmp_path / "run"
    write_run(run, simulation())
    for name in ("report.html", "other.jsonl"):
        (run / name).symlink_to(mine)
    write_report(run)
    LineWriter(run / "other.jsonl", RunRow, last_step=0).close()
    assert mine.read_text(encoding="utf-8") == ""
    assert not (run / "report.html").is_symlink()
    assert not (run / "other.jsonl").is_symlink()
