"""Docstrings agree with the code: arguments, first words, examples."""

import ast
import doctest
import importlib
import inspect
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FILES = sorted(
    path.relative_to(ROOT)
    for folder in ("xctrs_tf", "experiments")
    for path in (ROOT / folder).rglob("*.py")
)
STRICT = ("layers", "models", "losses", "metrics")
FIRST_WORDS = ("What", "Whether", "How", "Where", "Who", "Nobody", "Said")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def definitions(path):
    """Yield public functions, classes and methods of a file as (name, node, owner)."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
            yield node.name, node, None
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                        yield f"{node.name}.{method.name}", method, node


def parameters(function, owner):
    """Return the parameter names that the docstring has to explain."""
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    names += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    names += [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    is_static = any(getattr(d, "id", "") == "staticmethod" for d in function.decorator_list)
    return names if owner is None or is_static else names[1:]


def documented(docstring):
    """Return the names in the ``Args:`` section; None without one."""
    section = re.search(r"^Args:\n((?:    .*\n|\n)+)", inspect.cleandoc(docstring) + "\n", re.M)
    return section and re.findall(r"^    (\*{0,2}\w+):", section.group(1), re.M)


@pytest.mark.parametrize("package", STRICT)
def test_every_parameter_is_documented_in_order(package):
    wrong, count = [], 0
    for path in (path for path in FILES if path.parts[1] == package):
        for name, node, owner in definitions(path):
            docstring = ast.get_docstring(node) or ""
            if isinstance(node, ast.ClassDef):
                init = next((n for n in node.body if getattr(n, "name", "") == "__init__"), None)
                expected = parameters(init, node) if init else []
                found = documented(docstring)
                # A class without its own __init__ may explain inherited arguments.
                agrees = found == expected or (init is None) or (not expected and not found)
            else:
                expected = parameters(node, owner)
                agrees = (documented(docstring) or []) == expected
            count += 1
            if not agrees:
                wrong.append(f"{path}:{node.lineno} {name}: {documented(docstring)} != {expected}")
    assert count > 5
    assert wrong == []


def test_args_sections_name_only_parameters_in_the_whole_package():
    wrong = []
    for path in FILES:
        for name, node, owner in definitions(path):
            if isinstance(node, ast.ClassDef):
                continue
            unknown = set(documented(ast.get_docstring(node) or "") or ()) - set(
                parameters(node, owner)
            )
            if unknown:
                wrong.append(f"{path}:{node.lineno} {name}: {sorted(unknown)}")
    assert wrong == []


def test_docstrings_begin_with_an_imperative_or_a_noun():
    wrong = []
    for path in FILES:
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, *DEFINITIONS)):
                first = (ast.get_docstring(node) or " ").split(maxsplit=1)[:1]
                if first and first[0].strip("\"'.,:") in FIRST_WORDS:
                    wrong.append(f"{path}:{getattr(node, 'lineno', 1)} {ast.get_docstring(node)}")
    assert wrong == []


@pytest.mark.parametrize(
    "module",
    [f"xctrs_tf.models.{name}" for name in ("spadrnet", "mulsisnet", "xctrsnet")],
)
def test_examples_run_as_printed(module):
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 2
    assert results.failed == 0


def test_references_to_the_paper_have_one_form():
    lines = [
        f"{path}: {line.strip()}"
        for path in FILES
        for line in (ROOT / path).read_text(encoding="utf-8").splitlines()
        if line.strip().startswith("Ge et al. (2022)")
    ]
    form = re.compile(
        r"Ge et al\. \(2022\), (Eq\. \d+(, \d+)*|Sect\. \d(\.\d)*(, \d(\.\d)*)*|"
        r"Fig\. \d(, \d)*|Table \d(, \d)*)\.$"
    )
    assert [line for line in lines if not form.search(line)] == []
    assert len(lines) > 20
