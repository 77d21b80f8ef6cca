"""Options with values that they cannot have."""

from tests.bad_input.case import Group

_RUN = "simulate --model 111m"
_DIGITS = "9" * 5000

_OF_A_RUN = {
    "--num-csx": ("num", "0", "-1", "1.5", "nan", "", "٣", "1_0", _DIGITS),
    "--batch-size": ("0", "-264", "1e3", "inf", "1_0x", "１２０"),
    "--microbatch": ("0", "-1", "7", "half"),
    "--seq-len": ("0", "-2048", "1e999", "2049", "999999999999999999999"),
    "--density": ("0", "-0.5", "1.5", "nan", "inf", "one", "1e-400", "1e-9", "０.5", "0.2_5"),
    "--sparsity": ("1", "-0.1", "nan", "inf", "75%"),
    "--tokens": ("0", "-1e9", "nan", "inf", "26.3Q", "1e999", "--", "1e9\u212a"),
    "--seed": ("1.5", "x", _DIGITS),
    "--jitter": ("-0.1", "nan", "inf", "1e308"),
    "--straggler": ("0.5", "nan", "-inf", "1e308"),
    "--mask-update-steps": ("0", "10"),
    "--sparsity-algorithm": ("RIGL2", ""),
    "--release": ("r99", "", "../r2", "r2\n"),
    "--system": ("cs9", "", "../cs2", "CS-2"),
    "--price-basis": ("free",),
    "--grid": ("moon", "-1", "nan", "inf", "٠"),
    "--electricity-usd-per-kwh": ("-1", "nan", "inf", "cheap"),
    "--pue": ("0.5", "nan", "inf", "1e308"),
    "--system-mtbf": ("0", "-3d", "nan", "inf", "30 fortnights", "3ſ"),
    "--cluster-mtbf": ("0s", "1e999d"),
    "--checkpoint-interval": ("0", "-2h", "0 steps", "nan", "5 moves", "500steps later"),
    "--engine": ("fastest",),
    "--trace-steps": ("0", "-1", "3:1", "1:2:3", "x", "0:1", "٣", _DIGITS),
    "--trace-max-bytes": ("0", "-1", "nan", "lots"),
}
_TRAIN = "train --model 111m"
_OF_TRAINING = {
    "--budget": ("0", "-3m", "nan", "3 weeks", "1e999d"),
    "--mode": ("fast",),
    "--steps": ("0", "-1", "x"),
    "--schedule": (
        "lineer",
        "wsd(cooldown=2)",
        "wsd(cooldown=nan)",
        "wsd(cooldown",
        "step(at=[0.9,0.1])",
        "sequential(pieces=[linear],until=[0.5])",
        "linear(floor=inf)",
        "linear(floor=０.1)",
        "linear(floor=0_1)",
        "linear(floor=1,floor=1)",
        "",
        ",",
        "cyclic(cycles=1e9999)",
        "constant(" * 300,
    ),
    "--parametrization": ("mup2",),
    "--peak-lr": ("0", "-1", "nan", "inf"),
    "--clip": ("0", "-1", "nan", "some"),
    "--gpu": ("h900", ""),
    "--num-gpus": ("0", "-8", "x"),
    "--gpu-software": ("slurm",),
    "--log": ("prometheus", ","),
    "--tokenizer": ("bpe:12", "bpe:-1", "bpe:", "bpe:many", f"bpe:{_DIGITS}", "bpe:٨١٩٢"),
    "--data": (
        "nowhere.bin",
        "markov:order=-1",
        "markov:seed=x",
        "markov:order=9999999999",
        "markov:order=1_0",
        "*.nothing",
        "",
    ),
}
_IN_FULL = {"--peak-lr", "--clip", "--steps"}
_OF_PLANS = {
    "--deadline": ("0", "yesterday", "-1d"),
    "--max-cost": ("-1", "nan", "0", "1Q"),
    "--max-power": ("500", "0kW", "5 horses"),
    "--max-energy": ("0MWh", "x"),
    "--max-carbon": ("20", "-1t"),
    "--target-loss": ("0", "nan", "-1"),
    "--max-csx": ("0", "x"),
    "--minimise": ("regret",),
    "--tpp": ("0", "nan", "20,,40", "-1", "1e300", "1e-300", "2_0"),
    "--num-csx": ("1,x", "0", "1,٣", _DIGITS),
    "--pue": ("1e308",),
    "--density": ("1,2", "nan", ","),
}
_OTHERS = (
    ("compare --model 111m --batch-size 264", "--num-gpus", "0", "num_gpus"),
    ("compare --model 111m --batch-size 264", "--tp", "0", "tp"),
    ("compare --model 111m --batch-size 264", "--pue", "1e308", "pue"),
    (f"{_RUN} --price-basis purchase", "--electricity-usd-per-kwh", "1e308", "usd_per_kwh"),
    ("compare --model 111m --batch-size 264", "--tp", "-2", "tp"),
    ("compare --model 111m --batch-size 264", "--layouts", "-1", "layouts"),
    ("compare --model 111m --batch-size 264", "--precision", "fp3", "--precision"),
    ("compare --model 111m --batch-size 264", "--gpu", "../h100", "GPU"),
    ("project --model 111m", "--law", "murphy", "law"),
    ("project --model 111m", "--tpp", "nan", "tpp"),
    ("project --model 111m", "--tpp", "1e300", "at most 1e+09"),
    ("project --model 111m", "--tpp", "1e-300", "at least 1e-06"),
    ("project --model 111m", "--seed", "-1", "--seed"),
    ("project --model 111m", "--convention", "x", "convention"),
    ("project --model 111m", "--plot", "curve.bmp", "curve.bmp"),
    ("schedules linear", "--n-steps", "0", "--n-steps"),
    ("schedules linear", "--n-steps", _DIGITS, "--n-steps"),
    ("schedules cosine", "--n-steps", "10000000", "at most 1,000,000"),
    ("schedules linear --model 111m", "--tpp", "1e300", "at most 1e+09"),
    ("schedules linear --model 111m", "--tpp", "1e6", "at most 1,000,000"),
    ("schedules linear --model 111m", "--tpp", "1e-4", "at least one step"),
    ("schedules linear --model 111m", "--density", "1e-9", "at least 1.7e-06"),
    ("schedules linear --model 111m", "--batch-size", "99999999999999", "batch_size"),
    ("schedules linear", "--peak-lr", "1e-320", "1e-30"),
    ("schedules linear", "--warmup", "1e300 tokens", "1e300 tokens"),
    ("schedules linear", "--warmup", "1e999 steps", "at least one step"),
    ("schedules linear", "--warmup", f"{_DIGITS}/3", "15/90"),
    ("schedules linear", "--warmup", "346 ſteps", "346 steps"),
    ("schedules linear", "--warmup", "110%", "warm"),
    ("schedules linear", "--warmup", "nan", "warm"),
    ("schedules linear", "--warmup", "-3 steps", "warm"),
    ("schedules linear", "--peak-lr", "nan", "peak"),
    ("schedules linear", "--weight-decay", "-1", "weight"),
    ("transfer --over width", "--values", "64,x", "value"),
    ("transfer --over width", "--values", "0", "width"),
    ("transfer --over width", "--values", _DIGITS, "width|'9"),
    ("transfer --over density", "--values", "2", "density"),
    ("transfer --over density", "--values", "1/0", "value"),
    ("transfer --over width", "--lr-grid", "2^5..2^1", "learning rates"),
    ("transfer --over width", "--lr-grid", "2^-99999..2^99999", "learning rates"),
    ("transfer --over width", "--lr-grid", "x", "learning rates"),
    ("transfer --over width", "--lr-grid", "2^nan..2^inf", "learning rates"),
    ("transfer --over width", "--values", "1e9999999999", "width"),
    ("transfer --over density", "--values", "nan", "density"),
    ("transfer --over width", "--seeds", "0", "--seeds"),
    ("transfer --over width", "--seeds", "1000000000", "at most 1,000"),
    ("transfer --over width", "--steps", "100000000000", "at most 1,000,000,000"),
    ("transfer --over width", "--tpp", "1e300", "at most 1e+09"),
    ("transfer --over width", "--tpp", "1e-300", "at least 1e-06"),
    ("transfer --over width", "--tpp", "1e-5", "at least one step"),
    ("transfer --over width", "--batch-size", "1000000000000", "--batch-size"),
    ("transfer --over width", "--batch-size", "1000000", "batch_size 1000000"),
    ("transfer --over width", "--values", "1_0,64", "value"),
    ("transfer --over width", "--lr-grid", "2^-1_0..2^-5", "learning rates"),
    ("coord-check --over width", "--seeds", "1000000000", "at most 1,000"),
    ("coord-check --over width", "--steps", "1000000000", "at most 10,000"),
    ("coord-check --over width", "--values", "x", "value"),
    ("coord-check --over width", "--lr", "nan", "lr"),
    ("coord-check --over width", "--limit", "nan", "limit"),
    ("reproduce", "nothing-of-the-kind", "", "nothing-of-the-kind"),
    ("reproduce d2z", "--seeds", "1000000000", "at most 1,000"),
    ("validate", "--figure", "curve.png", "curve.png"),
    ("validate", "--figure", "nowhere/curve.svg", "nowhere/curve.svg"),
    ("validate", "--shown", "nowhere/shown.json", "nowhere/shown.json"),
    ("explain parametrization", "--depth-alpha", "7", "alpha"),
    ("explain parametrization", "--density", "nan", "density"),
    ("explain", "no_such_field", "", "no_such_field"),
    ("schema", "no-such-document", "", "no-such-document"),
    ("list", "planets", "", "planets"),
    ("sweep --model 111m", "--set", "csx.power_w", "KEY=VALUE"),
    ("sweep --model 111m", "--set", "csx.nothing=1", "csx.nothing"),
    ("sweep --model 111m", "--set", "csx.power_w=-1", "csx.power_w"),
    ("sweep --model 111m", "--set", "csx.power_w=nan", "csx.power_w"),
    ("sweep --model 111m", "--set", "csx.clock_hz=1e-300", "csx.clock_hz"),
    ("sweep --model 111m", "--set", "csx.power_w=1e300", "csx.power_w"),
    ("sweep --model 111m", "--num-csx", "1,,2", "num_csx"),
    ("sweep --model 111m", "--num-csx", "1_0", "num_csx"),
    ("sweep --model 111m", "--jitter", "1e308", "jitter"),
    ("sweep --model 111m", "--seed", "inf", "seed"),
    ("sweep --model 111m", "--out", "table.xlsx", "table.xlsx"),
    ("sweep --model 111m", "--sort-by", "beauty", "beauty"),
    ("sweep --model 111m", "--processes", "0", "--processes"),
    (_RUN, "--out=", "", "--out"),
    ("calibrate runs.csv", "--base=", "", "--base"),
    ("simulat", "", "", "simulat"),
    ("simulate", "--modell", "x", "--modell"),
    ("simulate", "", "", "--model"),
    ("completion", "tcsh", "", "tcsh"),
    ("bench cli", "--repeats", "0", "repeats"),
)


