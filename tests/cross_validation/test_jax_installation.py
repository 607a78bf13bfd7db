"""The programs in an installation for JAX, which has nothing but the packages of the page."""

import importlib.metadata
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from tests.programs import ROOT
from tests.training.toys import toy_dataset

# Steps that decide nothing, of narrow networks.
TINY = ("--preset=demo", "--width=0.0625", "--steps=2", "--batch_size=1", "--folds=1")


def installed_packages():
    """Return the packages that docs/training.md installs for JAX."""
    page = (ROOT / "docs" / "training.md").read_text("utf-8")
    command = re.search(r'^pip install (.*"jax.*)$', page, re.M).group(1)
    return {re.sub(r"\[.*", "", package) for package in shlex.split(command)}


def with_dependencies(names):
    """Return the distributions of packages and of all that they need."""
    requirements = pytest.importorskip("packaging.requirements")
    found, left = {}, sorted(names)
    while left:
        name = left.pop().lower().replace("_", "-")
        if name not in found:
            found[name] = importlib.metadata.distribution(name)
            needs = map(requirements.Requirement, found[name].requires or ())
            left += [n.name for n in needs if not n.marker or n.marker.evaluate({"extra": ""})]
    return found.values()


@pytest.fixture
def python(tmp_path):
    """Interpreter of an environment that has these packages alone."""
    pytest.importorskip("jax")
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    for distribution in with_dependencies(installed_packages()):
        for name in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            link = packages / name
            if not link.exists():
                link.symlink_to(pathlib.Path(distribution.locate_file(name)).resolve())
    return environment / "bin" / "python"


def test_the_packages_are_those_of_the_page():
    assert {"jax", "keras", "numpy", "scipy", "h5py"} <= installed_packages()
    names = {each.metadata["Name"].lower() for each in with_dependencies(installed_packages())}
    assert "jaxlib" in names and not names & {"tensorflow", "simpleitk", "scikit-image", "pydicom"}


@pytest.mark.slow
def test_a_row_is_trained_evaluated_and_handed_over(python, tmp_path):
    env = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        **{"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        # No entries of other runs.
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    absent = subprocess.run([python, "-c", "import tensorflow"], env=env, capture_output=True)
    assert absent.returncode == 1 and b"ModuleNotFoundError" in absent.stderr
    data, runs = toy_dataset(tmp_path / "data"), tmp_path / "runs"
    finished = subprocess.run(
        [
            *(python, "-m", "experiments.cross_validate", "--rows=table2-sit", *TINY),
            *(f"--data={data}", f"--workdir={runs}", "--vgg_weights=random"),
            *("--max_minutes=60", f"--handover={tmp_path / 'handover'}"),
        ],
        cwd=ROOT,
        env=env,
        capture_output=True,
        encoding="utf-8",
    )
    logs = "".join(path.read_text("utf-8") for path in runs.rglob("*.log"))
    assert finished.returncode == 0, finished.stdout + finished.stderr + logs
    index = json.loads((tmp_path / "handover" / "index.json").read_text("utf-8"))
    assert (index["done"], index["begun"]) == (1, 0)


@pytest.mark.parametrize(
    "program", ["benchmark", "calibrate", "cross_validate", "evaluate", "train"]
)
def test_a_program_starts(python, program):
    finished = subprocess.run(
        [python, "-m", f"experiments.{program}", "--help"],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        encoding="utf-8",
    )
    assert finished.returncode == 0, finished.stderr
