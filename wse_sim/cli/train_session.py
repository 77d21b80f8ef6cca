"""What `wse-sim train` does with the runs that it was asked for, and what a person reads of them on stderr."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.corpus import corpus_of
from training.cosim import compare_runs, require_ready, run_plan
from training.data import Corpus
from training.execution import OnNan
from training.job import Job, require_free, where_it_started
from training.machine import MachineProfile, machine_profile
from training.plan import Plan, make_plan, plan_of_run
from training.repetition import repetition_in_words
from training.run_set import RunSet, read_run_set, require_free_for_set, write_run_set
from training.starting_point import require_same_run
from wse_sim.cli.data_options import corpus_in_words, reading_display
from wse_sim.cli.display import training_display
from wse_sim.cli.verify_resume import prove
from wse_sim.errors import SpecError
from wse_sim.report import run_files
from wse_sim.report.quantities import data_size
from wse_sim.run_lock import require_idle

if TYPE_CHECKING:
    from rich.console import Console

    from training.distributed import World
    from wse_sim.report.trace import TraceExtent


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One call of the command.

    Parameters
    ----------
    command :
        As it was typed.
    log :
        Names of dashboards.
    on_nan :
        What becomes of steps that diverge where a run goes on; None = what was to.
    """

    console: "Console"
    command: str
    world: "World"
    log: tuple[str, ...]
    trace: "TraceExtent"
    on_nan: OnNan | None

    def run(self, jobs: Sequence[Job], folder: Path, *, remeasure: bool) -> dict[str, Any]:
        """One run into `folder`, or several into its sub-folders and their comparison."""
        profile = self._profile(remeasure)
        plans = {job.name: make_plan(job, profile, n_runs=len(jobs)) for job in jobs}
        if len(plans) < len(jobs):
            raise SpecError(f"two of the {len(jobs)} runs would have one name: their densities are too near each other")
        first = next(iter(plans.values()))
        if len(jobs) == 1:
            self.world.first_does(lambda: require_free(folder, first.job))
            return self._train(first, folder, self._corpus(first), is_begun=False)
        self.world.first_does(lambda: require_free_for_set(folder, plans))
        corpus = self._corpus(first)  # of all: they differ in density and schedule alone
        for name, plan in plans.items():
            require_ready(plan, folder / name, corpus, self.trace)
        self.world.first_does(lambda: write_run_set(plans, folder, command=self.command))
        summaries: dict[str, dict[str, Any]] = {}
        for name, plan in plans.items():
            summaries[name] = self._train(plan, folder / name, corpus, is_begun=False, is_told=not summaries)
        return compare_runs(summaries, folder, command=self.command, world=self.world)

    def resume(self, folder: Path, *, remeasure: bool) -> dict[str, Any]:
        """Go on with the run in a folder, or with several that were asked for together: the finished ones are kept."""
        together, profile = read_run_set(folder), self._profile(remeasure)
        if together is None:
            return self._go_on(folder, profile)
        return replace(self, command=together.command)._go_on_together(together, folder, profile)

    def verify_resume(self, jobs: Sequence[Job], out: Path | None, *, remeasure: bool, as_json: bool) -> None:
        """Prove that each run, killed and resumed, equals itself uninterrupted."""
        if self.world.size > 1:
            raise SpecError("--verify-resume starts processes of its own: start it without torchrun")
        profile = self._profile(remeasure)
        prove({job.name: make_plan(job, profile).choice.config for job in jobs}, out, as_json=as_json)

    def _go_on(self, folder: Path, profile: MachineProfile, *, n_runs: int = 1, is_told: bool = True) -> dict[str, Any]:
        with where_it_started(folder) as run_dir:
            self.world.first_does(lambda: require_idle(run_dir))
            plan = plan_of_run(run_dir, profile, n_runs=n_runs, on_nan=self.on_nan)
            require_same_run(plan.choice.config, run_dir)
            if run_dir != folder and is_told:
                self._say(f"the paths that the run names are from {Path.cwd()}, where it was started")
            is_begun = n_runs == 1 or (run_dir / run_files.ROWS).exists()
            return self._train(plan, run_dir, self._corpus(plan), is_begun=is_begun, is_told=is_told)

    def _go_on_together(self, together: RunSet, folder: Path, profile: MachineProfile) -> dict[str, Any]:
        summaries: dict[str, dict[str, Any]] = {}
        is_told = True
        for name in together.runs:
            if (folder / name / run_files.SUMMARY).is_file():
                self._say(f"{name}: has ended, it is kept")
                summaries[name] = run_files.read_summary(folder / name)
            else:
                summaries[name] = self._go_on(folder / name, profile, n_runs=len(together.runs), is_told=is_told)
                is_told = False
        return compare_runs(summaries, folder, command=self.command, world=self.world)

    def _profile(self, remeasure: bool) -> MachineProfile:
        with self.console.status("looking at this machine"):
            measured = machine_profile(refresh=remeasure) if self.world.is_first else None
        profile = self.world.from_first(measured)
        assert profile is not None
        return profile

    def _corpus(self, plan: Plan) -> Corpus:
        with reading_display(is_shown=self.world.is_first) as tell:
            return corpus_of(plan.choice.config, tell)

    def _train(
        self, plan: Plan, folder: Path, corpus: Corpus, *, is_begun: bool, is_told: bool = True
    ) -> dict[str, Any]:
        require_ready(plan, folder, corpus, self.trace)  # before anything is said
        if is_told:
            self._say_what_was_chosen(plan, corpus)
        with training_display(_title(plan), plan.choice.config.n_steps, self.console) as display:
            summary = run_plan(
                plan,
                folder,
                command=self.command,
                on_step=display.update,
                resume=is_begun,
                world=self.world,
                corpus=corpus,
                log=self.log,
                trace=self.trace,
                say=self._say,
            )
        for warning in summary["measured"]["warnings"]:
            self._say(f"note: {warning}")
        return summary

    def _say_what_was_chosen(self, plan: Plan, corpus: Corpus) -> None:
        machine = plan.profile
        self._say(
            f"this machine: {machine.cpu}, {machine.n_cpus} cores, {data_size(machine.memory_bytes)} of memory, "
            f"{machine.matmul_flops_per_s / 1e9:.0f} GFLOP/s float32 matmul (measured {machine.measured_at}), "
            f"GPU: {machine.gpu or 'none'}"
        )
        for reason in (*plan.choice.reasons, *repetition_in_words(plan.choice.config, corpus)):
            self._say(f"  - {reason}")
        for gap in plan.choice.not_covered:
            self._say(f"  - not covered: {gap}")
        for line in corpus_in_words(corpus):
            self._say(line)

    def _say(self, line: str) -> None:
        """Wrapped between words on a terminal; one line each in a file."""
        self.console.print(line, soft_wrap=not self.console.is_terminal)


def _title(plan: Plan) -> str:
    shape = plan.choice.config.shape
    return (
        f"{shape.name}: {shape.n_layers} layers of width {shape.d_model}, density {plan.job.density:g}, "
        f"schedule {plan.job.schedule}"
    )
