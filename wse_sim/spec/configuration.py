"""A run as a file describes it, complete: the model, its recipe, and what trains and simulates it alike.

`wse_sim.spec.read_configuration` makes one of a TOML file or of Cerebras ModelZoo's YAML.
"""

from typing import Any, Literal

import msgspec

from wse_sim.errors import SpecError
from wse_sim.spec.base import BaseHyperparameters
from wse_sim.spec.model import ModelPreset, ModelShape, Recipe
from wse_sim.spec.ranges import check_number, check_range
from wse_sim.spec.run import MaskUpdates, check_seq_len
from wse_sim.spec.sparsity import SPDF, Algorithm, Static, algorithm_name
from wse_sim.spec.sparsity.density import density_together
from wse_sim.spec.sparsity.hyper import step_of
from wse_sim.spec.sparsity.updates import update_steps

SAME_DENSITY = 1e-4  # the counts of an Erdős-Rényi share are whole numbers


class RunTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a configuration says about its run, beside the recipe.

    Parameters
    ----------
    batch_size, n_steps, num_csx :
        None = the recipe's.
    seq_len :
        Tokens per sequence.
    density :
        Of the hidden matrices together, at the end of the run (of SPDF, before masks are lifted); may be left out of a
        file where `sparsity` makes it.
    sparsity :
        How weights are masked; where an algorithm names no sparsity, `density` holds.
    seed :
        Of weights, masks and the order of the data.
    differs :
        What the file asks for and the simulator does not do.
    """

    batch_size: int | None = None
    n_steps: int | None = None
    num_csx: int | None = None
    seq_len: int
    density: float = 1.0
    sparsity: tuple[Algorithm, ...] = (Static(),)
    seed: int = 0
    differs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("batch_size", "n_steps", "num_csx", "density"):
            if (value := getattr(self, name)) is not None:
                check_number(name, value)
        if not self.sparsity:
            raise SpecError("sparsity is empty: leave it out where nothing is masked")


class TrainingTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a configuration says about training alone.

    Parameters
    ----------
    schedule :
        Of the learning rate, as wse-sim schedules lists them.
    warmup :
        `10%` or `0.1` of the steps, `346 steps`, `375e6 tokens`, or `346/24334`, a share of the steps that is exact.
    first_step_lr :
        Whether the warm-up begins with its first increment or with a learning rate of zero.
    precision :
        Of matrix products; None = what suits the machine.
    eval_interval, log_interval, checkpoint_interval :
        In steps, in a run of n_steps; None = what suits its length.
    n_eval_sequences :
        Held-out sequences of an evaluation.
    data :
        What trains, as `wse-sim train --data` takes it.
    differs :
        What the file asks for and the trainer does not do.
    cannot_train :
        Why it can be simulated alone; empty where it trains.
    """

    schedule: str = "linear"
    warmup: str = "10%"
    first_step_lr: Literal["first_increment", "zero"] = "first_increment"
    precision: Literal["fp32", "bf16"] | None = None
    eval_interval: int | None = None
    n_eval_sequences: int | None = None
    log_interval: int | None = None
    checkpoint_interval: int | None = None
    data: str | None = None
    differs: tuple[str, ...] = ()
    cannot_train: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("eval_interval", "n_eval_sequences", "log_interval", "checkpoint_interval"):
            if (value := getattr(self, name)) is not None:
                check_range(name, value, least=1, may_be_least=True)


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run as a file describes it.

    Parameters
    ----------
    recipe :
        None where the file's optimizer or schedule is none that a recipe can say: such a run is simulated alone.
    base :
        Hyper-parameters by the recipe's parameterization; None = the published ones.
    """

    shape: ModelShape
    recipe: Recipe | None = None
    base: BaseHyperparameters | None = None
    run: RunTable
    training: TrainingTable = TrainingTable()

    def __post_init__(self) -> None:
        check_seq_len(self.shape, self.run.seq_len)
        for name in ("batch_size", "n_steps"):
            if self.recipe is None and getattr(self.run, name) is None:
                raise SpecError(f"configuration: there is neither a recipe nor run.{name}, one must say it")
        if len(self.run.sparsity) > 1 and any(algorithm.sparsity is None for algorithm in self.run.sparsity):
            raise SpecError("run.sparsity: where there are several algorithms, each must name its sparsity")

    @property
    def preset(self) -> ModelPreset:
        return ModelPreset(shape=self.shape, recipe=self.recipe, base=self.base)

    @property
    def parametrization(self) -> Literal["sp", "mup"]:
        return self.recipe.parametrization if self.recipe else "sp"

    @property
    def batch_size(self) -> int:
        """Sequences per optimizer step; of the last phase where there are several."""
        return self._of_recipe("batch_size")

    @property
    def n_steps(self) -> int:
        """Optimizer steps of the whole run, in units of `batch_size`."""
        return self._of_recipe("n_steps")

    @property
    def num_csx(self) -> int | None:
        """Systems; None where the file does not say."""
        return self.run.num_csx or (self.recipe.num_csx if self.recipe else None)

    @property
    def tokens(self) -> float:
        """Of the whole run."""
        return float(self.n_steps * self.batch_size * self.run.seq_len)

    @property
    def density_of_sparsity(self) -> float:
        """What the algorithms make of the hidden matrices together, which `run.density` must be.

        Raises
        ------
        SpecError
            When masks are never updated, or a fraction of the run is none.
        """
        return density_together(self.run.sparsity, self.shape, n_steps=self.n_steps, density=self.run.density)

    @property
    def algorithm_name(self) -> str:
        """Of the algorithm by which masks change, `static` where they do not, `dense` where nothing is masked."""
        if self.run.density == 1.0:
            return "dense"
        return next((algorithm_name(each) for each in self.run.sparsity if not isinstance(each, Static)), "static")

    @property
    def mask_updates(self) -> MaskUpdates | None:
        """How masks change, as the simulator takes it, or None; of several algorithms the first counts."""
        changing = next((each for each in self.run.sparsity if not isinstance(each, Static)), None)
        if changing is None or self.run.density == 1.0:
            return None
        if isinstance(changing, SPDF):
            return MaskUpdates(algorithm="spdf", until=step_of(changing.lift_at, self.n_steps) / self.n_steps)
        steps = update_steps(changing.update, self.n_steps)
        every = max(1, round((steps[-1] - steps[0]) / (len(steps) - 1))) if len(steps) > 1 else self.n_steps
        stop = changing.update.stop if changing.update else None
        end = self.n_steps if stop is None else min(self.n_steps, step_of(stop, self.n_steps))
        if changing.update and changing.update.steps:
            end = max(1, steps[-1])
        name: Any = algorithm_name(changing)  # one of those whose masks change by updates
        return MaskUpdates(algorithm=name, every_steps=every, until=end / self.n_steps)

    def at_density(self, density: float) -> "Configuration":
        """The same run at another density, by the same algorithm.

        Raises
        ------
        SpecError
            When several algorithms each name their own, or one masks some matrices alone.
        """
        (first, *others) = self.run.sparsity
        at_density = self._with_run(density=density, sparsity=(msgspec.structs.replace(first, sparsity=None),))
        if others or abs(at_density.density_of_sparsity - density) > SAME_DENSITY:
            why = "masks some matrices alone" if not others else f"has {len(others) + 1} sparsity algorithms"
            raise SpecError(
                f"density is {density:g}, but the configuration {why}: leave it out, or name an algorithm for all "
                "matrices with --sparsity-algorithm"
            )
        return at_density

    def with_algorithm(self, algorithm: Algorithm) -> "Configuration":
        """The same run, masked by another algorithm that names no sparsity of its own."""
        return self._with_run(sparsity=(algorithm,))

    def _with_run(self, **changes: Any) -> "Configuration":
        return msgspec.structs.replace(self, run=msgspec.structs.replace(self.run, **changes))

    def _of_recipe(self, name: str) -> int:
        own = getattr(self.run, name)
        value = getattr(self.recipe, name) if own is None else own
        assert isinstance(value, int)
        return value
