"""The Python code of README.md, docs/python.md and the notebook runs as printed."""

import json
import pathlib
import re
import shutil

import matplotlib.pyplot as plt
import pytest

from tests.films import block_films
from tests.training.toys import toy_networks
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.geometry import VIEWS
from xctrs_tf.models import XCTRSNet
from xctrs_tf.pretrained import EXAMPLE
from xctrs_tf.training import loop
from xctrs_tf.training import run as runs

ROOT = pathlib.Path(__file__).parents[2]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
# What a line prints is its comment, up to dots or a colon.
PRINTED = re.compile(r"^print\(.*\)  # ([\w(][^:\n]*?)(?:\.\.\.\)|:.*)?$", re.M)


@pytest.fixture
def folder(models, tmp_path, monkeypatch):
    """The folder that the code runs in, with a model and two films."""
    shutil.copytree(models, tmp_path / "MODEL")
    for view, film in block_films().items():
        write_film(tmp_path / f"{view}.png", film, view)
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    yield tmp_path
    plt.close("all")


def blocks_of(page):
    return FENCE.findall((ROOT / page).read_text(encoding="utf-8"))


def run(blocks, page, names=None):
    """Run blocks of code one after another; return their names."""
    names = {"__name__": "__main__"} if names is None else names
    for block in blocks:
        exec(compile(block, page, "exec"), names)
    return names


def assert_printed(blocks, printed):
    """Compare what was printed with the comments behind the prints."""
    said = PRINTED.findall("\n".join(blocks))
    assert said
    lines = iter(printed.splitlines())
    for text in said:
        assert any(line.startswith(text) for line in lines), text


def test_readme(folder, capsys):
    for view in VIEWS:
        shutil.copy(EXAMPLE / f"{view}.png", folder)
    blocks = blocks_of("README.md")
    assert len(blocks) == 2
    run(blocks, "README.md")
    assert_printed(blocks, capsys.readouterr().out)
    names = {path.name for path in folder.iterdir()}
    assert {"reconstruction.png", "OUT"} <= names
    assert (folder / "OUT" / "report.html").is_file()


@pytest.fixture
def toys(monkeypatch):
    """Train toys in place of networks, whose training step takes a minute to trace."""
    for module in (loop, runs):
        monkeypatch.setattr(module, "build_networks", toy_networks)


@pytest.mark.slow
def test_page(folder, toys, capsys):
    blocks = blocks_of("docs/python.md")
    (first,) = [number for number, block in enumerate(blocks) if "XCTRSNet(" in block]
    # Fewer steps, since they teach nothing that the test looks at.
    shorter = [re.sub(r"steps=\d+", "steps=2", block) for block in blocks]
    names = run(shorter[:first], "docs/python.md")
    assert names["run"].step == 2
    # The toys' weights are none of X-CTRSNet.
    XCTRSNet(size=32, width=0.125).save_weights("RUN/best/model.weights.h5")
    run(shorter[first:], "docs/python.md", names)
    assert_printed(blocks, capsys.readouterr().out)
    assert (folder / "tuned.weights.h5").is_file()


def notebook():
    return json.loads((ROOT / "docs" / "tour.ipynb").read_text(encoding="utf-8"))


def code_cells():
    return [cell for cell in notebook()["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_committed_executed_and_small():
    cells = code_cells()
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    pictures = [
        output["data"]["image/png"]
        for output in outputs
        if "data" in output and "image/png" in output["data"]
    ]
    assert len(pictures) >= 2
    assert sum(map(len, pictures)) < 200_000 * 4 / 3


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, toys, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # The notebook makes a folder there and enters it.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    plt.switch_backend("agg")
    blocks = ["".join(cell["source"]) for cell in code_cells()]
    names = run([re.sub(r"(steps|epochs)=\d+", r"\1=2", block) for block in blocks], "tour.ipynb")
    plt.close("all")
    assert len(list(tmp_path.glob("*/OUT/report.html"))) == 1
    assert len(names["losses"]) == 2
    assert "verdict: " in capsys.readouterr().out
