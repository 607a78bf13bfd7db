"""Training of the compared networks by their published objectives."""

import dataclasses
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.compared.narrow import FACTORIES, narrow
from tests.training.toys import CONFIG, toy_batch, toy_networks
from xctrs_tf.errors import UserError
from xctrs_tf.losses import PUBLISHED_OBJECTIVES, dice_loss, one_hot
from xctrs_tf.models.catalogue import NETWORKS, RECONSTRUCTION_NETWORKS, SEGMENTATION_NETWORKS
from xctrs_tf.training import run as runs
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.objective import make_objective
from xctrs_tf.training.objective.reconstruction_terms import PUBLISHED_WEIGHTS
from xctrs_tf.training.step.optimizer import make_optimizer
from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer

SEED = tf.constant(0)
RECONSTRUCT_ALONE = {
    "dice_weight": 0.0,
    "rsc_weight": 0.0,
    "reconstruction_objective": "published",
}


def _network(name):
    arguments = {"num_classes": 8} if name in SEGMENTATION_NETWORKS else {}
    network = narrow(name, **arguments)
    # Seeded, so that no weight is unchanged by chance.
    keras.utils.set_random_seed(1)
    return network


def _trainer(networks, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    return Trainer(networks, make_objective(config), lambda: make_optimizer(config))


def _weights(network):
    return [variable.numpy() for variable in network.trainable_variables]


def _unmoved(network, before):
    """Paths of the variables that are as before, without biases that have no effect."""
    cancelled = {
        layer.bias.path
        for layer in network._flatten_layers()
        if not getattr(layer, "bias_gradient", True) and layer.use_bias
    }
    pairs = zip(network.trainable_variables, before, strict=True)
    return [
        variable.path
        for variable, old in pairs
        if np.array_equal(variable, old) and variable.path not in cancelled
    ]


def test_flags_know_every_network_and_objective():
    published = {name for name, network in NETWORKS.items() if network.published_objective}
    assert published & set(RECONSTRUCTION_NETWORKS) == set(PUBLISHED_WEIGHTS)
    assert published & set(SEGMENTATION_NETWORKS) == set(PUBLISHED_OBJECTIVES)


@pytest.fixture
def eager():
    """Run steps without a graph: building the graph takes longer than one step."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("name", ["sit", "psr"])
def test_squared_error_is_in_the_place_of_mae(name):
    trainer = _trainer(
        {"reconstruction": _network(name)}, reconstruction=name, **RECONSTRUCT_ALONE, mae_weight=3.0
    )
    batch = toy_batch()
    before = _weights(trainer.networks["reconstruction"])
    scalars = trainer.train_step(batch, SEED)
    assert scalars.keys() == {"loss", "mae", "mse"}
    assert float(scalars["loss"]) == pytest.approx(3.0 * float(scalars["mse"]), rel=1e-5)
    assert _unmoved(trainer.networks["reconstruction"], before) == []


@pytest.fixture(scope="module")
def gan_step():
    """Run one step of X2CT-GAN; return networks, weights before and after, and scalars."""
    keras.utils.set_random_seed(0)
    networks = {
        "reconstruction": narrow("x2ctgan", training_heads=False),
        "discriminator": narrow("x2ct_discriminator"),
    }
    trainer = _trainer(networks, reconstruction="x2ctgan", **RECONSTRUCT_ALONE)
    before = {name: _weights(network) for name, network in networks.items()}
    scalars = trainer.train_step(toy_batch(), SEED)
    scalars = {name: float(value) for name, value in scalars.items()}
    return trainer, before, scalars


def test_generator_and_discriminator_learn_in_one_traced_step(gan_step):
    trainer, before, _ = gan_step
    trainer.train_step(toy_batch(1), tf.constant(1))
    assert trainer.num_traces == 1
    for name, network in trainer.networks.items():
        assert _unmoved(network, before[name]) == [], name


def test_generator_weighs_its_terms_as_published(gan_step):
    _, _, scalars = gan_step
    expected = 0.1 * scalars["adversarial"] + 10 * (scalars["mse"] + scalars["projection"])
    assert scalars["loss"] == pytest.approx(expected, rel=1e-5)
    # Scores of an untrained discriminator lie around 0: (0 - 1)^2 for the generator.
    assert 0.3 < scalars["adversarial"] < 3.0
    assert scalars["discriminator"] > 0.0


def test_validation_leaves_the_moving_adversarial_term_out(gan_step):
    trainer, _, _ = gan_step
    scalars, _, _ = trainer.validation_step(toy_batch())
    assert scalars.keys() == {"loss", "mae", "mse", "projection"}


def _step_with_a_slow_discriminator(seconds):
    """Return the scalars of a first step with a slow update of the discriminator."""
    networks = {"reconstruction": toy_networks()["reconstruction"]}
    # After the toys, which set the seed.
    networks["discriminator"] = discriminator = narrow("x2ct_discriminator")
    trainer = _trainer(networks, reconstruction="x2ctgan", **RECONSTRUCT_ALONE)

    def slow(inputs, training):
        waited = tf.py_function(lambda: time.sleep(seconds), [], [])
        with tf.control_dependencies([waited]):
            return discriminator(inputs, training=training)

    # The first call is for the generator's loss, the others are for its own.
    calls = iter([slow])
    trainer._learning = {
        **networks,
        "discriminator": lambda x, training: next(calls, discriminator)(x, training=training),
    }
    return {name: float(value) for name, value in trainer.train_step(toy_batch(), SEED).items()}


def test_generator_waits_for_the_update_of_the_discriminator():
    expected = _step_with_a_slow_discriminator(seconds=0.0)
    assert _step_with_a_slow_discriminator(seconds=0.5) == pytest.approx(expected, rel=1e-5)


def test_discriminator_loss_has_no_gradient_in_the_generator():
    networks = {
        "reconstruction": narrow("x2ctgan", training_heads=False),
        "discriminator": narrow("x2ct_discriminator"),
    }
    config = dataclasses.replace(CONFIG, reconstruction="x2ctgan", **RECONSTRUCT_ALONE)
    batch = {name: tf.constant(value) for name, value in toy_batch().items()}
    with tf.GradientTape() as tape:
        ct = networks["reconstruction"]({"ap": batch["ap"], "la": batch["la"]})
        loss = make_objective(config).of_discriminator(networks["discriminator"], batch, ct)
    generator = networks["reconstruction"].trainable_variables
    discriminator = networks["discriminator"].trainable_variables
    gradients = tape.gradient(loss, generator + discriminator)
    assert all(gradient is None for gradient in gradients[: len(generator)])
    assert all(gradient is not None for gradient in gradients[len(generator) :])


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("name", list(PUBLISHED_OBJECTIVES))
def test_segmentation_learns_by_its_own_objective(name):
    trainer = _trainer(
        {"segmentation": _network(name)},
        reconstruction="none",
        segmentation=name,
        segmentation_objective="published",
        dice_weight=2.0,
        rsc_weight=0.0,
    )
    before = _weights(trainer.networks["segmentation"])
    # The gates of the attention in CS2-Net are 0 in the first step.
    for _ in range(2):
        scalars = trainer.train_step(toy_batch(), SEED)
    assert scalars.keys() == {"loss", "dice", "published"}
    assert float(scalars["loss"]) == pytest.approx(2.0 * float(scalars["published"]), rel=1e-5)
    assert _unmoved(trainer.networks["segmentation"], before) == []


@pytest.mark.parametrize("name", ["dsn", "cs2net"])
def test_batch_normalisation_sees_reconstruction_and_ct_apart(name):
    """Compare with one stacked call, which would mix the statistics of both."""
    batch = toy_batch()
    batch["reconstruction"] = 0.2 * toy_batch(1)["ct"]
    network = _network(name)
    config = dataclasses.replace(CONFIG, segmentation=name, reconstruction_run="RUN")
    _, terms, _ = make_objective(config)({"segmentation": network}, batch, SEED, training=True)
    # The call changed the moving averages; batch statistics do not depend on them.
    of_ct = network(batch["ct"], training=True)
    of_ct = of_ct["segmentation"] if isinstance(of_ct, dict) else of_ct
    expected = dice_loss(one_hot(batch["segmentation"], 8), of_ct)
    assert float(terms["rsc_segmentation"]) == pytest.approx(float(expected), rel=1e-4)


def test_own_objectives_need_the_training_heads():
    for name in SEGMENTATION_NETWORKS:
        config = TrainingConfig(
            size=32, width=0.125, segmentation=name, segmentation_objective="published"
        )
        if name == "mulsisnet":
            continue
        network = runs.build_networks(config)["segmentation"]
        assert isinstance(network.output, dict) == NETWORKS[name].training_heads, name
    networks = runs.build_networks(
        TrainingConfig(size=32, width=1 / 16, reconstruction="x2ctgan", **RECONSTRUCT_ALONE)
    )
    assert list(networks) == ["reconstruction", "discriminator"]
    assert networks["discriminator"].name == FACTORIES["x2ct_discriminator"](32).name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reconstruction": "vnet"}, "--reconstruction=vnet: must be one of spadrnet, sit"),
        ({"segmentation": "vnet"}, "--segmentation=vnet: must be one of mulsisnet, unet3d"),
        ({"reconstruction_objective": "published"}, "spadrnet has no other than the terms"),
        ({"segmentation_objective": "published"}, "mulsisnet has no other than the terms"),
        ({"reconstruction_run": "R", "dice_weight": 0.0, "rsc_weight": 0.0}, "nothing is left"),
        ({"reconstruction": "none"}, "--rsc_weight: compares with a reconstruction"),
        ({"reconstruction_run": "R", "augment": "mirror,noise"}, "--augment=noise: changes the"),
        *(
            (
                {"reconstruction": "none", "rsc_weight": 0.0, "augment": f"mirror,{name}:0.5"},
                f"--augment={name}: changes the films alone",
            )
            for name in ("histogram", "noise", "contrast")
        ),
        ({"beta_1": 1.0}, "--beta_1=1.0: must be from 0 to below 1"),
    ],
)
def test_impossible_trainings_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(CONFIG, data="D", **changes).check()
