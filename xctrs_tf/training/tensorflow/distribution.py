"""Distribution of a run over devices and machines."""

import json
import os

import tensorflow as tf

from xctrs_tf.errors import UserError


def make_strategy(name):
    """Make the `tf.distribute.Strategy` of a run, before anything else is computed.

    Args:
        name: ``single``, ``mirrored`` (every GPU of this machine, or every logical
            CPU device) or ``multi_worker`` (those of all machines in TF_CONFIG).

    Returns:
        The strategy, in whose scope everything of the run has to be made.

    Raises:
        UserError: ``multi_worker`` without a cluster.
    """
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi_worker":
        _require_cluster()
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def _require_cluster():
    try:
        described = json.loads(os.environ["TF_CONFIG"])
        described["cluster"], described["task"]["type"], described["task"]["index"]
    except KeyError as error:
        problem = f"lacks {error}"
    except (TypeError, ValueError):
        problem = "is not JSON"
    else:
        return
    raise UserError(
        f"--strategy=multi_worker: TF_CONFIG {problem}; set it on every machine (docs/training.md)"
    )


def require_equal_parts(config, strategy):
    """Raise UserError unless the batch can be split into equal parts for the replicas."""
    replicas = strategy.num_replicas_in_sync
    parts = replicas * config.accumulation
    if config.batch_size % parts:
        raise UserError(
            f"--batch_size={config.batch_size}: must be a multiple of {parts}, the {replicas} "
            f"replicas times --accumulation={config.accumulation}"
        )


class Workers:
    """The machines of a run. All of them have to call each method at the same point.

    Args:
        strategy: of `make_strategy`.

    Attributes:
        several: True if there is more than this one.
        writes: True if this one writes the run folder.
    """

    def __init__(self, strategy):
        self._strategy = strategy
        self.several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self.writes = strategy.extended.should_checkpoint

    def any(self, *flags):
        """Return for each flag whether it is set on any worker."""
        return flags if not self.several else self._sum(flags) > 0

    def alike(self, number):
        """Return whether all workers pass the same number."""
        if not self.several:
            return True
        mean = self._sum([number])[0] / self._strategy.num_replicas_in_sync
        return not self.any(mean != number)[0]

    def wait(self):
        """Wait until all workers have called this."""
        self.any(False)

    def _sum(self, numbers):
        return self._traced_sum(tf.constant([float(each) for each in numbers], tf.float64)).numpy()

    @tf.function
    def _traced_sum(self, numbers):
        def of_replica(numbers):
            # The argument is on no device of a replica; its copy is.
            here = tf.identity(numbers)
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, here)

        totals = self._strategy.run(of_replica, args=(numbers,))
        return self._strategy.experimental_local_results(totals)[0]
