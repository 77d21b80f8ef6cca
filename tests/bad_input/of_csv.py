"""Measured runs in CSV, for `wse-sim calibrate`."""

from tests.bad_input.case import Group, Made

_HEAD = "model,system,num_csx,batch_size,tokens_per_s\n"
_GOOD = _HEAD + "111m,cs2,1,120,1.2e6\n256m,cs2,1,264,9e5\n"


def cases() -> Group:
    group = Group("calibrate CSV", "calibrate r.csv --out mine.toml")
    for name, (made, says) in _WHOLE.items():
        group.case(name, {"r.csv": made}, "r.csv", says)
    for column, values in {
        "tokens_per_s": ("nan", "inf", "-5", "0", "1e999", "fast", "1,000", "9" * 5000),
        "num_csx": ("nan", "0", "-1", "1.5", "999", "9" * 5000),
        "batch_size": ("0", "-120", "1e2", "x", "9" * 30),
        "model": ("nonesuch", "", "../111m", "x" * 70_000, "\x1b[31m"),
        "system": ("cs9", "", "h100"),
    }.items():
        names = _HEAD.strip().split(",")
        for value in values:
            row = dict(zip(names, ["111m", "cs2", "1", "120", "1.2e6"], strict=True)) | {column: f'"{value}"'}
            place = {"model": "model", "system": "system"}.get(column, column)
            group.case(
                f"{column} = {value[:20]!r}", {"r.csv": _HEAD + ",".join(row.values()) + "\n"}, "r.csv|system", place
            )
    for name, value in (
        ("density", "0"),
        ("density", "nan"),
        ("density", "2"),
        ("seq_len", "-1"),
        ("seq_len", "9999999"),
        ("microbatch", "7"),
        ("release", "r99"),
    ):
        text = f"{_HEAD.strip()},{name}\n111m,cs2,1,120,1.2e6,{value}\n"
        group.case(f"{name} = {value}", {"r.csv": text}, "r.csv, line 2", name)
    gpus = "model,gpu,num_gpus,batch_size,step_time_s"
    for name, text, says in (
        ("GPUs: step_time_s = 0", f"{gpus}\n111m,h100,8,264,0\n", "step_time_s"),
        ("GPUs: num_gpus = 0", f"{gpus}\n111m,h100,0,264,1\n", "num_gpus"),
        ("GPUs: gpu of no kind", f"{gpus}\n111m,h900,8,264,1\n", "h900"),
        ("GPUs: two kinds", f"{gpus}\n111m,h100,8,264,1\n111m,a100-80,8,264,1\n", "line 3"),
        ("GPUs: tp = 3", f"{gpus},tp\n111m,h100,8,264,1,3\n", "tp"),
        ("GPUs: recompute of no kind", f"{gpus},recompute\n111m,h100,8,264,1,some\n", "recompute"),
        ("GPUs: precision of no kind", f"{gpus},precision\n111m,h100,8,264,1,fp3\n", "precision"),
    ):
        group.case(name, {"r.csv": text}, "r.csv|GPU", says)
    group.case("--free of no kind", {"r.csv": _GOOD}, "luck", more="--free luck")
    group.case("--free of nothing", {"r.csv": _GOOD}, "free", more="--free ,")
    group.case("--base of no kind", {"r.csv": _GOOD}, "cs9", more="--base cs9")
    group.case("--out of the data's name", {"r.csv": _GOOD}, "cs2.toml", command="calibrate r.csv --out cs2.toml")
    group.case("--out of another kind", {"r.csv": _GOOD}, "mine.csv", ".toml", command="calibrate r.csv --out mine.csv")
    group.case(
        "--out into what is not there", {"r.csv": _GOOD}, "nowhere", command="calibrate r.csv --out nowhere/mine.toml"
    )
    return group


_WHOLE: dict[str, tuple[Made, str]] = {
    "empty": ("", "column"),
    "a byte order mark alone": (b"\xef\xbb\xbf", "column"),
    "the header alone": (_HEAD, "no measured run"),
    "empty lines": ("\n\n\n", "column"),
    "semicolons": (_GOOD.replace(",", ";"), "commas"),
    "tabs": (_GOOD.replace(",", "\t"), "column"),
    "a column twice": (_HEAD.replace("model", "model,model") + "111m,111m,cs2,1,120,1.2e6\n", "two columns"),
    "a column too many": (_HEAD.replace("model", "model,colour") + "111m,red,cs2,1,120,1.2e6\n", "colour"),
    "a column without a name": (_HEAD.replace("model", "model,") + "111m,x,cs2,1,120,1.2e6\n", "column"),
    "a value too many": (_HEAD + "111m,cs2,1,120,1.2e6,7\n", "line 2"),
    "a value too few": (_HEAD + "111m,cs2,1\n", "line 2"),
    "two rates": (_HEAD.replace("tokens_per_s", "tokens_per_s,samples_per_s") + "111m,cs2,1,120,1.2e6,5\n", "give one"),
    "no rate": ("model,system,num_csx,batch_size\n111m,cs2,1,120\n", "no rate"),
    "systems and GPUs": ("model,system,gpu,num_csx,batch_size,tokens_per_s\n111m,cs2,h100,1,120,1\n", "both"),
    "two systems": (_GOOD + "111m,cs3,1,120,1e6\n", "line 4"),
    "not UTF-8": (_GOOD.encode() + b"\xff\n", "UTF-8"),
    "UTF-16": (_GOOD.encode("utf-16"), "UTF-8"),
    "NUL": (_HEAD + "111m,cs2,1,120,\0\n", "line 2"),
    "a quote without end": (_HEAD + '"111m,cs2,1,120,1.2e6\n', "line 2"),
    "a cell of 200,000 letters": (_HEAD + "x" * 200_000 + ",cs2,1,120,1\n", "line 2"),
    "a million columns": (",".join(["model"] * 1_000_000) + "\n", "column"),
    "a million other columns": ("system," + ",".join(f"c{n}" for n in range(1_000_000)) + "\n", "c0"),
    "a million lines of nothing": (_HEAD + "\n" * 1_000_000, "no measured run"),
    "JSON": ('[{"model": "111m"}]', "column"),
    "a workbook": (b"PK\x03\x04" + bytes(range(256)), "UTF-8"),
    "not there": (lambda _: None, "No such file"),
    "a folder": (lambda path: path.mkdir(), "folder"),
}
