"""Calls of test functions with Keras on JAX."""

import json
import os
import subprocess
import sys


def on_jax(module, name):
    """Call the function ``name`` of a module in a process with Keras on JAX.

    Returns:
        Its result, passed back as JSON.
    """
    program = f"import json; from {module} import {name}; print(json.dumps({name}()))"
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        encoding="utf-8",
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])
