"""Equal weights give equal outputs on JAX, for every network, in one process."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.models.compared.narrow import NAMES, as_dict, inputs_of, shared
from xctrs_tf.models import XCTRSNet

# One file starts JAX once; compiling takes nearly all of the time.
_ON_JAX = """
import sys
import keras
import numpy as np
from tests.models.compared.narrow import NAMES, as_dict, inputs_of, narrow
from xctrs_tf.models import XCTRSNet

assert keras.backend.backend() == "jax"
folder = sys.argv[1]
for name in ("xctrsnet", *NAMES):
    whole = name == "xctrsnet"
    model = XCTRSNet(32, width=0.25) if whole else narrow(name)
    model.load_weights(f"{folder}/{name}.weights.h5")
    # predict compiles the whole network at once; op by op would take minutes.
    outputs = model.predict_on_batch(inputs_of("sit" if whole else name, batch=1))
    np.savez(f"{folder}/{name}.npz", **as_dict(outputs))
"""


@pytest.mark.slow
def test_equal_weights_give_equal_outputs_on_jax(tmp_path):
    pytest.importorskip("jax")
    models = {"xctrsnet": XCTRSNet(32, width=0.25), **{name: shared(name) for name in NAMES}}
    for name, model in models.items():
        model.save_weights(tmp_path / f"{name}.weights.h5")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    subprocess.run([sys.executable, "-c", _ON_JAX, str(tmp_path)], check=True, env=environment)
    for name, model in models.items():
        # SIT's inputs are the two films that X-CTRSNet takes.
        inputs = inputs_of("sit" if name == "xctrsnet" else name, batch=1)
        expected = as_dict(model(inputs))
        with np.load(tmp_path / f"{name}.npz") as actual:
            assert set(actual) == set(expected)
            for key, value in expected.items():
                np.testing.assert_allclose(actual[key], value, rtol=1e-3, atol=1e-4, err_msg=name)
