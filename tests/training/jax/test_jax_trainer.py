"""Training on JAX: the same steps as on TensorFlow, and weights for both backends."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.training.jax.jax_steps import CASES, make_networks, take_steps, validation
from tests.training.toys import CONFIG, toy_dataset, toy_networks
from xctrs_tf.training import checkpoints
from xctrs_tf.training.history import read_history
from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer


class _Trainer(Trainer):
    """Trainer that takes plain integers, as the trainer for JAX does."""

    def train_step(self, batch, seed):
        return super().train_step(batch, tf.constant(seed))


# For the toy networks, whose compilation takes longer than their steps.
_COMPILE_FAST = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
}


def _on_jax(*arguments, settings=_COMPILE_FAST):
    finished = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", **settings},
        capture_output=True,
        encoding="utf-8",
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


WHOLE_RUN = """
import sys
for name in ("tensorflow", "SimpleITK", "pydicom", "skimage"):
    sys.modules[name] = None
from xctrs_tf.training.jax.compilation import keep_compilations
keep_compilations()
import collections, dataclasses, json
from jax import monitoring
events = collections.Counter()
monitoring.register_event_listener(lambda event, **_: events.update([event.split("/")[-1]]))
from experiments import evaluate
from tests.training.toys import CONFIG, toy_networks
from xctrs_tf.training import loop, run
loop.build_networks = run.build_networks = toy_networks
data, folder, steps = sys.argv[1:]
loop.train(dataclasses.replace(CONFIG, data=data, steps=int(steps)), folder)
print(json.dumps([events["cache_hits"], events["cache_misses"]]))
flags = ["--workdir", folder, "--save_predictions", "--figures=0"]
if steps == "6":
    assert evaluate.main(flags) == 0
    # It needs readers of scans.
    for name in ("SimpleITK", "pydicom", "skimage"):
        del sys.modules[name]
    from experiments.studies import robustness
    output = ["--output", f"{folder}/robustness", "--perturbations=exposure"]
    assert robustness.main(["--workdir", folder, *output]) == 0
"""


def test_a_run_without_tensorflow_trains_resumes_and_is_evaluated(tmp_path):
    data, run = toy_dataset(tmp_path / "data"), tmp_path / "run"
    settings = {**_COMPILE_FAST, "XDG_CACHE_HOME": str(tmp_path)}
    first, second = (
        json.loads(
            _on_jax("-c", WHOLE_RUN, str(data), str(run), steps, settings=settings).splitlines()[0]
        )
        for steps in ("4", "6")
    )
    # The second process compiles nothing for its training.
    assert first == [0, second[0]] and second[1] == 0 < second[0]
    rows = [row for row in read_history(run) if row["kind"] == "validation"]
    assert [row["step"] for row in rows] == [3, 4, 6]
    assert (run / "evaluation/cases.csv").exists()
    assert len(list((run / "evaluation/predictions").glob("*.npz"))) == 2
    assert (run / "robustness/robustness.csv").exists()
    networks = toy_networks(dataclasses.replace(CONFIG, seed=5))
    before = networks["segmentation"].get_weights()[0]
    checkpoints.load_weights(checkpoints.latest(run), networks)
    assert not np.array_equal(networks["segmentation"].get_weights()[0], before)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_same_losses_and_weights_as_tensorflow(case, tmp_path):
    networks = make_networks(case)
    for name, network in networks.items():
        network.save_weights(tmp_path / f"{name}.weights.h5")
    before = {name: network.get_weights() for name, network in networks.items()}
    settings = _COMPILE_FAST if case == "toy" else {}
    _on_jax("-m", "tests.training.jax.jax_steps", case, str(tmp_path), settings=settings)
    expected = take_steps(case, networks, _Trainer)
    rows = json.loads((tmp_path / "jax.json").read_text(encoding="utf-8"))
    for ours, theirs in zip(rows, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    trained = {name: network.get_weights() for name, network in networks.items()}
    for name, network in networks.items():
        network.load_weights(tmp_path / f"jax-{name}.weights.h5")
    assert validation(case, networks, _Trainer) == pytest.approx(rows[-1], rel=1e-4)
    # Of whole networks some weights get a gradient of mere rounding (a bias before a
    # normalisation), and Adam's first steps are as long there as elsewhere: only
    # what they compute can be compared.
    for name in networks if case in ("toy", "adversarial") else ():
        pairs = list(zip(networks[name].get_weights(), trained[name], before[name], strict=True))
        moved = sum(np.abs(new - old).sum() for _, new, old in pairs)
        apart = sum(np.abs(new - jax).sum() for jax, new, _ in pairs)
        assert apart < 0.02 * moved, name
