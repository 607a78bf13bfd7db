"""Output folder of one reconstruction: its files, and writing them."""

import contextlib
import importlib.util
import pathlib
import re

from xctrs_tf.data.films.pair.film_picture import draw_films
from xctrs_tf.data.volumes.volume import write_volume
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.files import (
    as_dict,
    as_list,
    atomic_path,
    check_only_own_files,
    make_folder,
    make_private,
    read_json,
    write_json,
)
from xctrs_tf.geometry import VERTEBRAE, VIEWS
from xctrs_tf.reconstruction.label_tables import ITK_SNAP_TABLE, SLICER_TABLE, write_label_tables
from xctrs_tf.report.provenance_record import provenance_record
from xctrs_tf.style import NOTICE

RECONSTRUCTION_FORMAT = "xctrs-reconstruction/2"
CT_FILE = "ct.nii.gz"
SEGMENTATION_FILE = "segmentation.nii.gz"
SPREAD_FILE = "spread_hu.nii.gz"
PREVIEW_FILE = "preview.png"
FILMS_FILE = "films.png"
# Suffix of the picture of refused films; they get no folder.
REFUSED_FILMS = ".refused_films.png"
REPORT_FILES = ("report.html", "report.json", *(f"{name}.stl" for name in VERTEBRAE))
DICOM_FOLDER, DICOM_SEGMENTATION_FILE = "dicom", "segmentation.dcm"
# Marks a folder of this program, which may be replaced.
RECORD_FILE = "reconstruction.json"

_FILES = {
    CT_FILE,
    SEGMENTATION_FILE,
    ITK_SNAP_TABLE,
    SLICER_TABLE,
    SPREAD_FILE,
    FILMS_FILE,
    PREVIEW_FILE,
    *REPORT_FILES,
    RECORD_FILE,
}
_DICOM_FILE = re.compile(r"slice-\d+\.dcm|" + re.escape(DICOM_SEGMENTATION_FILE))


def write_reconstruction(
    reconstruction, folder, report=True, dicom=False, patient=None, private=True
):
    """Write the output folder of a reconstruction, completely or not at all.

    It holds ct.nii.gz in HU; segmentation.nii.gz and its label tables, if the model
    segments; spread_hu.nii.gz, if there were several models; films.png (the input of
    the model, and where it was cut out), preview.png and reconstruction.json. An earlier
    reconstruction in the folder is replaced.

    Args:
        reconstruction: a `Reconstruction` with its films.
        folder: the folder.
        report: also write report.html, report.json and C1.stl .. C7.stl.
        dicom: also write the folder dicom/: a CT series and, if a vertebra was
            found, segmentation.dcm.
        patient: `report.dicom_patient.patient_fields` for the DICOM files.
        private: let no other user of the machine enter the folder and read its files;
            False leaves that to the process's umask.

    Returns:
        `quality.verdict.Verdict`, or None without a report.

    Raises:
        UserError: the reconstruction was made by hand, without its films; the folder holds
            other files, or cannot be made; or the package for DICOM files is not installed.
    """
    # Matplotlib is slow to import, and a server does not draw.
    from xctrs_tf.evaluation.figures.case_figure import preview_figure

    films = reconstruction.normalised_films()
    if dicom:
        require_dicom_package()
    check_output(folder)
    # Resolved, so that the folder has a name even if given as ".".
    folder = pathlib.Path(folder).resolve()
    make_folder(folder.parent, private=False)
    verdict = None
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        _write_volumes(temporary, reconstruction)
        draw_films(temporary / FILMS_FILE, films, reconstruction.spacing_mm, reconstruction.pair)
        preview_figure(
            temporary / PREVIEW_FILE, films, reconstruction.ct_hu, reconstruction.segmentation
        )
        if report:
            # Keras, used by the re-projection, takes seconds to import.
            from xctrs_tf.report.report import write_report

            verdict = write_report(temporary, reconstruction, films)
        provenance = provenance_record(reconstruction, verdict)
        if dicom:
            _write_dicom(temporary / DICOM_FOLDER, reconstruction, patient, provenance)
        record = _record(
            reconstruction, provenance, file_request(report, dicom, patient is not None)
        )
        write_json(temporary / RECORD_FILE, record, allow_nan=False)
        if private:
            make_private(temporary)
    return verdict


