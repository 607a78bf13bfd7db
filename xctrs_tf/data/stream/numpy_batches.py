"""`xctrs_tf.data.stream.tf_data` without TensorFlow: the same batches as NumPy arrays."""

import collections
import concurrent.futures
import itertools

import numpy as np

# Batches that are prepared while one is computed with.
_AHEAD = 2


def numpy_batches(samples, start_step=0):
    """Batches without end, prepared ahead by threads.

    Args:
        samples: `xctrs_tf.data.stream.sample_stream.SampleStream`.
        start_step: first batch.

    Yields:
        Dicts of arrays, as `training_pipeline` gives tensors.
    """

    batch_size = samples.batch_size

    def make(step):
        rows = [samples[index] for index in range(step * batch_size, (step + 1) * batch_size)]
        batch = {name: np.stack([row[name] for row in rows]) for name in samples.names}
        return {**batch, "segmentation": batch["segmentation"].astype(np.int32)}

    with concurrent.futures.ThreadPoolExecutor(_AHEAD) as threads:
        waiting = collections.deque()
        for step in itertools.count(start_step):
            waiting.append(threads.submit(make, step))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
