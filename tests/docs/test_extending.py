"""The code of docs/extending.md runs as printed."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
BLOCK = re.compile(
    r'^```(?P<kind>python|diff) title="(?P<title>[^"]+)"\n(?P<text>.*?)^```$', re.M | re.S
)
# Results from before the new network: its row is empty, and all tables can be made.
RESULTS = """
import pathlib
from xctrs_tf.evaluation.generated_tables import check_tables

folder = pathlib.Path("experiments/results/openkbp32x3")
stale = {path.name for path in check_tables([folder], (), folder.parent)}
assert {"table3.csv", "table3.md"} <= stale and "table2.csv" not in stale, stale
"""


def blocks():
    """Return (kind, title, text) of every code block with a title."""
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    return [found.group("kind", "title", "text") for found in BLOCK.finditer(page)]


def patched(source, diff):
    """Return a text after insertion of the ``+`` lines of a diff."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] == " ")
    after = "".join(line[1:] for line in lines)
    assert {line[0] for line in lines} <= {" ", "+"}
    assert source.count(before) == 1, f"not once in the file:\n{before}"
    return source.replace(before, after)


def test_every_block_runs_on_a_copy_of_the_code(tmp_path):
    for package in ("xctrs_tf", "experiments"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    tries = []
    for kind, title, text in blocks():
        path = tmp_path / title
        if title == "Try it":
            tries.append(text)
        elif kind == "python":
            assert not path.exists(), f"{title} is there already"
            path.write_text(text, encoding="utf-8")
        else:
            path.write_text(patched(path.read_text(encoding="utf-8"), text), encoding="utf-8")
    assert len(tries) == 4
    tries.append(RESULTS)
    script = tmp_path / "tries.py"
    script.write_text("\n".join(tries) + "\nprint('all four')\n", encoding="utf-8")
    finished = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.endswith("all four\n")
