"""Links, file names, module names and figures in the documentation."""

import ast
import pathlib
import re

import pytest

import xctrs_tf

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")
MODULE = re.compile(r"`((?:xctrs_tf|experiments)(?:\.\w+)+)`")
FILE = re.compile(r"`((?:xctrs_tf|experiments|tests|docs)/[\w/.-]+)`")
FIGURE = re.compile(r"\d[\d.,]* ± [\d.]+")
# A line of a table of six models.
SIX_FIGURES = re.compile(r"(?: \| \d+\.\d\d){6} \|$", re.MULTILINE)


@pytest.mark.parametrize("pattern", [LINK, MODULE, FILE], ids=["link", "module", "file"])
def test_pages_have_links_modules_and_files(pattern):
    assert any(pattern.search(page.read_text(encoding="utf-8")) for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_exist(page):
    text = page.read_text(encoding="utf-8")
    missing = [target for target in LINK.findall(text) if not (page.parent / target).exists()]
    missing += [file for file in FILE.findall(text) if not (ROOT / file).exists()]
    assert not missing


def constants_of_the_site():
    """Read the lists in ``docs/hooks.py``; what it imports is not installed here."""
    tree = ast.parse((ROOT / "docs/hooks.py").read_text(encoding="utf-8"))
    lists = [node for node in tree.body if isinstance(node, ast.Assign)]
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in lists
        if isinstance(node.value, ast.Tuple)
    }


def test_the_api_pages_have_the_public_names():
    names = [each.rpartition(".")[2] for each in constants_of_the_site()["PUBLIC"]]
    assert sorted(names) == sorted(xctrs_tf.__all__)


def test_linked_files_outside_docs_are_on_the_site():
    lists = constants_of_the_site()
    patterns = lists["LINKED"] + lists["ROOT_PAGES"]
    on_site = {ROOT / "README.md", *(path for each in patterns for path in ROOT.glob(each))}
    pages = {*PAGES, *(path for path in on_site if path.suffix == ".md")}
    links = {
        (page, (page.parent / target).resolve())
        for page in pages
        for target in LINK.findall(page.read_text(encoding="utf-8"))
    }
    outside = {(page, file) for page, file in links if not file.is_relative_to(ROOT / "docs")}
    assert len(outside) > 20
    assert {(page.name, file.name) for page, file in outside if file not in on_site} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_and_their_names_exist(page):
    missing = []
    for dotted in MODULE.findall(page.read_text(encoding="utf-8")):
        parts = dotted.split(".")
        path = ROOT.joinpath(*parts)
        if path.is_dir() or path.with_suffix(".py").is_file():
            continue
        module = ROOT.joinpath(*parts[:-1])
        files = [module / "__init__.py", module.with_suffix(".py")]
        sources = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
        if not any(re.search(rf"\b{parts[-1]}\b", source) for source in sources):
            missing.append(dotted)
    assert not missing


@pytest.mark.parametrize("name", ["README.md", "docs/results.md", "docs/results_films.md"])
def test_figures_are_those_of_the_committed_results(name):
    tables = (ROOT / "experiments" / "results").rglob("*.md")
    # As whole figures: 4.11 is no part of 74.11.
    committed = {f for path in tables for f in FIGURE.findall(path.read_text(encoding="utf-8"))}
    figures = set(FIGURE.findall((ROOT / name).read_text(encoding="utf-8")))
    assert figures
    assert figures - committed == set()


def test_lines_of_six_models_are_those_of_the_committed_comparison():
    page = (ROOT / "docs" / "results_films.md").read_text(encoding="utf-8").replace("**", "")
    tables = (ROOT / "experiments" / "results" / "films64").glob("*/*.md")
    committed = {f for path in tables for f in SIX_FIGURES.findall(path.read_text("utf-8"))}
    found = set(SIX_FIGURES.findall(page))
    assert len(found) > 20
    assert found - committed == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_films_are_read_as_the_model_was_trained(page):
    """read_film has a default, which is wrong for a model of other films."""
    calls = re.findall(r"\bread_film\(.+", page.read_text(encoding="utf-8"))
    assert all("film_normalization=" in call for call in calls), calls


def test_every_page_is_on_the_site():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[2:] if f": {page.name}" not in navigation] == []
