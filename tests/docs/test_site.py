"""The site builds without a warning, has its pages, and needs no network."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from wse_sim.cli.app import COMMANDS

pytestmark = pytest.mark.slow

# What a browser fetches by itself, unlike a link that a reader follows.
FETCHED = re.compile(
    r"""<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)="(?:https?:)?//|url\(["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, with warnings as errors."""
    out = tmp_path_factory.mktemp("site")
    # A third of the time would go to walking the trees of all pages for garbage.
    build = "import gc, sys; from sphinx.cmd.build import main; gc.disable(); sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", build, "-W", "--keep-going", "-q", "-d", f"{out}/doctrees", "-c", "docs", "."]
    done = subprocess.run([*command, f"{out}/html"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    return out / "html"


def test_every_page_and_every_command_is_in_it(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT)).with_suffix(".html").exists(), page
    commands = (site / "docs" / "reference" / "cli.html").read_text()
    for name in COMMANDS:
        assert f"wse-sim-{name}" in commands
    assert 'id="wse_sim.simulation.simulate"' in (site / "docs" / "reference" / "api" / "simulator.html").read_text()


def test_formulas_are_mathml_and_nothing_is_fetched_from_outside(site: Path) -> None:
    assert "<math" in (site / "docs" / "explanation" / "physics.html").read_text()
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(pages) > 60
    for page in pages:
        assert not FETCHED.search(page.read_text()), page


def test_search_finds_without_a_server(site: Path) -> None:
    index = (site / "searchindex.js").read_text()
    found = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
    assert "docs/explanation/physics" in found["docnames"]
    assert "picosecond" in found["terms"]


def test_links_to_files_outside_of_the_pages_lead_to_copies_of_them(site: Path) -> None:
    page = (site / "docs" / "explanation" / "invariants.html").read_text()
    (target, *_) = re.findall(r'href="([^"]*/test_engines_agree\.py)"', page)
    assert (site / "docs" / "explanation" / target).resolve().read_text().startswith('"""')
