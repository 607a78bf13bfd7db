"""Output folder of one segmented CT: its files, and writing them."""

import dataclasses
import pathlib
import re

from xctrs_tf.ct_segmentation.scan import write_on_own_grid
from xctrs_tf.files import (
    atomic_path,
    check_only_own_files,
    make_folder,
    make_private,
    write_json,
)
from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.reconstruction.label_tables import ITK_SNAP_TABLE, SLICER_TABLE, write_label_tables
from xctrs_tf.reconstruction.output_folder import PREVIEW_FILE, SEGMENTATION_FILE
from xctrs_tf.report.meshes import label_boxes, vertebra_mesh, write_stl
from xctrs_tf.report.provenance_record import PROGRAM
from xctrs_tf.style import NOTICE

SEGMENTATION_FORMAT = "xctrs-segmentation/1"
# Marks a folder of this program, which may be replaced.
RECORD_FILE = "segmentation.json"

# Edge in mm of the voxels of which surfaces are made. Finer scans would give files of tens of
# megabytes that show no more, since the network sees voxels of 2.5 mm.
_MESH_MM = 1.0
_FILES = {SEGMENTATION_FILE, ITK_SNAP_TABLE, SLICER_TABLE, PREVIEW_FILE, RECORD_FILE}
_SURFACE = re.compile(r"[CV]\d{1,2}\.stl")


def check_segmentation_output(folder):
    """Refuse a folder that holds anything other than an earlier segmentation.

    Args:
        folder: the folder; it need not exist.

    Raises:
        UserError: it holds other files, or is not a folder.
    """
    check_only_own_files(folder, RECORD_FILE, _is_own)


def write_segmentation_folder(segmentation, folder, private=True):
    """Write the output folder of a segmentation, completely or not at all.

    It holds segmentation.nii.gz on the grid of the scan's file with its label tables, an STL
    surface for each vertebra, preview.png and segmentation.json. An earlier segmentation in
    the folder is replaced.

    Args:
        segmentation: `segmenter.CTSegmentation`.
        folder: the folder.
        private: let no other user of the machine enter the folder and read its files;
            False leaves that to the process's umask.

    Raises:
        UserError: the folder holds other files, or cannot be made.
    """
    # Matplotlib is slow to import.
    from xctrs_tf.ct_segmentation.output.ct_picture import write_picture

    check_segmentation_output(folder)
    # Resolved, so that the folder has a name even if given as ".".
    folder = pathlib.Path(folder).resolve()
    make_folder(folder.parent, private=False)
    scan, findings, labels = segmentation.scan, segmentation.findings, segmentation.labels
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        write_on_own_grid(temporary / SEGMENTATION_FILE, labels, scan)
        write_label_tables(temporary, label_names(findings))
        boxes = label_boxes(labels)
        for vertebra in findings.vertebrae:
            box = boxes.get(vertebra.label)
            # A sliver at the border of the scan may hold no voxel of its grid.
            if box is not None:
                low = tuple(part.start for part in box)
                mesh = vertebra_mesh(labels[box] == vertebra.label, scan.grid, _MESH_MM, low)
                write_stl(temporary / f"{vertebra.name}.stl", mesh)
        write_picture(temporary / PREVIEW_FILE, scan, labels, findings)
        write_json(temporary / RECORD_FILE, segmentation_record(segmentation), allow_nan=False)
        if private:
            make_private(temporary)


def segmentation_record(segmentation):
    """Return what segmentation.json holds (docs/segmenting.md).

    Args:
        segmentation: `segmenter.CTSegmentation`.

    Returns:
        Dict of JSON values. Positions are LPS in mm.
    """
    scan, findings = segmentation.scan, segmentation.findings
    return {
        "format": SEGMENTATION_FORMAT,
        "notice": NOTICE,
        "program": PROGRAM,
        "date": segmentation.date,
        "model": segmentation.model,
        "scan": {
            "name": scan.name,
            "voxels": [int(count) for count in scan.stored.shape],
            "spacing_mm": _rounded(scan.stored.spacing_mm, 4),
        },
        "levels": findings.levels,
        "certain": bool(findings.is_certain),
        "labels": {str(label): name for label, name in label_names(findings).items()},
        "vertebrae": [_vertebra_record(vertebra) for vertebra in findings.vertebrae],
        "missing": list(findings.missing),
        "problems": list(findings.problems),
    }


def label_names(findings):
    """Return the names of the labels that are written.

    Args:
        findings: `Findings`.

    Returns:
        Dict from label to name: 1..7 to C1..C7, and where the levels are uncertain those that
        were found, such as 101 to V1.
    """
    names = {vertebra.label: vertebra.name for vertebra in findings.vertebrae}
    cervical = dict(enumerate(VERTEBRAE, start=1))
    return cervical if names.keys() <= cervical.keys() else names


def _vertebra_record(vertebra):
    box = {name: _rounded(values, 2) for name, values in dataclasses.asdict(vertebra.box).items()}
    return {
        "name": vertebra.name,
        "label": int(vertebra.label),
        "likely_level": vertebra.likely_level,
        "centroid_mm": _rounded(vertebra.centroid_mm, 2),
        "box": box,
        "volume_mm3": round(float(vertebra.volume_mm3), 1),
        "confidence": round(float(vertebra.confidence), 3),
        "cut": bool(vertebra.cut),
        "problems": list(vertebra.problems),
    }


def _rounded(values, digits):
    return [round(float(value), digits) for value in values]


def _is_own(entry):
    return (entry.name in _FILES or _SURFACE.fullmatch(entry.name)) and not entry.is_dir()
