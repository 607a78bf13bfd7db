"""SpaDRNet and MulSISNet on two replicas give the update of one device."""

import dataclasses

import numpy as np

from tests.training import processes
from tests.training.toys import CONFIG, SIZE, toy_batch

ALL_TERMS = dataclasses.replace(
    CONFIG, batch_size=2, learning_rate=1.0, vgg_weight=1e-6, vgg_weights="random", vgg_slices=1
)


def _descend(optimizer, gradient, variable, learning_rate):
    """Make the update equal to the gradient, since Adam hides its length."""
    del learning_rate
    optimizer.assign_sub(variable, gradient)


def _step(strategy_name, path):
    """Run one step with one patient per replica; write updates and scalars to a file."""
    import keras
    import tensorflow as tf

    from xctrs_tf.models import MulSISNet, SpaDRNet
    from xctrs_tf.training.objective import make_objective
    from xctrs_tf.training.step.optimizer import _FusedAdam, make_optimizer
    from xctrs_tf.training.tensorflow.distribution import make_strategy
    from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer

    # Building and optimising both graphs would take minutes.
    tf.config.run_functions_eagerly(True)
    _FusedAdam.update_step = _descend
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [logical, logical])
    strategy = make_strategy(strategy_name)
    batch = toy_batch(0, ALL_TERMS.batch_size, ALL_TERMS.vgg_slices)
    planes = batch.pop("vgg_planes")
    with strategy.scope():
        keras.utils.set_random_seed(0)
        networks = {
            "reconstruction": SpaDRNet(SIZE, 0.125),
            "segmentation": MulSISNet(SIZE, width=0.125),
        }
        trainer = Trainer(networks, make_objective(ALL_TERMS), lambda: make_optimizer(ALL_TERMS))
        before = [variable.numpy() for variable in trainer.variables]
        size = ALL_TERMS.batch_size // strategy.num_replicas_in_sync

        def part(context):
            first = context.replica_id_in_sync_group * size
            patients = {k: tf.constant(v[first : first + size]) for k, v in batch.items()}
            return {**patients, "vgg_planes": tf.constant(planes)}

        parts = strategy.experimental_distribute_values_from_function(part)
        scalars = trainer.train_step(parts, tf.constant(0))
        updates = [old - v.numpy() for v, old in zip(trainer.variables, before, strict=True)]
    np.savez(
        path,
        *updates,
        replicas=strategy.num_replicas_in_sync,
        **{name: float(value) for name, value in scalars.items()},
    )


def test_two_replicas_update_the_networks_like_one_device(tmp_path):
    results = {}
    for name in ("single", "mirrored"):
        path = tmp_path / f"{name}.npz"
        assert processes.status(processes.start(_step, name, path)) == processes.FINISHED
        results[name] = dict(np.load(path))
    assert results["single"].pop("replicas") == 1
    assert results["mirrored"].pop("replicas") == 2
    terms = {"loss", "mae", "vgg", "dice", "rsc_segmentation", "rsc_divergence"}
    assert terms < results["single"].keys()
    updates = [value for name, value in results["single"].items() if name not in terms]
    largest = max(np.abs(value).max() for value in updates)
    for name, value in results["single"].items():
        atol = 0 if name in terms else 1e-5 * largest
        np.testing.assert_allclose(results["mirrored"][name], value, rtol=1e-4, atol=atol)