def _place(option: str, value: str) -> str:
    """A message has the first word of the option's name, or the value as it was written."""
    return f"{option.removeprefix('--').split('-')[0]}|{value!r}|{value.rpartition(':')[2].replace('=', ' is ')}"


def cases() -> Group:
    group = Group("flags")
    for start, options in ((_RUN, _OF_A_RUN), (_TRAIN, _OF_TRAINING), ("plan --model 111m", _OF_PLANS)):
        for option, values in options.items():
            for value in values:
                more = " --mode full" if start == _TRAIN and option in _IN_FULL else ""
                command = f"{start}{more} {option}='{value}'"
                group.case(f"{start.split()[0]} {option} {_short(value)}", {}, _place(option, value), command=command)
    for start, option, value, says in _OTHERS:
        command = f"{start} {option} '{value}'" if value else f"{start} {option}"
        group.case(f"{start} {option} {_short(value)}".strip(), {}, says, command=command)
    group.case("both density and sparsity", {}, "density", "sparsity", command=f"{_RUN} --density 0.5 --sparsity 0.5")
    group.case("masks that change and none", {}, "density", command=f"{_TRAIN} --sparsity-algorithm rigl")
    return group


def _short(value: str) -> str:
    return repr(value) if len(value) < 40 else f"{value[:12]!r}... ({len(value)} letters)"
