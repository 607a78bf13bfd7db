"""Cone-beam films by plastimatch, the reference for our own.

plastimatch (plastimatch.org, BSD) is on PyPI; nothing else needs it:
``pip install --no-deps plastimatch``.
"""

import pathlib
import re
import shutil
import subprocess
import tempfile

import numpy as np

from xctrs_tf.data.volumes.volume import write_volume

# Direction from the isocentre to the source. Always passed, since plastimatch's default
# orientation of the panel differs.
NORMAL = {"ap": "0 -1 0", "la": "-1 0 0"}
# A panel is stored from its upper row; seen from the source, the patient's left
# (AP) is on its right, and so is the anterior side (LA).
PANEL_FLIPS_HORIZONTAL = {"ap": False, "la": True}


def find():
    """Return the path of plastimatch on PATH, or None."""
    return shutil.which("plastimatch")


def films(program, mu, spacing_mm, source_to_isocentre_mm, source_to_detector_mm):
    """Make both films of a volume about its centre, by exact ray tracing.

    Args:
        program: path of plastimatch.
        mu: attenuation ``[x, y, z]`` in 1/mm.
        spacing_mm: edge of a voxel.
        source_to_isocentre_mm: distance.
        source_to_detector_mm: distance.

    Returns:
        Dict of films ``[horizontal, vertical]``, in plastimatch's unit, one pixel
        a voxel; and the seconds that plastimatch says it took, reading included.
    """
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        origin_mm = [-(count - 1) / 2 * spacing_mm for count in mu.shape]
        write_volume(folder / "mu.mha", np.asarray(mu, np.float32), spacing_mm, origin_mm)
        magnification = source_to_detector_mm / source_to_isocentre_mm
        films, seconds = {}, 0.0
        for view, count in (("ap", mu.shape[0]), ("la", mu.shape[1])):
            # Columns and rows, although its help says rows and columns.
            pixels = (count, mu.shape[2])
            edges = [number * spacing_mm * magnification for number in pixels]
            command = [
                *(program, "drr", "-i", "exact", "-P", "none", "-t", "pfm", "-A", "cpu"),
                *("-r", f"{pixels[0]} {pixels[1]}", "-z", f"{edges[0]} {edges[1]}"),
                *("--sad", str(source_to_isocentre_mm), "--sid", str(source_to_detector_mm)),
                *("-n", NORMAL[view], "--vup", "0 0 1", "-o", "0 0 0"),
                *("-I", str(folder / "mu.mha"), "-O", str(folder / view)),
            ]
            done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
            seconds += float(re.search(r"Total time: (\S+)", done.stdout)[1])
            content = (folder / f"{view}0000.pfm").read_bytes()
            panel = np.frombuffer(content[-4 * pixels[0] * pixels[1] :], "<f4").reshape(
                pixels[::-1]
            )
            film = panel[::-1].T
            films[view] = film[::-1] if PANEL_FLIPS_HORIZONTAL[view] else film
        return films, seconds
