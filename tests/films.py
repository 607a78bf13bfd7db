"""Films of one bright block at a known position in the volume."""

import numpy as np

from tests.export.runs import SIZE

# Voxels of the block: three along x, four along y, five along z.
BLOCK = (slice(20, 23), slice(11, 15), slice(5, 10))


def block_films():
    """Return the AP and the LA film ``[horizontal, vertical]`` of a bright block."""
    x, y, z = BLOCK
    films = {view: np.zeros((SIZE, SIZE), np.float32) for view in ("ap", "la")}
    films["ap"][x, z] = 4.0
    films["la"][y, z] = 4.0
    return films
