"""Small phantoms as patients, and a stand-in for a model."""

import functools

import numpy as np
from scipy import ndimage

from xctrs_tf.data.dataset import Case
from xctrs_tf.data.phantom import make_phantom
from xctrs_tf.data.projection.drr import hu_to_mu, parallel_projection

SIZE, SPACING_MM = 32, 4.0


@functools.cache
def neck(seed):
    """Return a phantom as a `Case` of 32 voxels per side."""
    phantom = make_phantom(seed, SIZE, SPACING_MM)
    mu = np.asarray(hu_to_mu(phantom.ct))
    films = {v: np.array(parallel_projection(mu, SPACING_MM, v)) for v in ("ap", "la")}
    return Case(
        id=str(seed),
        ct=phantom.ct,
        segmentation=phantom.segmentation,
        spacing_mm=SPACING_MM,
        origin_mm=phantom.origin_mm,
        **films,
    )


def each(reconstruct):
    """Return a function from a list of cases to a list of reconstructions, for `PairScorer`."""
    return lambda cases: [reconstruct(case) for case in cases]


def blurred(case):
    """Return a reconstruction: the blurred CT of a case, and its true labels."""
    ct = ndimage.gaussian_filter(case.ct.astype(np.float32), 1.0)
    return np.round(ct).astype(np.int16), case.segmentation
