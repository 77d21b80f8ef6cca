"""Imports run one way through the rooms."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

# From the top of the house to the ground; a room imports only from rooms below it.
FLOORS: list[list[str]] = [
    ["wse_sim.__main__"],
    ["wse_sim.cli"],
    ["wse_sim.api"],
    ["training"],
    ["models", "wse_sim.calibration"],
    ["wse_sim.validation", "wse_sim.executed", "wse_sim.sweeps", "wse_sim.planning", "wse_sim.comparison"],
    ["wse_sim.simulation"],
    ["wse_sim.gpu", "wse_sim.report"],
    ["wse_sim.engine"],
    ["wse_sim.schedule"],
    ["wse_sim.runs"],
    ["wse_sim.wafer"],
    ["wse_sim.laws"],
    ["wse_sim.workload"],
    ["wse_sim.spec"],
    ["wse_sim.run_lock"],
    ["wse_sim.files", "wse_sim.processes"],
    ["wse_sim.file_kinds"],
    ["wse_sim.units", "wse_sim.errors", "wse_sim.defaults", "wse_sim.progress", "wse_sim.randomness"],
    ["wse_sim"],
]
FLOOR = {room: len(FLOORS) - i for i, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    return max((room for room in FLOOR if module == room or module.startswith(room + ".")), key=len)


def modules() -> dict[str, Path]:
    paths = [path for top in ("wse_sim", "models", "training") for path in sorted((ROOT / top).rglob("*.py"))]
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(path: Path) -> list[str]:
    """What a file imports, sooner or later; the package itself only names what it hands on."""
    found = []
    module = ast.parse(path.read_text(encoding="utf-8"))
    if path == ROOT / "wse_sim" / "__init__.py":
        module.body = [node for node in module.body if not is_for_types(node)]
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [node.module or ""]
    return found


def upward(module: str, imported: str) -> bool:
    here, there = room_of(module), room_of(imported)
    return here != there and FLOOR[there] >= FLOOR[here]


def test_every_module_has_a_floor_and_imports_only_from_below() -> None:
    known = modules()
    assert len(known) > 40
    for module, path in known.items():
        for imported in imports(path):
            if imported.split(".")[0] in ("wse_sim", "models", "training"):
                assert not upward(module, imported), f"{module} imports {imported}"


def test_the_checker_sees_an_import_that_runs_up() -> None:
    assert upward("wse_sim.workload.flops", "wse_sim.engine.des")
    assert upward("wse_sim.simulation", "models.gpt")
    assert upward("wse_sim.spec.run", "wse_sim.report.metrics")
    assert not upward("training.cosim", "wse_sim.simulation")


def test_modules_do_not_import_each_other_in_circles() -> None:
    known = modules()
    graph = {m: {i for i in imports(p) if i in known} for m, p in known.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module not in done:
            for imported in graph[module]:
                visit(imported, (*trail, module))
            done.add(module)

    for module in known:
        visit(module, ())


def test_heavy_libraries_stay_in_their_rooms() -> None:
    allowed = {
        "torch": ("models", "training"),
        "simpy": ("wse_sim.engine",),
        "numba": ("wse_sim.engine", "wse_sim.wafer", "training.streaming"),
        "matplotlib": ("wse_sim.report",),
        "scipy": ("wse_sim.laws",),
        "ray": ("wse_sim.processes",),
    }
    for module, path in modules().items():
        for imported in imports(path):
            rooms = allowed.get(imported.split(".")[0])
            assert rooms is None or f"{module}.".startswith(tuple(f"{room}." for room in rooms)), (
                f"{module} imports {imported}"
            )


def test_simulating_never_imports_torch() -> None:
    code = (
        "import sys\nfrom wse_sim.cli.app import main\n"
        "try:\n    main(['simulate', '--model', '111m', '--json'])\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
