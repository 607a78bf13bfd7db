"""Rules of docs/architecture.md for folders and modules."""

import ast
import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
MODULES = [path for path in (ROOT / "xctrs_tf").rglob("*.py") if path.name != "__init__.py"]
# Modules and folders of xctrs_tf that may import TensorFlow itself.
TENSORFLOW = (
    *("data/stream/tf_data.py", "training/tensorflow/", "training/step/optimizer.py", "export/"),
    *("reconstruction/exported_model.py", "serving/grpc_client.py"),
)


def imported(path):
    """Yield the top-level packages that a module imports at any place."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]


def test_a_module_name_occurs_once():
    counts = collections.Counter(path.name for path in MODULES)
    assert [name for name, count in counts.items() if count > 1] == []


def test_a_file_of_tests_has_a_name_of_its_own():
    counts = collections.Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in counts.items() if count > 1] == []


def test_a_folder_has_at_most_a_dozen_modules():
    tops = ("xctrs_tf", "experiments", "tests")
    files = [path for top in tops for path in (ROOT / top).rglob("*.py")]
    counts = collections.Counter(str(path.parent.relative_to(ROOT)) for path in files)
    assert {folder: count for folder, count in counts.items() if count > 12} == {}


def test_flags_are_defined_in_the_programs_alone():
    text = {path: path.read_text(encoding="utf-8") for path in MODULES}
    assert [
        path for path, code in text.items() if re.search(r"absl(\.| import.*)flags", code)
    ] == []


def test_tensorflow_is_imported_where_it_belongs():
    users = [path for path in MODULES if "tensorflow" in imported(path)]
    found = sorted(path.relative_to(ROOT / "xctrs_tf").as_posix() for path in users)
    assert [name for name in found if not name.startswith(TENSORFLOW)] == []
    assert [each for each in TENSORFLOW if not any(n.startswith(each) for n in found)] == []
