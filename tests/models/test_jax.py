"""Equal weights give equal outputs on JAX, for every network, in one process."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.models.compared.narrow import NAMES, as_dict, inputs_of, narrow, shared
from xctrs_tf.models import XCTRSNet

# It enlarges the rounding of float32 in single voxels, by how much depends on the processor.
IN_FLOAT64 = ("conresnet",)

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
    keras.config.set_dtype_policy("float64" if name in sys.argv[2:] else "float32")
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
    keras.config.set_dtype_policy("float64")
    models |= {name: narrow(name) for name in IN_FLOAT64}
    for name, model in models.items():
        model.save_weights(tmp_path / f"{name}.weights.h5")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    arguments = ["-c", _ON_JAX, str(tmp_path), *IN_FLOAT64]
    subprocess.run([sys.executable, *arguments], check=True, env=environment)
    for name, model in models.items():
        # SIT's inputs are the two films that X-CTRSNet takes.
        inputs = inputs_of("sit" if name == "xctrsnet" else name, batch=1)
        expected = as_dict(model(inputs))
        with np.load(tmp_path / f"{name}.npz") as actual:
            assert set(actual) == set(expected)
            for key, value in expected.items():
                np.testing.assert_allclose(actual[key], value, rtol=1e-3, atol=1e-4, err_msg=name)