def require_dicom_package():
    """Refuse to write DICOM files without the package that writes segmentations.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec("highdicom") is None:
        raise UserError("--dicom: needs the package highdicom; pip install xctrs-tf[dicom]")


def write_refused_films(pair, folder, private=True):
    """Draw refused films beside the folder that would hold their reconstruction.

    The picture of an earlier pair is removed where this pair is not refused.

    Args:
        pair: `FilmPair`.
        folder: the folder.
        private: as of `write_reconstruction`.

    Returns:
        Path of the picture, or None: the pair is not refused, or the picture cannot be written.
    """
    folder = pathlib.Path(folder).resolve()
    path = folder.with_name(folder.name + REFUSED_FILMS)
    # A refusal is told also where nothing can be written.
    with contextlib.suppress(OSError, UserError):
        if pair.problem is None:
            path.unlink(missing_ok=True)
            return None
        make_folder(folder.parent, private=False)
        with atomic_path(path) as temporary:
            draw_films(temporary, pair.films, pair.spacing_mm, pair)
            # Before the picture gets its name, by which others could open it.
            if private:
                make_private(temporary)
        return path
    return None


def is_finished(folder):
    """Return True if a folder holds a complete reconstruction."""
    return (pathlib.Path(folder) / RECORD_FILE).is_file()


def made_otherwise(folder, models, mirror, films, files):
    """Tell whether a complete reconstruction was made otherwise than it would be now.

    Args:
        folder: the folder.
        models: list of `Export.record` of the models.
        mirror: whether they take the mirrored films, too.
        films: `pair_reading.film_request` of the pair.
        files: `file_request` of what is to be written.

    Returns:
        What differs and what corrects it; None if nothing does, or the folder does not tell.
    """
    path = pathlib.Path(folder) / RECORD_FILE
    try:
        record = as_dict(read_json(path))
    except (OSError, ValueError, RecursionError):
        return None
    flags = {"mirror": mirror, **files}
    made = {"mirror": record.get("mirror"), **as_dict(record.get("files"))}
    differences = [
        *_model_differences(as_list(record.get("models")), models),
        *_film_differences(as_dict(as_dict(record.get("films")).get("asked")), films),
        *(
            f"{'with' if made[name] else 'without'} --{name}"
            for name, value in flags.items()
            if isinstance(made.get(name), bool) and made[name] != value
        ),
    ]
    if not differences:
        return None
    return f"{folder} was made {', '.join(differences)}; give --overwrite, or another --output"


def file_request(report, dicom, copy_patient):
    """Return which files are to be written beside those that always are.

    Args:
        report: as of `write_reconstruction`.
        dicom: as of `write_reconstruction`.
        copy_patient: whether the DICOM files name the patient.

    Returns:
        Dict of JSON values by the names of the flags of `experiments.reconstruct`.
    """
    return {"report": report, "dicom": dicom, "copy_patient": copy_patient}


def check_output(folder):
    """Refuse a folder that holds anything other than an earlier reconstruction.

    Args:
        folder: the folder; it need not exist.

    Raises:
        UserError: it holds other files, is a mount point, or is not a folder.
    """
    check_only_own_files(folder, RECORD_FILE, _is_own)


def _is_own(entry):
    if entry.name == DICOM_FOLDER and entry.is_dir():
        return all(_DICOM_FILE.fullmatch(file.name) for file in entry.iterdir())
    return entry.name in _FILES and not entry.is_dir()


def _write_volumes(folder, reconstruction):
    grid = (reconstruction.spacing_mm, reconstruction.origin_mm)
    write_volume(folder / CT_FILE, reconstruction.ct_hu, *grid)
    if reconstruction.segmentation is not None:
        write_volume(folder / SEGMENTATION_FILE, reconstruction.segmentation, *grid)
        write_label_tables(folder)
    if reconstruction.spread_hu is not None:
        write_volume(folder / SPREAD_FILE, reconstruction.spread_hu, *grid)


def _write_dicom(folder, reconstruction, patient, provenance):
    # Only DICOM output needs these packages, and highdicom is optional.
    from xctrs_tf.report.dicom_ct import write_ct_series
    from xctrs_tf.report.dicom_segmentation import write_segmentation

    grid = (reconstruction.spacing_mm, reconstruction.origin_mm)
    slices = write_ct_series(folder, reconstruction.ct_hu, *grid, patient, provenance)
    labels = reconstruction.segmentation
    if labels is not None and labels.any():
        write_segmentation(folder / DICOM_SEGMENTATION_FILE, labels, slices, provenance)


def _model_differences(made_by, models):
    theirs, ours = _told("sha256", made_by, models)
    if theirs != ours:
        # The first model's thresholds give the verdict.
        if len(theirs) == len(ours) and all(each in ours for each in theirs):
            yield "by the models in another order"
        else:
            yield "by other models" if len(theirs) + len(ours) > 2 else "by another model"
    theirs, ours = _told("fpmath", made_by, models)
    if theirs != ours:
        yield "in another precision (--fpmath; bfloat16 needs a processor with AMX)"


def _told(key, *records):
    """Return a field of earlier and of present models; empty lists where one does not tell it."""
    values = [[as_dict(each).get(key) for each in those] for those in records]
    return values if all(each and None not in each for each in values) else ([], [])


def _film_differences(asked, films):
    """Yield what two of `pair_reading.film_request` differ in; the first may be of anyone."""
    if not asked:
        return
    theirs, ours = as_dict(asked.get("sha256")), films["sha256"]
    changed = [
        view.upper()
        for view in VIEWS
        if None not in (theirs.get(view), ours[view]) and theirs[view] != ours[view]
    ]
    if changed:
        yield f"from another {' and another '.join(changed)} film"
    theirs, ours = as_dict(asked.get("options")), films["options"]
    names = [name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name)]
    if asked.get("spacing_mm") != films["spacing_mm"]:
        names.append("spacing_mm")
    if names:
        yield f"with other values of {', '.join(f'--{one_line(name, 60)}' for name in names)}"


def _record(reconstruction, provenance, files):
    segmented = reconstruction.segmentation is not None
    return {
        "format": RECONSTRUCTION_FORMAT,
        "notice": NOTICE,
        "spacing_mm": reconstruction.spacing_mm,
        "labels": dict(enumerate(VERTEBRAE, start=1)) if segmented else None,
        "files": files,
        **provenance,
    }
