"""What a sweep may vary: the fields of a run by the names of the command line, and every constant of the cluster."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache

from wse_sim.errors import SpecError, choose
from wse_sim.gpu.layout import RECOMPUTES, SHARDINGS
from wse_sim.gpu.spec import PRECISIONS, check_gpu_constant, gpu_constants, load_gpu, load_software
from wse_sim.spec.cluster import SYSTEMS, check_constant, load_cluster
from wse_sim.spec.load import canonical, load_model, load_release
from wse_sim.spec.ranges import check_number
from wse_sim.spec.run import SPARSITY_ALGORITHMS
from wse_sim.spec.written import BOTH_GIVEN, as_number, parse_count, parse_seconds

Value = str | int | float | bool
Point = dict[str, Value]
Reader = Callable[[object, str], Value]
"""Takes what a user wrote, as text or typed, and what to call it; raises SpecError where it cannot be meant."""

_GPU_RUN_KEYS = ("model", "batch_size", "seq_len", "density", "sparsity", "tokens")  # of a run, on GPUs too
_CONSTANT = "."  # in the name of a constant, and in no other key
_YES, _NO = ("true", "yes"), ("false", "no")


def text(given: object, what: str) -> str:
    """A word."""
    if not isinstance(given, str) or not given.strip():
        raise SpecError(f"{what} is {given!r}: write a name, in quotes where the file is TOML")
    return given.strip()


def whole(given: object, what: str) -> int:
    """A whole number."""
    number = _number(given)
    if number % 1 != 0:
        raise SpecError(f"{what} is {given!r}: write a whole number such as 512")
    return int(number)


def number_of(given: object, what: str) -> float:
    """A finite number."""
    number = _number(given)
    if not math.isfinite(number):
        raise SpecError(f"{what} is {given!r}: write a number such as 0.25")
    return number


def count(given: object, what: str) -> float:
    """A large number, such as 26.3B."""
    return parse_count(given, what) if isinstance(given, str) else number_of(given, what)


def of_a_run(read: Callable[[object, str], float]) -> Reader:
    """Reads as `read` does the number of a run, or of its layout on GPUs, that the key names."""
    return _checked(read, lambda what, value: check_number(what.removesuffix("_gpu"), value, what))


def _checked(read: Callable[[object, str], float], check: Callable[[str, float], None]) -> Reader:
    def read_checked(given: object, what: str) -> Value:
        value = read(given, what)
        check(what, value)
        return value

    return read_checked


def seconds(given: object, what: str) -> float:
    """A span of time, such as 90s or 3m."""
    return parse_seconds(given if isinstance(given, str) else str(number_of(given, what)), what)


def yes_or_no(given: object, what: str) -> bool:
    """A truth value."""
    word = str(given).strip().lower()
    if word not in (*_YES, *_NO):
        raise SpecError(f"{what} is {given!r}: write true or false")
    return word in _YES


def one_of(*names: str) -> Reader:
    """Reads one of these names, in any case."""
    return lambda given, what: choose(text(given, what).lower(), names, what)


def model(given: object, what: str) -> str:
    """A model that there is."""
    name = text(given, what)
    _require_model(name)
    return name


def named(load: Callable[[str], object]) -> Reader:
    """Reads the name of what `load` loads: one in the data, in any case, or a file of the user's own."""
    check = lru_cache(maxsize=1024)(load)

    def read(given: object, what: str) -> str:
        name = text(given, what)
        check(name)
        return canonical(name)

    return read


@lru_cache(maxsize=1024)
def _require_model(name: str) -> None:
    load_model(name)


