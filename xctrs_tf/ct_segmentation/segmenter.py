"""Segmentation of C1..C7 in a CT scan: one loaded network, and its result for a scan."""

import dataclasses
import os
import pathlib

import numpy as np

from xctrs_tf.ct_segmentation.findings import Findings, find_vertebrae
from xctrs_tf.ct_segmentation.neck_windows import refine_at_neck
from xctrs_tf.ct_segmentation.output.segmentation_folder import (
    check_segmentation_output,
    write_segmentation_folder,
)
from xctrs_tf.ct_segmentation.scan import Scan, read_scan, scan_of
from xctrs_tf.ct_segmentation.segmentation_network import load_network
from xctrs_tf.ct_segmentation.stitching import stitch
from xctrs_tf.ct_segmentation.windows import at_threshold, labels_on_scan, predict_windows
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError, os_error_text
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.pretrained import DEFAULT_SEGMENTER
from xctrs_tf.provenance import now


@dataclasses.dataclass(frozen=True, repr=False)
class CTSegmentation:
    """Vertebrae that were found in a CT scan, and their labels on the scan's own voxels.

    Attributes:
        scan: the `Scan`.
        findings: `Findings`: the vertebrae from top to bottom, the levels, the problems.
        labels: uint8 ``[x, y, z]``, of the shape of ``scan.hu``: 0 background, 1..7 = C1..C7; or
            101, 102, ... from top to bottom where the levels are uncertain.
        model: dict of JSON values that identifies the network.
        date: when it was made, UTC, as ISO 8601.
        network_labels: `Volume` of the same labels on the grid of the network, which has more of
            them where the scan's voxels are coarser; None if it was made by hand.
    """

    scan: Scan
    findings: Findings
    labels: np.ndarray
    model: dict
    date: str
    network_labels: Volume | None = None

    def __repr__(self):
        names = [vertebra.name for vertebra in self.findings.vertebrae]
        found = f"{names[0]} to {names[-1]}" if len(names) > 1 else names[0]
        count = "1 vertebra" if len(names) == 1 else f"{len(names)} vertebrae"
        state = "certain" if self.findings.is_certain else "to be checked"
        return (
            f"CTSegmentation({self.scan.name}: {count}, {found}, {self.findings.levels}, {state})"
        )

    def save(self, folder, *, share=False):
        """Write the files that `experiments.segment` writes.

        They are segmentation.nii.gz on the grid of the scan's file with its label tables, an
        STL surface for each vertebra, preview.png and segmentation.json.

        Args:
            folder: the folder; made if it is not there. An earlier segmentation in it is
                replaced.
            share: let other users of the machine read the folder.

        Raises:
            UserError: the folder holds other files, cannot be written, or another process
                writes to it.
        """
        check_segmentation_output(folder)
        try:
            with folder_lock(pathlib.Path(folder).resolve(), beside=True):
                write_segmentation_folder(self, folder, private=not share)
        except OSError as error:
            raise UserError(os_error_text(error)) from error


class Segmenter:
    """Loaded network that finds and labels the cervical vertebrae of CT scans.

    Args:
        network: `SegmentationNetwork`.

    Attributes:
        record: dict of JSON values that identifies the network.
        spacing_mm: edge of the voxels that the network gets.
    """

    def __init__(self, network):
        self._network = network
        self.record = dict(network.record)
        self.spacing_mm = network.spacing_mm

    def __call__(self, ct, progress=None):
        """Segment one scan.

        Args:
            ct: the scan: a NIfTI, NRRD or MetaImage file, or a folder or file of a DICOM
                series, as str or path; a `Scan`; or a `data.volumes.volume.Volume` in HU. A list
                of these is taken for the parts of one scan, which are stitched.
            progress: function from an iterable and a description to an iterable that shows
                progress, such as `xctrs_tf.progress.progress_bar`; None shows nothing.

        Returns:
            `CTSegmentation`.

        Raises:
            UserError: the scan cannot be read, its parts do not fit together, or no cervical
                spine is found.
        """
        scan = load_scan(ct)
        volume = scan.network_volume(self.spacing_mm)
        prediction = predict_windows(self._network, volume, progress=progress)
        prediction = refine_at_neck(self._network, prediction, progress=progress)
        prediction = at_threshold(prediction, self.record.get("bone_threshold", 0.5))
        findings = find_vertebrae(prediction, scan.name)
        labels = labels_on_scan(prediction, findings.labels, scan)
        network_labels = Volume(findings.labels, volume.spacing_mm, volume.origin_mm)
        return CTSegmentation(scan, findings, labels, dict(self.record), now(), network_labels)

    def __repr__(self):
        return f"Segmenter({self.record.get('name')}: C1 to C7 at {self.spacing_mm:.3g} mm)"


def load_segmenter(model=DEFAULT_SEGMENTER):
    """Load a network that segments CT scans.

    Args:
        model: name of a network that comes with the package; a run folder of
            `experiments.train`; or a folder of ``experiments.export --format=weights``.

    Returns:
        `Segmenter`.

    Raises:
        UserError: there is no such model, or it cannot be loaded.
    """
    return Segmenter(load_network(model))


def load_scan(ct):
    """Return the `Scan` of what `Segmenter` takes.

    Args:
        ct: as of `Segmenter.__call__`.

    Returns:
        `Scan`.

    Raises:
        UserError: it cannot be read, or its parts do not fit together.
        TypeError: it is none of what `Segmenter` takes.
    """
    if isinstance(ct, Scan):
        return ct
    if isinstance(ct, Volume):
        return scan_of(ct, "CT")
    if isinstance(ct, (str, os.PathLike)):
        return read_scan(ct)
    if not isinstance(ct, (list, tuple)):
        raise TypeError(f"ct: a {type(ct).__name__}; give a path, a Scan, a Volume or a list")
    if not ct:
        raise UserError("ct: an empty list; name a scan, or the parts of one")
    return stitch([load_scan(part) for part in ct])
