"""Films of a volume by plain geometry, pixel by pixel: what `project_array` is compared with."""

import numpy as np
import scipy

from xctrs_tf.geometry import RAY_AXIS


def slow_film(
    mu, spacing_mm, origin_mm, view, pixels, pixel_mm, source_mm, rotation_deg, translation_mm
):
    """Return what `project_array` does, in float64, from the definition of the film.

    Points are turned one by one: from the room, where the film is upright in the isocentre, to
    the patient, where the voxels are. Each pixel's footprint on a plane is integrated as a
    rectangle over the voxels.
    """
    depth, horizontal = RAY_AXIS[view], 1 - RAY_AXIS[view]
    unturned = turned(rotation_deg or (0, 0, 0), np.eye(3)).T

    def in_patient(point):
        return unturned @ (point - np.array(translation_mm or (0, 0, 0), float))

    centre = in_patient(np.zeros(3))
    forward = np.eye(3)[depth]
    source = None if source_mm is None else in_patient(-source_mm * forward)

    def direction(point):
        """Return the ray through a point, of length 1 along the depth axis."""
        ray = unturned @ forward if source is None else point - source
        return ray / ray[depth]

    # The sheared film: across the depth axis of the patient, around the isocentre. That of a
    # turned patient is larger than the film.
    margin = 0 if rotation_deg is None else max(pixels) // 3
    counts = [count + 2 * margin for count in pixels]
    places = [(np.arange(count) - (count - 1) / 2) * pixel_mm for count in counts]
    sheared = np.zeros(counts)
    for index in range(mu.shape[depth]):
        away = origin_mm[depth] + index * spacing_mm[depth] - centre[depth]
        # The middle of the footprint of each pixel, and how much larger it is than the pixel.
        if source is None:
            scale = 1.0
        else:
            to_film = centre[depth] - source[depth]
            scale = (to_film + away) / to_film
        if scale <= 0:
            continue
        middles = []
        for axis, row in ((horizontal, places[0]), (2, places[1])):
            points = centre + np.eye(3)[axis] * row[:, None]
            middles.append([(point + away * direction(point))[axis] for point in points])
        plane = mu.take(index, depth)
        for axis, middle in ((horizontal, middles[0]), (2, middles[1])):
            plane = _mean_over(plane, middle, pixel_mm * scale, origin_mm[axis], spacing_mm[axis])
        sheared += plane
    for place in np.ndindex(*counts):
        point = centre.copy()
        point[[horizontal, 2]] += places[0][place[0]], places[1][place[1]]
        sheared[place] *= np.linalg.norm(direction(point)) * spacing_mm[depth]

    if rotation_deg is None:
        return sheared
    crossings = np.zeros((2, *pixels))
    for pixel in np.ndindex(*pixels):
        point = np.zeros(3)
        point[[horizontal, 2]] = [
            (at - (count - 1) / 2) * pixel_mm for at, count in zip(pixel, pixels, strict=True)
        ]
        point = in_patient(point)
        crossing = point + (centre[depth] - point[depth]) * direction(point) - centre
        crossings[(slice(None), *pixel)] = crossing[[horizontal, 2]]
    indices = [
        crossing / pixel_mm + (count - 1) / 2
        for crossing, count in zip(crossings, counts, strict=True)
    ]
    return scipy.ndimage.map_coordinates(sheared, indices, order=1)


def _mean_over(plane, middles, width, first, edge):
    """Average the first axis over intervals, and move the second axis to its place.

    Outside there is air. Intervals narrower than a voxel are as wide as one.
    """
    width = max(width, edge)
    borders = first + (np.arange(len(plane) + 1) - 0.5) * edge
    sums = np.vstack([np.zeros(plane.shape[1]), np.cumsum(plane, 0, np.float64)]) * edge
    ends = np.add.outer([-width / 2, width / 2], middles)
    low, high = (np.array([np.interp(end, borders, column) for column in sums.T]) for end in ends)
    return (high - low) / width


def turned(rotation_deg, points):
    """Turn a point, or the columns of a matrix, about x, then y, then z."""
    x, y, z = np.radians(rotation_deg)
    about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_z = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
    return np.array(about_z) @ about_y @ about_x @ points