RUN_READERS: Mapping[str, Reader] = {
    "model": model,
    "system": named(lambda name: load_cluster(name, 1)),
    **dict.fromkeys(("num_csx", "batch_size", "microbatch", "seq_len"), of_a_run(whole)),
    **dict.fromkeys(("density", "sparsity"), of_a_run(number_of)),
    "sparse_wide": yes_or_no,
    "release": named(load_release),
    "tokens": of_a_run(count),
    "seed": whole,
    **dict.fromkeys(("jitter", "straggler"), of_a_run(number_of)),
    "sparsity_algorithm": one_of(*SPARSITY_ALGORITHMS),
    "mask_update_steps": of_a_run(whole),
}
GPU_READERS: Mapping[str, Reader] = {"gpu": named(load_gpu), "num_gpus": of_a_run(whole)}
# Called as the options of `wse-sim compare`.
GPU_SOFTWARE_READERS: Mapping[str, Reader] = {
    "gpu_software": named(load_software),
    "precision": one_of(*PRECISIONS),
    "two_four": yes_or_no,
}
GPU_LAYOUT_READERS: Mapping[str, Reader] = {
    **dict.fromkeys(("tp", "cp", "pp", "interleave", "microbatch_gpu"), of_a_run(whole)),
    "recompute_gpu": one_of(*RECOMPUTES),
    "sharding": one_of(*SHARDINGS),
}
_GPU_ONLY = (*GPU_READERS, *GPU_SOFTWARE_READERS, *GPU_LAYOUT_READERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What may be a key.

    Parameters
    ----------
    others :
        Where further keys are listed, for messages; "" for nowhere.
    check :
        Raises SpecError where the keys of a point do not go together, whatever their values.
    """

    readers: Mapping[str, Reader]
    others: str = ""
    check: Callable[[Point], None]

    def point(self, given: Mapping[str, object]) -> Point:
        """What a user gave, read and checked.

        Raises
        ------
        SpecError
            When a key is unknown, a value cannot be meant, or keys do not go together.
        """
        point = {name: self.reader(name)(value, name) for name, value in given.items()}
        self.check(point)
        return point

    def reader(self, name: str) -> Reader:
        """Of the key called `name`.

        Raises
        ------
        SpecError
            When there is none; the message names the nearest one.
        """
        if name in self.readers:
            return self.readers[name]
        near = get_close_matches(name, self.readers, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        known = ", ".join(key for key in self.readers if _CONSTANT not in key)
        raise SpecError(f"unknown key {name!r}: {hint}known are {known}{self.others}")


def simulated_vocabulary() -> Vocabulary:
    """The keys of points that are simulated: of a run, of GPUs, and constants of systems and GPUs."""
    return Vocabulary(
        readers={
            **RUN_READERS,
            **GPU_READERS,
            **GPU_SOFTWARE_READERS,
            **GPU_LAYOUT_READERS,
            **dict.fromkeys(load_cluster(SYSTEMS[0], 1).constants, _checked(number_of, check_constant)),
            **dict.fromkeys(_gpu_constants(), _checked(number_of, check_gpu_constant)),
        },
        others=" and the constants of `wse-sim explain constants` and of GPUs, such as h100.sustained_fraction",
        check=check_simulated,
    )


def means_something_on_gpus(name: str) -> bool:
    """Whether a point on GPUs may have this key."""
    return name in (*_GPU_RUN_KEYS, *_GPU_ONLY) or name in _gpu_constants()


def constants_of(point: Point) -> dict[str, float]:
    """The constants that a point sets."""
    return {name: float(value) for name, value in point.items() if _CONSTANT in name}


def check_simulated(point: Point) -> None:
    """Raises SpecError where the keys of a point that is to be simulated do not go together."""
    check_model_and_density(point)
    is_on_gpus = "gpu" in point or "num_gpus" in point
    missing = [name for name in ("gpu", "num_gpus") if is_on_gpus and name not in point]
    if missing:
        raise SpecError(f"{missing[0]} is missing: a point on GPUs names gpu and num_gpus")
    for name in point:
        is_of_gpus = name in _GPU_ONLY or name in _gpu_constants()
        if is_on_gpus and not means_something_on_gpus(name):
            known = ", ".join((*_GPU_RUN_KEYS, *_GPU_ONLY))
            raise SpecError(f"{name} means nothing on GPUs: a point with gpu takes {known} and constants of GPUs")
        if is_of_gpus and not is_on_gpus:
            raise SpecError(f"{name} is of GPUs: give gpu and num_gpus too")


def check_model_and_density(point: Point) -> None:
    """Raises SpecError where a point has no model, or both density and sparsity."""
    if "model" not in point:
        raise SpecError("model is missing: name a preset (wse-sim list), a config.json or a shape TOML")
    if "density" in point and "sparsity" in point:
        raise SpecError(BOTH_GIVEN)


def _number(given: object) -> float:
    """NaN where it is none."""
    number = as_number(given)
    return math.nan if number is None else number


@cache
def _gpu_constants() -> frozenset[str]:
    return frozenset(gpu_constants())
