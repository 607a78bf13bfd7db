"""Time and memory of the networks: inference, a training step, and a large matrix product."""

import dataclasses
import resource
import time

import numpy as np

from xctrs_tf.geometry import VIEWS

# Edge of the matrices whose product measures the peak rate of the machine.
_MATRIX = 4096


@dataclasses.dataclass(frozen=True)
class Setting:
    """Settings of a measurement.

    Attributes:
        config: `TrainingConfig`: networks, size, width, precision, batch size.
        repeats: measurements of each time.
        xla: compile the inference with XLA; JAX always does.
    """

    config: object
    repeats: int
    xla: bool = False


def matrix_rate(setting):
    """Return GFLOP/s of a large matrix product in the precision of the setting, by repeat."""
    import keras
    from keras import ops

    dtype = keras.dtype_policies.get(setting.config.precision).compute_dtype
    x = ops.ones((_MATRIX, _MATRIX), dtype)
    seconds, flops, _ = _measured(lambda: ops.matmul(x, x), setting.repeats, 2 * _MATRIX**3)
    return [flops / each / 1e9 for each in seconds]


def inference(setting):
    """Measure the latencies of one patient.

    Args:
        setting: `Setting`.

    Returns:
        Dict from ``reconstruction``, ``segmentation`` and ``both`` to ``(seconds,
        flops, first)``: a list with one value for each repeat, the number of operations,
        and the seconds of the first call, in which the graph is made.
    """
    flops = network_flops(setting.config)
    flops["both"] = flops["reconstruction"] + flops["segmentation"]
    calls = inference_calls(setting.config, setting.xla)
    return {name: _measured(call, setting.repeats, flops[name]) for name, call in calls.items()}


def inference_calls(config, xla=False):
    """Return functions that run ``reconstruction``, ``segmentation`` and ``both``."""
    from xctrs_tf.training.run import build_networks

    networks = build_networks(config)
    size = config.size
    rng = np.random.default_rng(0)
    films = {view: rng.random((1, size, size, 1), np.float32) for view in VIEWS}
    ct = rng.random((1, size, size, size, 1), np.float32)
    reconstruct, segment = networks["reconstruction"], networks["segmentation"]
    return {
        "reconstruction": _compiled([reconstruct], films, xla),
        "segmentation": _compiled([segment], ct, xla),
        "both": _compiled([reconstruct, segment], films, xla),
    }


def training(setting):
    """Measure a training step with all loss terms, and one without the VGG loss.

    Args:
        setting: `Setting`.

    Returns:
        Dict from name to ``(seconds, flops, first)``, as `inference`; the operations are
        those of the networks alone, with two segmentations.
    """
    from xctrs_tf.models.complexity import TRAINING_PASSES

    flops = network_flops(setting.config)
    of_patient = flops["reconstruction"] + 2 * flops["segmentation"]
    total = TRAINING_PASSES * setting.config.batch_size * of_patient
    without_vgg = dataclasses.replace(setting.config, vgg_weight=0.0)
    return {
        "step": _measured(step_call(setting.config), setting.repeats, total),
        "step without VGG": _measured(step_call(without_vgg), setting.repeats, total),
    }


def network_flops(config):
    """Return the number of floating-point operations for one patient, by network.

    Without the outputs that only the published objectives need.
    """
    from xctrs_tf.models.complexity import network_costs

    names = {"reconstruction": config.reconstruction, "segmentation": config.segmentation}
    return {
        task: sum(
            cost.flops
            for cost in network_costs(name, config.size, config.width, training_heads=False)
        )
        for task, name in names.items()
    }


def peak_memory_bytes():
    """Return ``(bytes, name)``: peak memory of the accelerator, or of this process without one."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        statistics = jax.local_devices()[0].memory_stats()
        if statistics:
            return statistics["peak_bytes_in_use"], "device memory"
    else:
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            return tf.config.experimental.get_memory_info("GPU:0")["peak"], "device memory"
    # ru_maxrss is in KiB on Linux.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "resident memory"


def step_call(config):
    """Return a function that makes one training step on random patients."""
    from xctrs_tf.data.stream.sample_stream import vgg_planes
    from xctrs_tf.training.objective import make_objective
    from xctrs_tf.training.run import build_networks, make_engine
    from xctrs_tf.training.step.optimizer import make_optimizer

    size, batch = config.size, config.batch_size
    rng = np.random.default_rng(0)
    cube = (batch, size, size, size)
    arrays = {view: rng.random((batch, size, size, 1), np.float32) for view in VIEWS}
    arrays["ct"] = rng.random((*cube, 1), np.float32)
    arrays["segmentation"] = rng.integers(0, 8, cube, np.int32)
    if config.drawn_vgg_planes:
        arrays["vgg_planes"] = vgg_planes(size, config.drawn_vgg_planes, seed=0, step=0)
    engine = make_engine(config)
    with engine.scope():
        trainer = engine.make_trainer(
            build_networks(config),
            make_objective(config),
            lambda: make_optimizer(config),
            config.accumulation,
            config.remat,
        )
    return lambda: trainer.train_step(arrays, np.int32(0))["loss"]


def _compiled(networks, inputs, xla):
    """Return a function that runs networks one after another, compiled as one graph."""
    import keras

    if keras.backend.backend() != "jax":
        import tensorflow as tf

        def run(x):
            for network in networks:
                x = network(x, training=False)
            return x

        graph = tf.function(run, jit_compile=xla)
        return lambda: graph(inputs)
    import jax

    # Weights are arguments: as constants of the graph they would take minutes to compile.
    weights = [
        tuple(
            [v.value for v in owned] for owned in (n.trainable_variables, n.non_trainable_variables)
        )
        for n in networks
    ]

    @jax.jit
    def run_with(weights, x):
        for network, values in zip(networks, weights, strict=True):
            x, _ = network.stateless_call(*values, x, training=False)
        return x

    return lambda: run_with(weights, inputs)


def _measured(run, repeats, flops):
    """Return ``(seconds, flops, first)`` of a function of so many operations.

    The times, until the result is computed, are without those of two calls to warm up.
    """
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        # Calls return before the result is computed.
        wait(run())
        times.append(time.perf_counter() - began)
    return times[2:], flops, times[0]


def wait(result):
    """Return once a result has been computed."""
    if hasattr(result, "block_until_ready"):
        result.block_until_ready()
    else:
        np.asarray(result).ravel()[:1]
