"""The folder of one reconstruction: what it may hold, and writing it."""

import json
import pathlib
import re

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.network_view import draw_network_view
from xctrs_tf.data.volumes.volume import write_volume
from xctrs_tf.errors import UserError
from xctrs_tf.files import atomic_path, write_text
from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.reconstruction.label_tables import ITK_SNAP, SLICER, write_label_tables
from xctrs_tf.style import NOTICE

FORMAT = "xctrs-reconstruction/1"
CT = "ct.nii.gz"
SEGMENTATION = "segmentation.nii.gz"
SPREAD = "spread_hu.nii.gz"
PREVIEW = "preview.png"
FILMS = "films.png"
REPORT = ("report.html", "report.json", *(f"{name}.stl" for name in VERTEBRAE))
DICOM, DICOM_SEGMENTATION = "dicom", "segmentation.dcm"
# Says that the folder is ours, and may be replaced.
RECORD = "reconstruction.json"

_FILES = {CT, SEGMENTATION, ITK_SNAP, SLICER, SPREAD, FILMS, PREVIEW, *REPORT, RECORD}
_DICOM_FILE = re.compile(r"slice-\d+\.dcm|" + re.escape(DICOM_SEGMENTATION))


def write_reconstruction(
    reconstruction, films, folder, quality_reference=None, report=True, dicom=False, patient=None
):
    """Write a reconstruction's folder, all of it or nothing.

    It holds ct.nii.gz in HU; segmentation.nii.gz and its label tables, if there is
    one; spread_hu.nii.gz, if several models answered; films.png (the films pixel by
    pixel as the model got them), preview.png and reconstruction.json. An earlier
    reconstruction in its place is replaced.

    Args:
        reconstruction: a `Reconstruction`.
        films: dict of ``ap`` and ``la``, as they were reconstructed.
        folder: the folder.
        quality_reference: dict of `quality.calibration.calibrate`, or None.
        report: write report.html, report.json and C1.stl .. C7.stl as well.
        dicom: write the folder dicom/: a CT series and, where there is a
            vertebra, segmentation.dcm.
        patient: `report.dicom_ct.patient_fields` for the DICOM files.

    Returns:
        `quality.verdict.Verdict`, or None without a report.

    Raises:
        UserError: the folder holds something else, or cannot be made.
    """
    # Matplotlib takes a while to import, and a server never draws.
    from xctrs_tf.evaluation.figures.preview import preview_figure

    check_output(folder)
    # A name of its own, even where the folder was given as ".".
    folder = pathlib.Path(folder).resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})") from error
    verdict = None
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        _write_volumes(temporary, reconstruction)
        normalised = {view: normalise_film(film) for view, film in films.items()}
        draw_network_view(temporary / FILMS, **normalised)
        preview_figure(
            temporary / PREVIEW, normalised, reconstruction.ct_hu, reconstruction.segmentation
        )
        if report:
            verdict = _write_report(temporary, reconstruction, normalised, quality_reference)
        if dicom:
            _write_dicom(temporary / DICOM, reconstruction, patient)
        write_text(temporary / RECORD, json.dumps(_record(reconstruction), indent=1) + "\n")
    return verdict


def is_finished(folder):
    """Whether a folder holds a reconstruction; one that was broken off left none."""
    return (pathlib.Path(folder) / RECORD).is_file()


def check_output(folder):
    """Refuse a folder that holds anything but an earlier reconstruction.

    Args:
        folder: the folder; it need not exist.

    Raises:
        UserError: it holds something else, or is no folder.
    """
    folder = pathlib.Path(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder; choose another output folder")
    entries = list(folder.iterdir())
    if entries and not (is_finished(folder) and all(map(_is_ours, entries))):
        raise UserError(f"{folder}: holds other files; choose an empty output folder")


def _is_ours(entry):
    if entry.name == DICOM and entry.is_dir():
        return all(_DICOM_FILE.fullmatch(file.name) for file in entry.iterdir())
    return entry.name in _FILES and not entry.is_dir()


def _write_volumes(folder, reconstruction):
    grid = (reconstruction.spacing_mm, reconstruction.origin_mm)
    write_volume(folder / CT, reconstruction.ct_hu, *grid)
    if reconstruction.segmentation is not None:
        write_volume(folder / SEGMENTATION, reconstruction.segmentation, *grid)
        write_label_tables(folder)
    if reconstruction.spread_hu is not None:
        write_volume(folder / SPREAD, reconstruction.spread_hu, *grid)


def _write_report(folder, reconstruction, films, quality_reference):
    # Keras, for the re-projection, takes seconds to import.
    from xctrs_tf.report.report import write_report

    uncertainty = reconstruction.uncertainty
    return write_report(folder, reconstruction, films, quality_reference, uncertainty)


def _write_dicom(folder, reconstruction, patient):
    # The packages for it are needed here alone, and highdicom is optional.
    from xctrs_tf.report.dicom_ct import write_ct_series
    from xctrs_tf.report.dicom_segmentation import write_segmentation

    grid = (reconstruction.spacing_mm, reconstruction.origin_mm)
    slices = write_ct_series(folder, reconstruction.ct_hu, *grid, patient)
    labels = reconstruction.segmentation
    if labels is not None and labels.any():
        write_segmentation(folder / DICOM_SEGMENTATION, labels, slices)


def _record(reconstruction):
    segmented = reconstruction.segmentation is not None
    return {
        "format": FORMAT,
        "notice": NOTICE,
        "spacing_mm": reconstruction.spacing_mm,
        "labels": dict(enumerate(VERTEBRAE, start=1)) if segmented else None,
    }
