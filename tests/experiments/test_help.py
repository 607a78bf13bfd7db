"""The help of every program, which loads no package that is slow to import."""

import json
import subprocess
import sys
import tomllib

from tests.programs import ROOT

# SciPy itself is small, and loads its parts where they are used.
SLOW = (
    *("tensorflow", "keras", "jax", "matplotlib", "SimpleITK", "pydicom", "skimage", "tf2onnx"),
    *("scipy.ndimage", "scipy.spatial", "scipy.stats", "scipy.signal", "scipy.special"),
)
CODE = """
import contextlib, importlib, io, json, sys
modules, slow = json.loads(sys.argv[1])
found = {}
for name in modules:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        status = importlib.import_module(name).main(["--help"])
    loaded = [module for module in slow if module in sys.modules]
    if loaded or status or "usage:" not in printed.getvalue():
        found[name] = [status, loaded]
print(json.dumps(found))
"""


def test_it_loads_nothing_that_is_slow():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    modules = {target.partition(":")[0] for target in project["scripts"].values()}
    for file in (ROOT / "experiments").rglob("*.py"):
        if "def main(" in file.read_text(encoding="utf-8"):
            modules.add(".".join(file.relative_to(ROOT).with_suffix("").parts))
    assert len(modules) > 15
    finished = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps([sorted(modules), SLOW])],
        cwd=ROOT,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert json.loads(finished.stdout) == {}
