"""Training steps whose results are compared between backends.

`python -m tests.training.jax.jax_steps CASE FOLDER` takes them on JAX, from the weights
in FOLDER.
"""

import dataclasses
import json
import pathlib
import sys

if __name__ == "__main__":
    # As where there is none.
    sys.modules["tensorflow"] = None

import keras
import numpy as np

from tests.models.compared.narrow import narrow
from tests.models.shallow import MulSISNet, SpaDRNet
from tests.training.toys import CONFIG, TOY_VGG, toy_batch, toy_networks
from xctrs_tf.training.objective import make_objective
from xctrs_tf.training.step.optimizer import make_optimizer

STEPS = 3
# Adam's first steps turn the rounding of both backends into differences that grow with
# every step; in the deep networks they pass the tolerance after three.
STEPS_OF_DEEP_NETWORKS = 2
_GAN = {
    "reconstruction": "x2ctgan",
    "reconstruction_objective": "published",
    "dice_weight": 0.0,
    "rsc_weight": 0.0,
}
_ALONE = {"reconstruction": "none", "segmentation": "cs2net", "rsc_weight": 0.0}
# Changes of the configuration, arguments of the trainer.
CASES = {
    "toy": (
        {"clip_norm": 0.5, "schedule": "cosine", "ema_momentum": 0.5, **TOY_VGG},
        {"accumulation": 2, "remat": True},
    ),
    # Without remat, which would double the time to compile so deep networks.
    "xctrsnet": ({}, {}),
    "batch normalisation": ({**_ALONE, "segmentation_objective": "published"}, {}),
    "adversarial": (_GAN, {}),
}


def make_networks(case):
    """Return networks without dropout, whose random numbers differ between backends."""
    if case == "xctrsnet":
        return {"reconstruction": SpaDRNet(32, 0.125), "segmentation": MulSISNet(32, width=0.125)}
    if case == "batch normalisation":
        return {"segmentation": narrow("cs2net", num_classes=8)}
    if case == "adversarial":
        toy = toy_networks()["reconstruction"]
        return {"reconstruction": toy, "discriminator": narrow("x2ct_discriminator")}
    return toy_networks()


def take_steps(case, networks, trainer_class):
    """Train; return the scalars of every step and of validations with and without averages."""
    changes, arguments = CASES[case]
    config = dataclasses.replace(CONFIG, **changes)
    trainer = trainer_class(
        networks, make_objective(config), lambda: make_optimizer(config), **arguments
    )
    steps = STEPS_OF_DEEP_NETWORKS if case == "xctrsnet" else STEPS
    rows = [trainer.train_step(_batch(config, step), step) for step in range(steps)]
    with trainer.averaged_weights():
        rows.append(trainer.validation_step(_batch(config))[0])
    assert trainer.num_traces == 1
    rows.append(trainer.validation_step(_batch(config))[0])
    return [_floats(row) for row in rows]


def validation(case, networks, trainer_class):
    """Return the last row of `take_steps` for networks without training."""
    config = dataclasses.replace(CONFIG, **CASES[case][0])
    trainer = trainer_class(networks, make_objective(config), lambda: make_optimizer(config))
    return _floats(trainer.validation_step(_batch(config))[0])


def _batch(config, step=0):
    return toy_batch(step, vgg_slices=config.drawn_vgg_planes)


def _floats(row):
    return {name: float(value) for name, value in row.items()}


def main(case, folder):
    """Run the steps on JAX."""
    from xctrs_tf.training.jax.jax_trainer import JaxTrainer

    # The weights are read below; drawn here, each shape would be compiled by itself.
    keras.initializers.VarianceScaling.__call__ = lambda self, shape, dtype=None: np.zeros(
        shape, dtype or "float32"
    )
    folder = pathlib.Path(folder)
    networks = make_networks(case)
    for name, network in networks.items():
        network.load_weights(folder / f"{name}.weights.h5")
    rows = take_steps(case, networks, JaxTrainer)
    for name, network in networks.items():
        network.save_weights(folder / f"jax-{name}.weights.h5")
    (folder / "jax.json").write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
