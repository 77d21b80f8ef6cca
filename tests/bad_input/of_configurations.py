"""Runs and sweeps that a file describes, in TOML and CSV."""

from tests.bad_input.case import Group
from tests.bad_input.of_toml import in_place
from tests.conftest import TINY

_RUN = TINY + "\n[run]\nseq_len = 64\nbatch_size = 4\nn_steps = 10\n"


def cases() -> list[Group]:
    return [_configurations(), _sweeps()]


def _configurations() -> Group:
    group = Group("configuration TOML", "simulate --config c.toml")
    for line, by, says in (
        ("seq_len = 64\nbatch", "seq_len = 65\nbatch", "seq_len"),
        ("seq_len = 64\nbatch", "seq_len = -1\nbatch", "seq_len"),
        ("batch_size = 4", "batch_size = 0", "batch_size"),
        ("batch_size = 4", "batch_size = nan", "batch_size"),
        ("batch_size = 4", "", "batch"),
        ("n_steps = 10", "n_steps = -5", "steps|tokens"),
        ("n_steps = 10", "n_steps = 10\ndensity = 0", "density"),
        ("n_steps = 10", "n_steps = 10\ndensity = nan", "density"),
        (
            "n_steps = 10",
            "n_steps = 10\ndensity = 0.5\n[run.sparsity]\nalgorithm = 'static'\nsparsity = 0.9",
            "density",
        ),
        ("n_steps = 10", "n_steps = 10\n[run.sparsity]\nalgorithm = 'magic'", "magic"),
        ("n_steps = 10", "n_steps = 10\n[run.sparsity]\nalgorithm = 'static'\nsparsity = 1.5", "sparsity"),
        ("n_steps = 10", "n_steps = 10\nsparsity = 'half'", "sparsity"),
        ("n_steps = 10", "n_steps = 10\nsparsity = [1, 2]", "sparsity"),
        ("n_steps = 10", "n_steps = 10\nspeed = 9", "speed"),
    ):
        group.case(by.replace("\n", " ") or f"without {line}", {"c.toml": in_place(_RUN, line, by)}, says)
    group.case("run is a number", {"c.toml": "run = 1\n" + TINY}, "c.toml", "run")
    group.case("run is a list", {"c.toml": TINY + "[[run]]\n"}, "c.toml", "run")
    group.case("no run", {"c.toml": TINY}, "c.toml", "[run]")
    group.case("a table too many", {"c.toml": _RUN + "[walk]\n"}, "c.toml", "walk")
    for line, says in {
        "schedule = 'lineer'": "linear",
        "schedule = 7": "schedule",
        "precision = 'int4'": "precision",
        "eval_interval = 0": "eval_interval",
        "log_interval = -1": "log_interval",
    }.items():
        group.case(
            f"training: {line}",
            {"c.toml": f"{_RUN}[training]\n{line}\n"},
            says,
            command="train --config c.toml --mode dense --steps 1 --out run",
        )
    group.case("of two kinds", {"c.toml": _RUN, "d.yaml": "trainer: {}"}, "c.toml", more="--config d.yaml")
    group.case("of no kind", {"c.ini": "x"}, "c.ini", command="simulate --config c.ini")
    transfer = "transfer --over width --values 32,64 --steps 2 --seeds 1 --workers 1 --config c.toml"
    group.case("transfer: empty", {"c.toml": ""}, "c.toml", "missing", command=transfer)
    group.case("transfer: betas above 1", {"c.toml": "betas = [0.9, 1.5]"}, "c.toml", command=transfer)
    return group


def _sweeps() -> Group:
    group = Group("sweep files", "sweep p.toml")
    for name, text, says in (
        ("empty", "", "model|point"),
        ("an unknown table", "[grids]\n", "grids"),
        ("an unknown key", "[grid]\nmodel = '111m'\nwarp = 1", "warp"),
        ("no values", "[grid]\nmodel = []", "model"),
        ("grid is a list", "grid = [1]", "table"),
        ("list is a number", "list = 5", "list"),
        ("list of numbers", "list = [1, 2]", "table"),
        ("a key twice", "[fixed]\nmodel = '111m'\n[grid]\nmodel = '256m'", "model"),
        ("a table for a word", "[grid.model]\nname = '111m'", "model.name"),
        ("density nan", "[grid]\nmodel = '111m'\ndensity = nan", "density"),
        ("tokens inf", "[grid]\nmodel = '111m'\ntokens = inf", "tokens"),
        ("batch_size of text", "[grid]\nmodel = '111m'\nbatch_size = 'large'", "batch_size"),
        ("num_csx true", "[grid]\nmodel = '111m'\nnum_csx = true", "num_csx"),
        ("model a list of lists", "[grid]\nmodel = [['111m']]", "model"),
        ("a constant below 0", "[grid]\nmodel = '111m'\ncsx.power_w = -1", "power_w"),
        (
            "10^12 points",
            "[grid]\nmodel = '111m'\n"
            + "".join(f"{key} = {list(range(1, 1001))}\n" for key in ("seed", "batch_size", "num_csx", "seq_len")),
            "points",
        ),
    ):
        group.case(name, {"p.toml": text}, "p.toml|--model", says)
    for name, content, says in (
        ("CSV: empty", "", "point"),
        ("CSV: header alone", "model,batch_size\n", "point"),
        ("CSV: a cell too many", "model\n111m,5\n", "line 2"),
        ("CSV: a key twice", "model,model\n111m,111m\n", "line 1"),
        ("CSV: an unknown key", "model,warp\n111m,9\n", "warp"),
        ("CSV: NUL", "model,batch_size\n111m,\0\n", "line 2"),
        ("CSV: not UTF-8", b"model\n\xff\n", "UTF-8"),
        ("CSV: a quote without end", 'model,batch_size\n"111m,5\n', "line 2"),
        ("CSV: a cell of 200,000 letters", f"model,batch_size\n{'x' * 200_000},5\n", "line 2"),
        ("CSV: seed 1e400", "model,seed\n111m,1e400\n", "seed"),
    ):
        group.case(name, {"p.csv": content}, "p.csv", says, command="sweep p.csv")
    group.case("of no kind", {"p.xlsx": b"PK\3\4"}, "p.xlsx", command="sweep p.xlsx")
    return group
