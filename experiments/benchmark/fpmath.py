"""Largest differences of the networks' outputs from float32 where products have 16 bits.

TensorFlow reads the mode once in a process, so a second process computes in float32:
``python -m experiments.benchmark.fpmath CONFIG.json OUTPUTS.npz``.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from experiments.common import cli
from xctrs_tf.files import read_json
from xctrs_tf.geometry import VIEWS
from xctrs_tf.training.config import TrainingConfig


def differences(config):
    """Return the largest differences from the same networks without 16-bit products.

    Args:
        config: `TrainingConfig`; its ``fpmath`` is the mode of this process.

    Returns:
        Dict from ``ct``, scaled to [0, 1] and not clipped, and ``segmentation``,
        probabilities, to float.
    """
    plain = dataclasses.replace(config, fpmath="float32")
    with tempfile.TemporaryDirectory() as folder:
        settings, outputs = pathlib.Path(folder) / "config.json", pathlib.Path(folder) / "out.npz"
        settings.write_text(json.dumps(plain.to_json()), encoding="utf-8")
        subprocess.run([sys.executable, "-m", __name__, settings, outputs], check=True)
        with np.load(outputs) as expected:
            return {
                name: float(np.abs(output - expected[name]).max())
                for name, output in _outputs(config).items()
            }


def _outputs(config):
    """Return the CT and the probabilities of seeded networks for seeded films."""
    from xctrs_tf.training.run import build_networks

    networks = build_networks(config)
    rng = np.random.default_rng(0)
    films = {view: rng.random((1, *[config.size] * 2, 1), np.float32) for view in VIEWS}
    ct = networks["reconstruction"](films, training=False)
    classes = networks["segmentation"](ct, training=False)
    return {"ct": np.asarray(ct), "segmentation": np.asarray(classes)}


def write_outputs(settings, outputs):
    """Write the outputs of a configuration.

    Args:
        settings: JSON file of the fields of a `TrainingConfig`.
        outputs: npz file to write.
    """
    config = TrainingConfig(**read_json(settings))
    cli.load_tensorflow(config.fpmath)
    np.savez(outputs, **_outputs(config))


if __name__ == "__main__":
    write_outputs(*sys.argv[1:])
