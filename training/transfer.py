"""Does the best learning rate stay where it is when width, density or depth changes? A study trains a grid to find out.

For each parameterization and each value of the axis it trains the same set-up over learning rates and seeds. Where the
best rate is the last one of its grid, the grid grows on that side, so that optima are bracketed and not guessed.

Source: the protocol of SμPar (arXiv 2405.15743), Figures 6 to 14, at the scale of the machine at hand.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models.parametrization import BASES, BaseHyperparameters, Parametrization, ParametrizationName
from training.axis import Axis, checked_values, scaled
from training.config import TrainConfig
from training.grid import Outcome, Point, run_points
from training.toml_text import toml_text
from training.transfer_result import Bowl, ParametrizationResult, judge, open_ends
from wse_sim.errors import SpecError, choose
from wse_sim.files import make_folder, write_atomically
from wse_sim.progress import UNWATCHED, Watch
from wse_sim.spec.load import convert, read_toml
from wse_sim.spec.model import ModelShape
from wse_sim.spec.ranges import check_number
from wse_sim.spec.run import steps_of
from wse_sim.workload.transformer import n_parameters

STUDY_FILE = "study.toml"
# With the set-up they say which study it is; values, rates, seeds and parameterizations may be added.
_FIXED = ("over", "tokens_per_parameter", "is_iso_wpn")
_OCTAVES_AROUND_BASE = 3

Grids = Mapping[tuple[ParametrizationName, float], tuple[float, ...]]


class Study(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is trained to see whether the best learning rate transfers.

    Parameters
    ----------
    over, values :
        What the models differ in; the best learning rate of the first value is what should hold for the others.
    log2_lrs :
        Base-2 logarithms of the base learning rates, rising, for each parameterization.
    n_seeds :
        Of weights, masks and the order of the data, from setup.seed on.
    extend :
        How many rates a grid may grow by on a side where its best rate is the last one.
    bases :
        What each parameterization transfers; their peak_lr is replaced by the grid's.
    tokens_per_parameter :
        Length of each run by its own size (all parameters count); None: setup.n_steps for all.
    is_iso_wpn :
        Over width: density falls as width rises, so that each neuron keeps as many live weights (SμPar, Figure 11).
    setup :
        Everything else. Shape and density are those of all models where the axis does not say otherwise.
    """

    over: Axis
    values: tuple[int | float, ...]
    log2_lrs: dict[ParametrizationName, tuple[float, ...]]
    n_seeds: int = 3
    extend: int = 0
    bases: dict[ParametrizationName, BaseHyperparameters]
    tokens_per_parameter: float | None = None
    is_iso_wpn: bool = False
    setup: TrainConfig

    def __post_init__(self) -> None:
        checked_values(self.over, self.values)
        check_number("n_seeds", self.n_seeds, "transfer: n_seeds")
        if self.extend < 0:
            raise SpecError(f"transfer: extend is {self.extend}, it must be at least 0")
        if self.is_iso_wpn and self.over != "width":
            raise SpecError("transfer: iso-WPN scaling ties density to width, so the axis must be width")
        if (self.over == "density" or self.is_iso_wpn) and any(of.sparsity is not None for of in self.setup.algorithms):
            raise SpecError(
                "transfer: densities vary, and [sparsity] of the configuration names one: leave it out there"
            )
        for name, rates in self.log2_lrs.items():
            if len(rates) < 2 or any(low >= high for low, high in pairwise(rates)):
                raise SpecError(f"transfer: the learning rates of {name} must be at least two, rising")
            Parametrization(name=name, base=self.bases[name])  # raises
        n_runs = self.n_seeds * len(self.values) * sum(map(len, self.log2_lrs.values()))
        check_number("n_runs", n_runs, "transfer: the number of runs")
        for value in self.values:
            self.n_steps(scaled(self.setup.shape, self.setup.density, self.over, value)[0])  # raises

    def n_steps(self, shape: ModelShape) -> int:
        """Of the run of a model.

        Raises
        ------
        SpecError
            When it would be none, or more than are ever trained.
        """
        tpp, setup = self.tokens_per_parameter, self.setup
        if tpp is None:
            return setup.n_steps
        n_steps = steps_of(tpp, n_parameters(shape), batch_size=setup.batch_size, seq_len=setup.seq_len)
        check_number("n_steps", n_steps, f"tpp {tpp:g}: n_steps of {shape.name}")
        return n_steps


def default_base(name: ParametrizationName) -> str:
    """The name of the base hyper-parameters that suit small models on bytes."""
    return "bytes-64-sp" if name == "sp" else "bytes-64"


def default_log2_lrs(base: BaseHyperparameters) -> tuple[float, ...]:
    """Powers of two around the base's own learning rate."""
    middle = round(math.log2(base.peak_lr))
    return tuple(float(middle + k) for k in range(-_OCTAVES_AROUND_BASE, _OCTAVES_AROUND_BASE + 1))


def make_study(
    over: Axis,
    values: Sequence[float],
    parametrizations: Sequence[ParametrizationName],
    setup: TrainConfig,
    *,
    log2_lrs: Mapping[ParametrizationName, tuple[float, ...]] | None = None,
    bases: Mapping[ParametrizationName, str] | None = None,
    **given: Any,
) -> Study:
    """A study with the defaults filled in.

    Parameters
    ----------
    bases :
        Names of `BASES`; by default `default_base`.
    given :
        Other fields of `Study`.

    Raises
    ------
    SpecError
        As `Study`.
    """
    names = {name: (bases or {}).get(name, default_base(name)) for name in parametrizations}
    chosen = {name: BASES[choose(base, BASES, "base")] for name, base in names.items()}
    rates = {name: (log2_lrs or {}).get(name, default_log2_lrs(base)) for name, base in chosen.items()}
    return Study(over=over, values=checked_values(over, values), log2_lrs=rates, bases=chosen, setup=setup, **given)


