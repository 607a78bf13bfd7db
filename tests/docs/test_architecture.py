"""Folders and programs that docs/architecture.md lists are those that there are."""

import re
import tomllib

from tests.programs import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def programs():
    """Return the programs under experiments/, by what `python -m` is given."""
    for path in (ROOT / "experiments").rglob("*.py"):
        if re.search(r"^def main\(", path.read_text(encoding="utf-8"), re.M):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__main__")


def test_every_program_is_in_the_table():
    listed = re.findall(r"^\| `(experiments\.[\w.]+)` \|", TEXT, re.M)
    assert len(listed) > 20
    assert sorted(listed) == sorted(programs())
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    targets = {target.partition(":")[0] for target in scripts["scripts"].values()}
    assert {target.removesuffix(".__main__") for target in targets} - set(listed) == set()


def test_every_folder_is_in_a_row():
    rows = "".join(line for line in TEXT.splitlines() if line.startswith("|"))
    named = set(re.findall(r"`([\w/]+)/`", rows))
    folders = {
        path.parent.relative_to(ROOT).as_posix()
        for top in ("xctrs_tf", "experiments")
        for path in (ROOT / top).rglob("*.py")
    }
    # Of this one the modules are listed.
    assert folders - named == {"xctrs_tf/data"}
    tests = {path.relative_to(ROOT).parts[1] for path in (ROOT / "tests").rglob("*/*.py")}
    alone = {name for name in tests if f"xctrs_tf/{name}" not in folders}
    assert {f"tests/{name}" for name in alone} - named == set()
