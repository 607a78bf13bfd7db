"""Prediction averaged with that of the patient mirrored from left to right."""

import numpy as np


def predict_with_mirrored(predict, inputs):
    """Average a prediction and that of the patient mirrored from left to right.

    Only x is mirrored: it is the first axis of an AP film and of a volume. Under parallel rays
    the LA film of a mirrored patient is the same film.

    Args:
        predict: function from a dict of batches to a dict of batches of volumes
            ``(batch, x, y, z, channel)``.
        inputs: dict of batches: ``ap`` ``(batch, x, z, 1)``, ``la`` ``(batch, y, z, 1)``, and
            perhaps volumes.

    Returns:
        Dict of the means of both predictions, the second one mirrored back.
    """
    mirrored = {
        name: batch if name == "la" else np.ascontiguousarray(np.flip(batch, 1))
        for name, batch in inputs.items()
    }
    first, second = predict(inputs), predict(mirrored)
    return {
        name: (np.asarray(output) + np.flip(np.asarray(second[name]), 1)) / 2
        for name, output in first.items()
    }
