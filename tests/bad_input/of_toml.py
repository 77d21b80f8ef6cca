"""TOML files that users write: models, systems, GPUs, prices, operations."""

from importlib.resources import files

from tests.bad_input.case import Group, Made
from tests.conftest import TINY

_DATA = files("wse_sim") / "data"
_SYSTEM = (_DATA / "hardware" / "cs3.toml").read_text(encoding="utf-8")
_GPU = (_DATA / "gpus" / "h100.toml").read_text(encoding="utf-8").replace('name = "h100"', 'name = "mine"')
_SOFTWARE = (
    (_DATA / "gpu_software" / "megatron.toml").read_text(encoding="utf-8").replace('name = "megatron"', 'name = "mine"')
)
_SOURCED = 'kind = "assumed"\nsource = "a test"\n'


def in_place(text: str, of: str, by: str) -> str:
    """`text` with one passage replaced, which must be there."""
    assert of in text, of
    return text.replace(of, by, 1)


def cases() -> list[Group]:
    return [_language(), _models(), _recipes(), _systems(), _gpus(), _operations(), _economics()]


def _language() -> Group:
    """What is wrong with a file before it is known what it is about."""
    group = Group("TOML", "simulate --batch-size 8 --model m.toml")
    wrong: dict[str, tuple[Made, str]] = {
        "empty": ("", "[shape]"),
        "no TOML": ("[shape\nname = 1", "TOML"),
        "cut short": (TINY[: len(TINY) // 2] + "d_ff = ", "TOML"),
        "key twice": (TINY + "n_heads = 2\n", "TOML"),
        "table twice": (TINY + TINY, "TOML"),
        "not UTF-8": (b"[shape]\nname = '\xff\xfe'\n", "UTF-8"),
        "UTF-16": (TINY.encode("utf-16"), "UTF-8"),
        "NUL": (TINY.replace("tiny", "ti\0ny"), "TOML"),
        "JSON": ('{"shape": {}}', "TOML"),
        "arrays in arrays": ("a = " + "[" * 100_000, "TOML"),
        "tables in tables": ("a = " + "{a=" * 50_000, "TOML"),
        "a key of 20,000 words": (".".join("a" * 20_000) + " = 1", "TOML"),
        "a table of 20,000 words": ("[" + ".".join("a" * 20_000) + "]", "TOML"),
        "300 keys of 500 words": ("\n".join(f"k{n}" + ".a" * 500 + " = 1" for n in range(300)), "TOML"),
        "larger than any": (TINY + "# a comment\n" * 400_000, "bytes"),
        "a number of 5,000 digits": (in_place(TINY, "d_model = 64", "d_model = " + "9" * 5000), "TOML"),
        "a number of 5,000 hexadecimal digits": (in_place(TINY, "d_model = 64", "d_model = 0x" + "f" * 5000), "TOML"),
        "2^64": (in_place(TINY, "d_model = 64", "d_model = 18446744073709551616"), "TOML"),
        "random bytes": (bytes((n * n * 31 + 7 * n) % 256 for n in range(4096)), "UTF-8"),
        "not there": (lambda _: None, "No such file"),
    }
    for name, (made, says) in wrong.items():
        group.case(name, {"m.toml": made}, "m.toml", says)
    return group


def _models() -> Group:
    group = Group("model TOML", "simulate --batch-size 8 --model m.toml")
    for key, values in {
        "n_layers": ("0", "-1", "nan", "2.5", "'2'", "true", "9223372036854775807", "[2]", "1e6", "1979-05-27"),
        "d_model": ("0", "-64", "63", "inf", "9223372036854775806", "{}"),
        "n_heads": ("0", "3", "-2"),
        "d_ff": ("0", "nan", "9223372036854775807"),
        "vocab_size": ("0", "-300", "9223372036854775807"),
        "seq_len": ("0", "-64", "9223372036854775807"),
        "name": ("1", "[]"),
    }.items():
        before = next(line for line in TINY.splitlines() if line.startswith(f"{key} "))
        for value in values:
            group.case(
                f"{key} = {value}", {"m.toml": in_place(TINY, before, f"{key} = {value}")}, "m.toml|model 'tiny'", key
            )
    for line, says in {
        "n_kv_heads = 0": "n_kv_heads",
        "n_kv_heads = -1": "n_kv_heads",
        "n_kv_heads = 7": "n_kv_heads",
        "feed_forward = 'relu'": "feed_forward",
        "norm = 'batchnorm'": "norm",
        "positions = 'absolute'": "positions",
        "is_tied = 1": "is_tied",
        "logits_fraction = nan": "logits_fraction",
        "logits_fraction = -1.0": "logits_fraction",
        "logits_fraction = 2.0": "logits_fraction",
        "d_modell = 64": "d_model",
        "'' = 1": "key",
        '"a\\nb" = 1': "unknown key",
        '"\\u001b[31m" = 1': "unknown key",
    }.items():
        group.case(line, {"m.toml": TINY + line}, "m.toml|model 'tiny'", says)
    group.case("an unknown table", {"m.toml": TINY + "[shapes]\n"}, "m.toml", "shapes")
    group.case("shape is a number", {"m.toml": "shape = 1"}, "m.toml", "[shape]")
    group.case("shape is a list of tables", {"m.toml": "[[shape]]\n"}, "m.toml", "[shape]")
    for key in ("d_model", "vocab_size", "name"):
        lines = [line for line in TINY.splitlines() if not line.startswith(key)]
        group.case(f"no {key}", {"m.toml": "\n".join(lines)}, "m.toml", key)
    name = "\\u001b]0;x\\u0007 error: not me"
    group.case(
        "escape codes in the name",
        {"m.toml": in_place(TINY, '"tiny"', f'"{name}"')},
        "batch",
        command="simulate --model m.toml",
    )
    group.case("no batch size", {"m.toml": TINY}, "--batch-size", command="simulate --model m.toml")
    group.case("no positions for the sequences", {"m.toml": TINY}, "seq_len", more="--seq-len 65")
    return group


def _recipes() -> Group:
    group = Group("recipe TOML", "train --mode dense --steps 1 --model m.toml --out run")
    recipe = {
        "batch_size": "8",
        "n_steps": "100",
        "warmup_steps": "10",
        "peak_lr": "1e-3",
        "end_lr_fraction": "0.1",
        "decay": "'linear'",
        "adam_eps": "1e-8",
    }
    for key, values in {
        "batch_size": ("0", "-8", "1.5", "9223372036854775807"),
        "n_steps": ("0", "-1", "nan"),
        "warmup_steps": ("-1", "101", "nan"),
        "peak_lr": ("0.0", "-1.0", "nan", "inf", "'1e-3'"),
        "end_lr_fraction": ("-0.1", "2.0", "nan"),
        "decay": ("'wavy'", "1"),
        "adam_eps": ("-1e-8", "nan", "inf"),
        "betas": ("[0.9]", "[0.9, 1.0]", "[nan, 0.9]", "0.9"),
        "weight_decay": ("-0.1", "nan", "inf"),
        "clip": ("-1.0", "nan", "0.0"),
        "num_csx": ("0", "-1", "3"),
        "base": ("1",),
        "parametrization": ("'np'",),
        "phases": ("[1]", "[{batch_size = 8}]"),
    }.items():
        for value in values:
            said = recipe | {key: value}
            table = "[recipe]\n" + "".join(f"{name} = {of}\n" for name, of in said.items())
            place = {"base": "base|hyper", "num_csx": "num_csx"}.get(key, key.split("_")[0])
            group.case(f"{key} = {value}", {"m.toml": TINY + table}, place)
    group.case("recipe is a list", {"m.toml": TINY + "[[recipe]]\n"}, "m.toml", "recipe")
    group.case("recipe without keys", {"m.toml": TINY + "[recipe]\nn_steps = 1\n"}, "m.toml", "recipe")
    return group


def _systems() -> Group:
    group = Group("system TOML", "simulate --model 111m --batch-size 264 --num-csx 1 --system s.toml")
    for key, value in (
        ("cores", "0"),
        ("cores", "-1"),
        ("cores", "nan"),
        ("cores", "inf"),
        ("cores", "'many'"),
        ("mesh_width", "762.5"),
        ("mesh_width", "1e300"),
        ("clock_hz", "-1.0"),
        ("sram_bytes", "1.0"),
        ("sram_bytes", "nan"),
    ):
        head = f"[{key}]\nvalue = "
        start = _SYSTEM.index(head) + len(head)
        text = f"{_SYSTEM[:start]}{value}{_SYSTEM[_SYSTEM.index(chr(10), start) :]}"
        lines = [line for line in text.splitlines() if not line.startswith(("low", "high"))]
        group.case(
            f"{key} = {value}",
            {"s.toml": "\n".join(lines)},
            "s.toml|memory|sram|on s:",
            key.split("_")[0] + "|memory|fit|constant",
        )
    group.case("empty", {"s.toml": ""}, "s.toml", "missing")
    group.case(
        "a constant too many", {"s.toml": f"{_SYSTEM}\n[warp_factor]\nvalue = 9\n{_SOURCED}"}, "s.toml", "warp_factor"
    )
    group.case(
        "a constant without a source",
        {"s.toml": in_place(_SYSTEM, 'source = "Cerebras', 'sauce = "Cerebras')},
        "s.toml",
        "source",
    )
    group.case("low above high", {"s.toml": in_place(_SYSTEM, "low = 970000000.0", "low = 1.3e9")}, "s.toml", "low")
    group.case("a number for a table", {"s.toml": "cores = 5"}, "s.toml", "cores")
    group.case("a name of the data", {"s.toml": f'name = "cs2"\n{_SYSTEM}'}, "s.toml", "cs2")
    group.case("a name that is a number", {"s.toml": f"name = 2\n{_SYSTEM}"}, "s.toml", "name")
    group.case("memoryx is a list", {"s.toml": f"memoryx = []\n{_SYSTEM}"}, "s.toml", "memoryx")
    group.case("a fan-out of 1", {"s.toml": f"{_SYSTEM}\n[swarmx.fan_out]\nvalue = 1\n{_SOURCED}"}, "s.toml", "fan_out")
    group.case(
        "1e12 servers", {"s.toml": f"{_SYSTEM}\n[memoryx.servers]\nvalue = 1e12\n{_SOURCED}"}, "s.toml", "servers"
    )
    return group


def _gpus() -> Group:
    group = Group("GPU TOML", "compare --model 111m --batch-size 264 --num-gpus 8 --gpu g.toml")
    for key, value in (
        ("peak_flops_per_s", "0"),
        ("peak_flops_per_s", "nan"),
        ("peak_flops_per_s", "-1.0"),
        ("memory_bytes", "inf"),
        ("memory_bytes", "1.0"),
        ("memory_bytes", "'80 GB'"),
        ("n_sms", "0"),
    ):
        head = f"[{key}]\nvalue = "
        start = _GPU.index(head) + len(head)
        text = f"{_GPU[:start]}{value}{_GPU[_GPU.index(chr(10), start) :]}"
        group.case(f"{key} = {value}", {"g.toml": text}, "g.toml|mine", key.split("_")[0] + "|memory")
    group.case("empty", {"g.toml": ""}, "g.toml", "missing")
    group.case("a key too many", {"g.toml": "warp = 9\n" + _GPU}, "g.toml", "warp")
    group.case(
        "software: empty",
        {"p.toml": ""},
        "p.toml",
        "missing",
        command="compare --model 111m --batch-size 264 --gpu-software p.toml",
    )
    group.case(
        "software: attention_fraction = 2",
        {"p.toml": in_place(_SOFTWARE, "value = 0.609", "value = 2.0").replace("high = 1\n", "high = 3\n", 1)},
        "attention_fraction",
        command="compare --model 111m --batch-size 264 --gpu-software p.toml",
    )
    group.case(
        "software: shardings of no kind",
        {"p.toml": in_place(_SOFTWARE, '"zero3"', '"zero9"')},
        "p.toml",
        "shardings",
        command="compare --model 111m --batch-size 264 --gpu-software p.toml",
    )
    return group


def _operations() -> Group:
    group = Group("operations TOML", "simulate --model 111m --operations o.toml")
    for key, value in (
        ("system_mtbf_s", "0"),
        ("system_mtbf_s", "-1"),
        ("system_mtbf_s", "nan"),
        ("compile_s", "inf"),
        ("compile_s", "-1"),
        ("straggler_slowdown", "0.5"),
    ):
        group.case(f"{key} = {value}", {"o.toml": f"[{key}]\nvalue = {value}\n{_SOURCED}"}, "o.toml", key)
    group.case("an unknown constant", {"o.toml": f"[luck]\nvalue = 1\n{_SOURCED}"}, "o.toml", "luck")
    group.case("a bare number", {"o.toml": "compile_s = 60"}, "o.toml", "compile_s")
    group.case(
        "an empty source", {"o.toml": '[compile_s]\nvalue = 1\nkind = "assumed"\nsource = " "'}, "o.toml", "source"
    )
    group.case("of another kind", {"o.toml": '[compile_s]\nvalue = 1\nkind = "rumour"\nsource = "x"'}, "o.toml", "kind")
    return group


def _economics() -> Group:
    group = Group("economics TOML", "simulate --model 111m --economics e.toml")
    for key, value in (
        ("pue", "0.9"),
        ("pue", "nan"),
        ("usd_per_kwh", "-1"),
        ("utilisation", "0"),
        ("utilisation", "2"),
        ("amortisation_years", "0"),
    ):
        group.case(f"{key} = {value}", {"e.toml": f"[{key}]\nvalue = {value}\n{_SOURCED}"}, "e.toml", key)
    group.case("an unknown grid", {"e.toml": 'default_grid = "moon"'}, "e.toml|grid", "moon")
    group.case("grid is a number", {"e.toml": "grid = 5"}, "e.toml", "grid")
    group.case("a unit that nobody sells", {"e.toml": "[units.cs9]\n"}, "e.toml", "cs9")
    group.case("a key too many", {"e.toml": "tax = 1"}, "e.toml", "tax")
    group.case("units is a list", {"e.toml": "units = [1]"}, "e.toml", "units")
    return group
