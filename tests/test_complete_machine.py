"""The optional packages and programs without which tests are skipped."""

import importlib.util
import os
import shutil

import pytest

PACKAGES = (
    *("diffdrr", "highdicom", "jax", "onnx", "onnxruntime", "ray", "skimage"),
    *("tensorflow_serving", "tf2onnx", "TPTBox"),
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def test_nothing_is_missing_for_which_tests_are_skipped():
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not any(map(shutil.which, BROWSERS)):
        missing.append("a browser")
    if missing and not os.environ.get("CI"):
        pytest.skip(f"tests are skipped, since these are not installed: {', '.join(missing)}")
    assert missing == []
