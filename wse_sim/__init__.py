"""wse-sim: a simulator of the Cerebras Wafer-Scale Cluster, coupled to a real PyTorch trainer.

A function for each question, with the parameters of the command of the same name:

>>> import wse_sim
>>> wse_sim.simulate("13b", system="cs3", num_csx=4, batch_size=1080, density=0.25)
<13b at density 0.25 on 4 × CS-3: 536,000 tokens/s, MFU 21.6 %, 5.55 days, $58,628, simulated>

Names come with the first use: importing this package imports nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wse_sim.api.comparing import ComparisonResult, compare
    from wse_sim.api.planning import PlanResult, plan
    from wse_sim.api.projecting import ProjectionResult, project
    from wse_sim.api.simulating import SimulationResult, simulate
    from wse_sim.api.sweeping import SweepResult, sweep
    from wse_sim.api.training import RunResult, load_run, train
    from wse_sim.errors import SpecError
    from wse_sim.spec.model import ModelPreset, ModelShape

__version__ = "0.1.0"
__all__ = [
    "ComparisonResult",
    "ModelPreset",
    "ModelShape",
    "PlanResult",
    "ProjectionResult",
    "RunResult",
    "SimulationResult",
    "SpecError",
    "SweepResult",
    "__version__",
    "compare",
    "load_run",
    "plan",
    "project",
    "simulate",
    "sweep",
    "train",
]

_HOMES = {
    "wse_sim.api.comparing": ("ComparisonResult", "compare"),
    "wse_sim.api.planning": ("PlanResult", "plan"),
    "wse_sim.api.projecting": ("ProjectionResult", "project"),
    "wse_sim.api.simulating": ("SimulationResult", "simulate"),
    "wse_sim.api.sweeping": ("SweepResult", "sweep"),
    "wse_sim.api.training": ("RunResult", "load_run", "train"),
    "wse_sim.errors": ("SpecError",),
    "wse_sim.spec.model": ("ModelPreset", "ModelShape"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            found = getattr(import_module(home), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
