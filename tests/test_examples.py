"""Every example runs, and prints what it promises; those of claims in their quick version."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from training.claims.registry import CLAIMS

EXAMPLES = Path(__file__).parent.parent / "examples"
OF_CLAIMS = {f"claims/{claim.number:02}_{claim.name.replace('-', '_')}.py": claim.name for claim in CLAIMS}

# Regular expressions; runs of white space in the output count as one space. Quick models are tiny and see few bytes: of
# their figures only that is promised which is far from its opposite.
PROMISES = {
    "01_simulate_a_step.py": ["density 1: ", "density 0.25: ", "wafer compute"],
    "02_when_sparsity_pays.py": ["111m", "13b"],
    "03_three_engines_agree.py": [
        "run_des: every finish time equal: True",
        "run_max_plus: every finish time equal: True",
    ],
    "04_train_only_the_nonzeros.py": [
        r"dense: loss 5\.4144\d\d ",
        r"streaming: loss 5\.4144\d\d ",
        r"largest difference in 30 steps of RigL: \d\.\de-0[5-7]",
        r"streaming: Cerebras-GPT 2\.7B at density 0\.25 needs 1[01]\.\d GB",
    ],
    "05_from_python.py": [
        r"<13b at density 0\.25 on 4 × CS-3: 536,000 tokens/s, MFU 21\.6 %, 5\.55 days, \$58,\d\d\d, simulated>",
        r"num_csx 1 22\.\d\d 35\.\d\d 60\.\d\d 4 5\.\d\d",
        r"One CS-3 does the work of 18\.9 H100",
        "<13b: Book 8 × CS-3",
    ],
    "claims/01_parameter_counts.py": ["13b 12,853,386,240 12,853,386,240 12,853,386,240", "7 of 7 are equal"],
    "claims/02_tokens_and_steps.py": [
        "13b 116,223 x 1,080 2.57e[+]11 2.57e[+]11 20.00 169 169",
        "7 of 7 runs have the published tokens",
    ],
    "claims/03_training_flops.py": ["7 of 7 of the paper", "6 of 7 of the older table", "13b 2.266e[+]22 2.3e[+]22"],
    "claims/04_scaling_law.py": [
        "printed, Eq. 1 5.984e[+]22 0.0737 0.5066",
        "fitted here 6.471e[+]22 0.0733 0.5013",
        "spread around Eq. 1: 0.66%, claimed",
        "on average: -0.43%",
    ],
    "claims/05_coordinates_over_density.py": [
        *(
            rf"{name} {site} 1 [+]1\.\d\d shrinks with density"
            for name in ("sp", "mup")
            for site in ("attention", "mlp")
        ),
        *(rf"smupar {site} 1 [+-]0\.0\d keeps its size" for site in ("attention", "mlp")),
        r"sp mlp 3 [+]1\.\d\d shrinks with density",
    ],
    "claims/06_coordinates_over_width.py": [
        *(rf"sp {site} {step} [+]1\.\d\d grows with width" for site in ("attention", "mlp") for step in (1, 3)),
        *(rf"mup {site} 1 [+-]0\.0\d keeps its size" for site in ("attention", "mlp")),
    ],
    "claims/07_lr_over_density.py": [
        *(rf"{name} 0\.0625 2\^\S+ [+][1-9]\.\d\d \S+ does not transfer" for name in ("sp", "mup")),
        r"smupar 0\.0625 2\^\S+ [+-]0\.\d\d \S+ transfers",
    ],
    "claims/08_both_corrections.py": [
        r"smupar 0\.0625 2\^\S+ [+-]0\.\d\d \S+ transfers",
        r"smupar_init_only 0\.0625 2\^\S+ [+][1-9]\.\d\d \S+ does not transfer",
        r"smupar_lr_only 0\.0625 ",
    ],
    "claims/09_d2z.py": [rf"{tpp} 0\.006 \S+ 0\.006 \S+ \S+% worse" for tpp in (1, 2)],
    "claims/10_ema.py": [
        r"constant \d\.\de-1\d 10\.4% 68\.2% 23\.6%",
        r"linear \d\.\de-1\d 30\.4% 84\.4% 1\.9%",
    ],
    "claims/11_curve_collapse.py": [
        r"64 0\.25 1\.\d+ 1\.\d+ 1\.\d+ 1\.\d+ 1\.000 0\.0%",
        *(rf"32 {tau} 1\.\d+ 1\.\d+ 1\.\d+ 1\.\d+ 1\.000 \d+\.\d%" for tau in (r"0\.25", r"0\.0625", "1")),
    ],
    "claims/12_sparse_scaling_law.py": [
        "b_n 0.2451 0.2317 -5.5%",
        "25 of 25 starts",
        "published: 1.4683 nats, -1.0% off",
        "fitted here: 1.4551 nats, -1.9% off",
    ],
    "claims/13_spdf_flops.py": ["density 0.25: 2.49 times fewer", "64.2% fewer"],
    "claims/14_iso_wpn.py": [r"32 128 0\.25 2\^\S+ [+-]0\.\d\d \S+ transfers"],
    "claims/15_rigl_breaks_smupar.py": [
        r"rigl 0\.0625 2\^\S+ -0\.\d\d ",
    ],
    "claims/16_frontier.py": [
        r"4 CS-2 0\.25 0\.\d+ 2\.\d\d 1\.\d\d \d\.\d{4}",
        r"32 H100 0\.25 0\.\d+ 1\.00 0\.50 \d\.\d{4}",
    ],
}


def test_every_example_is_run_here() -> None:
    assert {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.py")} == set(PROMISES)


def test_every_claim_has_an_example() -> None:
    assert {name for name in PROMISES if name.startswith("claims/")} == set(OF_CLAIMS)


@pytest.mark.usefixtures("runs_here")
@pytest.mark.parametrize("name", PROMISES)
def test_example_keeps_its_promise(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: most of them would take longer to load torch than for all else."""
    monkeypatch.setattr(sys, "argv", [name, *(["--quick"] if name in OF_CLAIMS else [])])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    shown = capsys.readouterr().out
    printed = " ".join(shown.split())
    for promise in PROMISES[name]:
        assert re.search(promise, printed), f"{promise!r} is not in:\n{shown}"
    if name in OF_CLAIMS:
        assert printed.endswith(f"Full test: wse-sim reproduce {OF_CLAIMS[name]}")
