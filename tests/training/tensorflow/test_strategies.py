"""Several replicas: the update of one device, each patient once, the loss of a worker."""

import concurrent.futures
import dataclasses
import itertools
import json
import os
import socket
import threading
import types

import numpy as np
import pytest

from tests.data.stream.streams import training_pipeline
from tests.training import processes
from tests.training.toys import CONFIG, toy_batch, toy_dataset, toy_networks, toy_weights
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.mixture import one_part
from xctrs_tf.data.stream.sample_stream import batch_ids
from xctrs_tf.errors import UserError
from xctrs_tf.training import checkpoints
from xctrs_tf.training.interruption import Interrupted
from xctrs_tf.training.tensorflow.distribution import Workers, make_strategy, require_equal_parts
from xctrs_tf.training.tensorflow.tensorflow_engine import TensorFlowEngine

PAIR = dataclasses.replace(
    CONFIG, batch_size=4, clip_norm=0.05, ema_momentum=0.5, learning_rate=0.01
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return toy_dataset(tmp_path_factory.mktemp("toy") / "data", num_patients=12)


def _steps(strategy_name, config, path):
    """Run three steps on batches that are divided among replicas; write weights to a file."""
    import keras
    import tensorflow as tf

    from xctrs_tf.training.objective import make_objective
    from xctrs_tf.training.step.optimizer import make_optimizer
    from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer

    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [logical, logical])
    strategy = make_strategy(strategy_name)
    keras.config.set_dtype_policy(config.precision)
    with strategy.scope():
        trainer = Trainer(
            toy_networks(config),
            make_objective(config),
            lambda: make_optimizer(config),
            config.accumulation,
            config.remat,
        )
        scalars = {}
        for step in range(3):
            batch = toy_batch(step, config.batch_size)

            def part(context, batch=batch):
                size = config.batch_size // strategy.num_replicas_in_sync
                first = context.replica_id_in_sync_group * size
                return {k: tf.constant(v[first : first + size]) for k, v in batch.items()}

            parts = strategy.experimental_distribute_values_from_function(part)
            scalars = trainer.train_step(parts, tf.constant(step))
        with trainer.averaged_weights():
            averages = [v.numpy() for v in trainer.variables]
        values = [v.numpy() for v in trainer.variables]
        copies = [v.value.values for v in trainer.variables] if strategy_name == "mirrored" else []
    assert all(np.array_equal(one, other) for one, other in copies)
    np.savez(
        path,
        *values,
        *averages,
        traces=trainer.num_traces,
        replicas=strategy.num_replicas_in_sync,
        **{name: float(value) for name, value in scalars.items()},
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"accumulation": 2, "remat": True},
        {"precision": "mixed_float16"},
    ],
)
def test_two_replicas_update_like_one_device_with_the_joined_batch(tmp_path, changes):
    config = dataclasses.replace(PAIR, **changes)
    results = {}
    for name in ("single", "mirrored"):
        path = tmp_path / f"{name}.npz"
        assert processes.status(processes.start(_steps, name, config, path)) == processes.FINISHED
        results[name] = dict(np.load(path))
    assert results["single"].pop("replicas") == 1
    assert results["mirrored"].pop("replicas") == 2
    assert results["single"].pop("traces") == results["mirrored"].pop("traces") == 1
    atol = 1e-3 if "precision" in changes else 1e-5
    for name, value in results["single"].items():
        np.testing.assert_allclose(results["mirrored"][name], value, rtol=1e-3, atol=atol)


