"""Calling a function of the tests where Keras runs on JAX."""

import json
import os
import subprocess
import sys


def on_jax(module, name):
    """Result of ``name()`` of a module there, through JSON."""
    program = f"import json; from {module} import {name}; print(json.dumps({name}()))"
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        encoding="utf-8",
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])
