"""Tests a claim and keeps what came out: raw outcomes, record, page."""

import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from training.claims.claim import Claim, Setting
from training.claims.page import write_pages
from training.claims.record import Machine, Record, record_of, stem_of, write_record
from training.grid import OUTCOMES_FILE, read_outcomes
from training.machine import machine_profile
from wse_sim.files import make_folder
from wse_sim.progress import Watch

FINDING_FILE = "finding.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """How claims are tested, and where results go.

    Parameters
    ----------
    out :
        Gets a folder of raw outcomes and a finding for each claim.
    pages :
        Gets record, page and figure of each claim, and the index.
    """

    out: Path
    pages: Path
    n_seeds: int
    n_workers: int
    is_smoke: bool
    watch: Watch

    def run(self, claim: Claim) -> Record:
        """Test a claim, or what is left of it to test.

        Raises
        ------
        SpecError
            As `training.grid.run_points`, and when a file cannot be written.
        KeyboardInterrupt
            On Ctrl-C, after running points were saved; the same call goes on.
        """
        folder = self.out / stem_of(claim.number, claim.name)
        make_folder(folder)
        is_smoke = self.is_smoke and claim.needs_training  # what needs no training has no smaller version
        started_s = time.monotonic()
        finding = claim.find(
            Setting(out=folder, n_seeds=self.n_seeds, n_workers=self.n_workers, is_smoke=is_smoke, watch=self.watch)
        )
        record = record_of(
            claim,
            finding,
            command=self._command(claim, is_smoke=is_smoke),
            date=datetime.now(UTC).date().isoformat(),
            machine=_machine(),
            n_seeds=1 if is_smoke else self.n_seeds,
            training_s=_training_s(folder),
            seconds=time.monotonic() - started_s,
            is_smoke=is_smoke,
        )
        write_record(record, folder / FINDING_FILE)
        write_pages(record, self.pages)
        return record

    def _command(self, claim: Claim, *, is_smoke: bool) -> str:
        options = " --smoke" if is_smoke else f" --seeds {self.n_seeds}" if claim.needs_training else ""
        return f"wse-sim reproduce {claim.name}{options}"


def _machine() -> Machine:
    profile = machine_profile()
    return Machine(
        cpu=profile.cpu, n_cpus=profile.n_cpus, python=platform.python_version(), torch=str(torch.__version__)
    )


def _training_s(folder: Path) -> float:
    """Measured seconds of all runs whose outcomes lie in a folder."""
    return sum(outcome.host_s for path in sorted(folder.rglob(OUTCOMES_FILE)) for outcome in read_outcomes(path.parent))
