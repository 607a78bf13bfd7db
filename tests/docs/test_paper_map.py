"""Targets of docs/paper_map.md exist and cite the paper."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
MAP = ROOT / "docs" / "paper_map.md"
# The end of a docstring: "Ge et al. (2022), Eq. 2, 3." or "..., Sect. 2.1, Fig. 3."
CITATION = re.compile(r"Ge et al\. \(2022\), (?P<places>.+)\.\s*$")


def rows():
    """Return (place in the paper, file, name) of every row of the map."""
    lines = MAP.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [(place, file, name) for place, _, file, name in cells[2:]]


def docstring(file, name):
    """Return the docstring of a function or class of a file, with those of its call methods."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    (found,) = [node for node in tree.body if getattr(node, "name", None) == name]
    return ast.get_docstring(found, clean=True) + "\n" + _calls(found)


def _calls(node):
    """Return the docstrings of a class's __call__ and compute, which may cite equations."""
    inner = [each for each in node.body if getattr(each, "name", None) in ("__call__", "compute")]
    return "\n".join(ast.get_docstring(each) or "" for each in inner)


def places(text):
    """Split "Eq. 2, 3; Table 1" into {"Eq. 2", "Eq. 3", "Table 1"}."""
    found, kind = set(), None
    for part in re.split(r"[,;]\s*", text):
        named = re.match(r"(Eq|Sect|Fig|Table)\.?\s+(\S+)$", part)
        kind, number = named.groups() if named else (kind, part)
        found.add(f"{kind} {number}")
    return found


@pytest.mark.parametrize(("place", "file", "name"), rows())
def test_each_target_exists_and_names_its_place_in_the_paper(place, file, name):
    text = docstring(file, name)
    cited = set()
    for line in text.splitlines():
        found = CITATION.search(line)
        if found:
            cited |= places(found["places"])
    assert places(place) <= cited, f"{file}: {name} cites {sorted(cited)}, the map says {place}"


def test_every_equation_is_on_the_map():
    mapped = set().union(*(places(place) for place, _, _ in rows()))
    assert {f"Eq {number}" for number in range(1, 20)} <= mapped
    assert {f"Table {number}" for number in (1, 2, 3)} <= mapped
