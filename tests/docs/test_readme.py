"""The commands of all pages: programs, flags, console commands."""

import importlib
import pathlib
import re
import shlex

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "experiments" / "results").rglob("README.md"))
COMMAND = re.compile(r"python -m (?P<program>experiments[.\w]*)(?P<rest>[^`\n]*)")
# Formats are spelled xctrs-report/1, the package xctrs-tf[...].
CONSOLE = re.compile(r"\bxctrs-[a-z-]+\b(?![/\[])")


def text_of(page):
    return page.read_text(encoding="utf-8")


def commands(text):
    """Return (program, flags) of each command, in blocks and in running text."""
    text = re.sub(r"\\\n\s*", " ", text)  # continued lines
    text = re.sub(r"(`[^`\n]*)\n([^`\n]*`)", r"\1 \2", text)  # commands across two lines
    for found in COMMAND.finditer(text):
        rest = re.split(r"\s#|[;|&]", found["rest"])[0]
        words = rest.split() if rest.count("'") % 2 or rest.count('"') % 2 else shlex.split(rest)
        flags = [word[2:].split("=")[0] for word in words if word.startswith("--")]
        yield found["program"], flags


def all_flags():
    """Return a dict from program to the flags that the pages use."""
    used = {}
    for page in PAGES:
        for program, flags in commands(text_of(page)):
            used.setdefault(program, set()).update(flags)
    return used


@pytest.mark.parametrize(("program", "flags"), sorted(all_flags().items()))
def test_programs_and_flags_of_the_pages_exist(program, flags, capsys):
    folder = ROOT.joinpath(*program.split("."))
    module = importlib.import_module(f"{program}.__main__" if folder.is_dir() else program)
    assert module.main(["--help"]) == 0
    known = set(re.findall(r"^\s*--(?:\[no\])?(\w+)", capsys.readouterr().out, re.M)) | {"help"}
    assert {
        flag for flag in flags if flag not in known and flag.removeprefix("no") not in known
    } == set()


def test_console_commands_of_the_pages_exist():
    project = text_of(ROOT / "pyproject.toml")
    named = {name for page in PAGES for name in CONSOLE.findall(text_of(page))}
    assert named
    missing = {name for name in named if not re.search(rf"^{name} = ", project, re.M)}
    assert not missing