def run_study(
    study: Study, out: Path, *, n_workers: int | None = None, watch: Watch = UNWATCHED
) -> list[ParametrizationResult]:
    """Train the study, or what is left of it, and judge it.

    Parameters
    ----------
    out :
        Gets `study.toml` and what `training.grid.run_points` writes.
    watch :
        Hears how far it is.

    Raises
    ------
    SpecError
        When `out` holds another study, and as `run_points`.
    """
    _keep_study(study, out)
    grids: Grids = {(name, value): rates for name, rates in study.log2_lrs.items() for value in study.values}
    while True:
        points = study_points(study, grids)
        outcomes = run_points(points, out, n_workers=n_workers, watch=watch)
        wider = _wider(study, grids, outcomes)
        if wider == grids:
            return results(study, outcomes)
        n_new = sum(map(len, wider.values())) - sum(map(len, grids.values()))
        watch.say(f"{n_new} more learning rate{'s' * (n_new > 1)}, where the best one was the last of its grid")
        grids = wider


def study_points(study: Study, grids: Grids) -> list[Point]:
    """One point for each learning rate of each grid and each seed."""
    return [
        _point(study, name, value, log2_lr, seed)
        for (name, value), rates in grids.items()
        for log2_lr in rates
        for seed in range(study.setup.seed, study.setup.seed + study.n_seeds)
    ]


def results(study: Study, outcomes: Sequence[Outcome]) -> list[ParametrizationResult]:
    """The verdict on each parameterization."""
    return [
        judge(name, [_bowl(name, value, study, outcomes) for value in study.values], _grid_step(study, name))
        for name in study.log2_lrs
    ]


def read_study(out: Path) -> Study:
    """The study of a folder.

    Raises
    ------
    SpecError
        When there is none, or it cannot be read.
    """
    return convert(read_toml(out / STUDY_FILE), Study, str(out / STUDY_FILE))


def _point(study: Study, name: ParametrizationName, value: float, log2_lr: float, seed: int) -> Point:
    setup = study.setup
    density = setup.density * study.values[0] / value if study.is_iso_wpn else setup.density
    shape, density = scaled(setup.shape, density, study.over, value)
    n_steps = study.n_steps(shape)
    config = msgspec.structs.replace(
        setup,
        shape=shape,
        density=density,
        parametrization=name,
        base=msgspec.structs.replace(study.bases[name], peak_lr=2.0**log2_lr),
        seed=seed,
        n_steps=n_steps,
        # Nobody looks at the way there, and looking costs time.
        eval_interval=n_steps,
        log_interval=max(1, n_steps // 200),
    )
    return Point({"parametrization": name, study.over: value, "log2_lr": log2_lr, "seed": seed}, config)


def _bowl(name: ParametrizationName, value: float, study: Study, outcomes: Sequence[Outcome]) -> Bowl:
    of_rate: dict[float, dict[int, float]] = defaultdict(dict)
    for outcome in outcomes:
        key = outcome.key
        if key["parametrization"] == name and key[study.over] == value:
            loss = math.inf if outcome.val_loss is None else outcome.val_loss
            of_rate[float(key["log2_lr"])][int(key["seed"])] = loss
    rates = tuple(sorted(of_rate))
    seeds = sorted(of_rate[rates[0]])
    return Bowl(value, rates, np.array([[of_rate[rate][seed] for rate in rates] for seed in seeds]))


def _wider(study: Study, grids: Grids, outcomes: Sequence[Outcome]) -> Grids:
    """The grids, grown where the best rate is the last one, and holding the best rate of the first value."""
    wider = {}
    for (name, value), rates in grids.items():
        asked, step = study.log2_lrs[name], _grid_step(study, name)
        is_open_below, is_open_above = open_ends(_bowl(name, value, study, outcomes))
        grown = {*rates, _bowl(name, study.values[0], study, outcomes).best}
        if is_open_below and rates[0] > asked[0] - study.extend * step:
            grown.add(rates[0] - step)
        if is_open_above and rates[-1] < asked[-1] + study.extend * step:
            grown.add(rates[-1] + step)
        wider[name, value] = tuple(sorted(grown))
    return wider


def _grid_step(study: Study, name: ParametrizationName) -> float:
    rates = study.log2_lrs[name]
    return rates[1] - rates[0]


def _keep_study(study: Study, out: Path) -> None:
    if (out / STUDY_FILE).exists():
        difference = _difference(read_study(out), study)
        if difference:
            raise SpecError(f"{out}: there is another study in this folder ({difference}): name another folder")
    make_folder(out)
    write_atomically(out / STUDY_FILE, toml_text(study).encode())


def _difference(old: Study, new: Study) -> str:
    """What makes two studies different ones, in words; nothing where one goes on with the other."""
    pairs = {key: (getattr(old, key), getattr(new, key)) for key in _FIXED}
    pairs |= {key: (getattr(old.setup, key), getattr(new.setup, key)) for key in old.setup.__struct_fields__}
    pairs |= {f"base of {name}": (base, new.bases[name]) for name, base in old.bases.items() if name in new.bases}
    return ", ".join(f"{key} was {before!r}, not {now!r}" for key, (before, now) in pairs.items() if before != now)
