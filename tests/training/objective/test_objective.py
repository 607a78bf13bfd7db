"""Terms of Eq. 1 and rows of Table 1."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from experiments.common.presets import preset_config
from tests.training.toys import CONFIG, toy_batch, toy_networks
from xctrs_tf.losses import dice_loss, one_hot
from xctrs_tf.training.objective import make_objective

SEED = tf.constant(0)


def _run(config, batch):
    networks = toy_networks(config)
    objective = make_objective(config)
    return networks, objective(networks, batch, SEED, training=True)


@pytest.mark.parametrize(
    ("row", "terms"),
    [
        ("table1-spadrnet", {"mae"}),
        ("table1-vgg", {"mae", "vgg"}),
        ("table1-mulsisnet", {"mae", "vgg", "dice"}),
        ("table1-xctrsnet", {"mae", "vgg", "dice", "rsc_segmentation", "rsc_divergence"}),
    ],
)
def test_each_row_of_table_1_has_its_terms(row, terms):
    config = preset_config(
        row, size=32, vgg_weights="random", vgg_layer="block1_conv1", vgg_slices=1
    )
    networks, (_, computed, _) = _run(config, toy_batch(vgg_slices=1))
    assert computed.keys() == terms
    assert ("segmentation" in networks) == ("dice" in terms)


def test_loss_is_the_weighted_sum_of_the_terms():
    weights = {"mae": 2.0, "dice": 3.0, "rsc": 5.0, "cross_entropy": 7.0}
    config = dataclasses.replace(CONFIG, **{f"{k}_weight": v for k, v in weights.items()})
    _, (loss, terms, _) = _run(config, toy_batch())
    terms = {name: float(value) for name, value in terms.items()}
    expected = (
        2.0 * terms["mae"]
        + 3.0 * terms["dice"]
        + 5.0 * (terms["rsc_segmentation"] + terms["rsc_divergence"])
        + 7.0 * terms["cross_entropy"]
    )
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_terms_follow_equation_16():
    """Compute Eq. 16 by separate calls; the objective makes one stacked call."""
    batch = toy_batch()
    networks, (_, terms, outputs) = _run(CONFIG, batch)
    y_true = one_hot(batch["segmentation"], 8)
    of_ct = networks["segmentation"](batch["ct"])
    of_reconstruction = networks["segmentation"](outputs["ct"])
    np.testing.assert_allclose(outputs["segmentation"], of_reconstruction, atol=1e-5)
    expected = {
        "mae": np.mean(np.abs(outputs["ct"] - batch["ct"])),
        "dice": dice_loss(y_true, of_reconstruction),
        "rsc_segmentation": dice_loss(y_true, of_ct),
        "rsc_divergence": dice_loss(of_ct, of_reconstruction),
    }
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(float(value), rel=1e-4), name
    # Both differ here, so that an exchange would be found.
    assert abs(float(terms["dice"]) - float(terms["rsc_segmentation"])) > 1e-4


def test_a_stopped_target_gets_no_gradient_from_the_divergence():
    gradients = []
    for stop in (False, True):
        config = dataclasses.replace(CONFIG, dice_weight=0.0, stop_gradient_on_target=stop)
        networks = toy_networks(config)
        objective = make_objective(config)
        with tf.GradientTape() as tape:
            loss, _, _ = objective(networks, toy_batch(), SEED, True)
        kernel = networks["segmentation"].trainable_variables[0]
        gradients.append(tape.gradient(loss, kernel).numpy())
    assert not np.allclose(*gradients)


def test_a_fading_cross_entropy_reaches_zero_at_its_step():
    config = dataclasses.replace(
        CONFIG, cross_entropy_weight=3.0, cross_entropy_fade=0.5, steps=40, vgg_weight=0.0
    )
    networks, objective, batch = toy_networks(config), make_objective(config), toy_batch()

    def share(step, training=True):
        """Return the fraction of its weight with which cross-entropy counts."""
        loss, terms, _ = objective(networks, batch, tf.constant(step), training)
        others = sum(float(terms[name]) * weights[name] for name in terms if name in weights)
        return (float(loss) - others) / (3.0 * float(terms["cross_entropy"]))

    weights = {"mae": config.mae_weight, "dice": config.dice_weight}
    weights |= dict.fromkeys(("rsc_segmentation", "rsc_divergence"), config.rsc_weight)
    shares = [share(step) for step in (0, 5, 19, 20, 40)]
    assert shares == pytest.approx([1.0, 0.75, 0.05, 0.0, 0.0], abs=1e-4)
    # The validation loss does not fade, so that validations can be compared.
    assert share(0, training=False) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("frozen", ["reconstruction", "segmentation"])
def test_a_frozen_network_has_no_dropout(frozen):
    """Put dropout behind the outputs of both networks; only the one that learns drops units."""
    networks, batch = toy_networks(CONFIG), toy_batch()
    for name, network in networks.items():
        dropped = keras.layers.Dropout(0.5)(network.output)
        networks[name] = keras.Model(network.input, dropped, name=network.name)
        networks[name].trainable = name != frozen
    config = dataclasses.replace(CONFIG, freeze=frozen)
    _, _, outputs = make_objective(config)(networks, batch, SEED, training=True)
    ct = outputs["ct"]
    learned_ct = networks["reconstruction"]({view: batch[view] for view in ("ap", "la")})
    learned = {"reconstruction": learned_ct, "segmentation": networks["segmentation"](ct)}
    found = {"reconstruction": ct, "segmentation": outputs["segmentation"]}
    for name, expected in learned.items():
        assert np.allclose(found[name], expected, atol=1e-5) == (name == frozen), name