@pytest.mark.parametrize(("workers", "replicas"), [(1, 2), (2, 2), (2, 4)])
def test_the_workers_parts_make_up_the_batches_of_one_device(data, workers, replicas):
    dataset = open_dataset(data)
    ids, size, start = dataset.ids, 4, 2
    whole = training_pipeline(dataset, ids, size, seed=3, start_step=start)
    streams = [
        iter(
            training_pipeline(
                dataset,
                ids,
                size,
                seed=3,
                start_step=start,
                replicas=replicas,
                worker=(worker, workers),
            )
        )
        for worker in range(workers)
    ]
    for step, batch in zip(range(start, start + 4), itertools.islice(whole, 4), strict=True):
        parts = [
            next(stream)["ap"].numpy() for stream in streams for _ in range(replicas // workers)
        ]
        assert all(len(part) == size // replicas for part in parts)
        np.testing.assert_array_equal(np.concatenate(parts), batch["ap"])
        assert len(set(batch_ids(one_part(None, ids), size, 3, step))) == size


def test_a_batch_that_does_not_divide_is_refused():
    config = dataclasses.replace(CONFIG, batch_size=3, accumulation=2)
    with pytest.raises(UserError, match=r"--batch_size=3: must be a multiple of 2, the 1 replicas"):
        require_equal_parts(config, make_strategy("single"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "TF_CONFIG lacks 'TF_CONFIG'"),
        ("{", "TF_CONFIG is not JSON"),
        ('{"cluster": {}}', "TF_CONFIG lacks 'task'"),
    ],
)
def test_without_a_cluster_it_says_what_is_missing(monkeypatch, value, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if value is not None:
        monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(UserError, match=f"--strategy=multi_worker: {message}"):
        make_strategy("multi_worker")


def _ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _worker(index, addresses, config, run, kill_step):
    task = {"type": "worker", "index": index}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})

    def before(loop):
        if kill_step is not None:
            processes.kill_at(loop, "after", kill_step)

    processes.train(config, run, before)


def _cluster(config, run, kill_step=None):
    """Run two workers, the second of which may be killed at a step; return both statuses."""
    addresses = [f"localhost:{port}" for port in _ports(2)]
    started = [
        processes.start(_worker, index, addresses, config, run, kill_step if index else None)
        for index in (0, 1)
    ]
    return [processes.status(each) for each in started]


def test_two_workers_train_and_go_on_after_one_was_killed(data, tmp_path):
    config = dataclasses.replace(PAIR, data=str(data), strategy="multi_worker", patience=5)
    run = tmp_path / "run"
    assert _cluster(config, run, kill_step=3) == [processes.STOPPED, processes.KILLED]
    assert checkpoints.latest(run).name == "step-00000002"
    assert _cluster(config, run) == [processes.FINISHED, processes.FINISHED]
    assert checkpoints.latest(run).name == "step-00000006"
    alone = tmp_path / "alone"
    single = dataclasses.replace(config, strategy="single")
    assert processes.status(processes.start(processes.train, single, alone)) == processes.FINISHED
    for part in ("checkpoints/step-00000006", "best"):
        np.testing.assert_allclose(toy_weights(run / part), toy_weights(alone / part), atol=1e-5)


def test_a_full_memory_is_no_lost_worker():
    import tensorflow as tf

    engine = TensorFlowEngine(CONFIG)
    engine.workers.several = True
    gone = r"another worker is gone; .* \(Socket closed\)"
    with pytest.raises(Interrupted, match=gone), engine.scope():
        raise tf.errors.UnavailableError(None, None, "Socket closed")
    with pytest.raises(tf.errors.ResourceExhaustedError), engine.scope():
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def _alike(*numbers):
    """Return the answers of workers, which are threads here, that pass one number each."""
    barrier, passed = threading.Barrier(len(numbers)), {}
    strategy = types.SimpleNamespace(
        num_replicas_in_sync=len(numbers), extended=types.SimpleNamespace(should_checkpoint=False)
    )

    def answer(index):
        def sum_of_all(values):
            passed[index] = np.array(values, float)
            barrier.wait(10)
            total = sum(passed.values())
            barrier.wait(10)
            return total

        workers = Workers(strategy)
        workers.several, workers._sum = True, sum_of_all
        return workers.alike(numbers[index])

    with concurrent.futures.ThreadPoolExecutor(len(numbers)) as pool:
        return list(pool.map(answer, range(len(numbers))))


@pytest.mark.parametrize(
    ("numbers", "alike"),
    [((7, 7, 7), True), ((0, 0), True), ((6, 8), False), ((5, 7, 6), False), ((7, 7, 0), False)],
)
def test_every_worker_knows_whether_all_pass_the_same_number(numbers, alike):
    assert _alike(*numbers) == [alike] * len(numbers)


def test_one_worker_is_alike():
    assert Workers(make_strategy("single")).alike(3) is True
