"""Digitally reconstructed radiographs: line integrals of attenuation from CT numbers."""

import keras
import numpy as np
from keras import ops

from xctrs_tf.data.projection.array_projection import for_both_views, project_array
from xctrs_tf.data.projection.attenuation import BONE_MU, WATER_MU
from xctrs_tf.data.volumes.cervical_crop import upright_scan
from xctrs_tf.geometry import RAY_AXIS, VIEWS

# A scan is projected in slabs of at most this many voxels, which bounds the memory.
SLAB_VOXELS = 2**22


def hu_to_mu(hu):
    """Convert CT numbers to attenuation: linear from air to water, steeper above water.

    Args:
        hu: array or tensor of CT numbers in HU.

    Returns:
        float tensor of the same shape, in 1/mm, never negative.
    """
    hu = ops.cast(hu, keras.config.floatx())
    below = ops.clip(hu, -1000.0, 0.0) * (WATER_MU / 1000.0)
    above = ops.maximum(hu, 0.0) * ((BONE_MU - WATER_MU) / 1000.0)
    return WATER_MU + below + above


def parallel_projection(mu, spacing_mm, view):
    """Compute line integrals of attenuation along parallel rays.

    All voxels along one ray fall into one pixel. The networks' view alignment (Eq. 5
    and 6 of the paper) assumes this; it does not hold for cone beams.

    Args:
        mu: attenuation ``(x, y, z)`` or ``(batch, x, y, z)`` in 1/mm.
        spacing_mm: voxel size along the rays.
        view: ``"ap"`` or ``"la"``.

    Returns:
        Line integrals (no unit): ``[x, z]`` for AP, ``[y, z]`` for LA, with the
        batch axis first where there was one.
    """
    return ops.sum(mu, axis=RAY_AXIS[view] - 3) * spacing_mm


def films_of(scan, frame, geometry):
    """Project both films of a patient.

    Args:
        scan: `Volume` in HU: for the field of view ``crop`` the CT of the frame, for
            ``full`` the whole scan on any grid, also an oblique one.
        frame: `projection_geometry.VolumeFrame`, the cube that the networks see.
        geometry: `ProjectionGeometry`.

    Returns:
        Dict of ``ap`` ``[x, z]`` and ``la`` ``[y, z]``: float32 line integrals
        ``(size, size)``.
    """
    is_plain = geometry.kind == "parallel" and not geometry.is_posed
    if geometry.field_of_view == "crop" and is_plain:
        mu = hu_to_mu(scan.array)
        return {view: np.array(parallel_projection(mu, frame.spacing_mm, view)) for view in VIEWS}
    scan = upright_scan(scan, frame.size, frame.spacing_mm, frame.origin_mm)
    if scan.array.size > SLAB_VOXELS:
        # One after the other, to save memory.
        return {view: _film(scan, None, frame, geometry, view) for view in VIEWS}
    mu = hu_to_mu(scan.array)
    return for_both_views(lambda view: _film(scan, mu, frame, geometry, view))


def _film(scan, mu, frame, geometry, view):
    """Sum the films of the scan's slabs across the rays; ``mu`` is None for several slabs."""
    isocentre = np.asarray(frame.origin_mm) + (frame.size - 1) / 2 * frame.spacing_mm
    axis = RAY_AXIS[view]
    step = max(1, SLAB_VOXELS * scan.array.shape[axis] // scan.array.size)
    film = np.zeros((frame.size,) * 2, np.float32)
    for start in range(0, scan.array.shape[axis], step):
        slab = scan.array[(slice(None),) * axis + (slice(start, start + step),)]
        first = np.array(scan.origin_mm, float)
        first[axis] += start * scan.spacing_mm[axis]
        film += project_array(
            hu_to_mu(slab) if mu is None else mu,
            [float(edge) for edge in scan.spacing_mm],
            (first - isocentre).tolist(),
            view,
            film.shape,
            float(frame.spacing_mm),
            geometry.source_to_isocentre_mm,
            geometry.rotation_deg if any(geometry.rotation_deg) else None,
            geometry.translation_mm if any(geometry.translation_mm) else None,
        )
    return film
