"""Reconstruct a CT and its C1..C7 from two X-ray films.

    python -m experiments.reconstruct --model=MODELS/xctrsnet --ap=ap.png --la=la.png --output=OUT

Films are DICOM, PNG, TIFF or NIfTI files, superior on top; PNG, TIFF and NIfTI
with bone bright. Writes
ct.nii.gz (HU), segmentation.nii.gz, preview.png and reconstruction.json, and
prints their paths. Not for diagnosis.
"""

import pathlib

from absl import flags

from experiments import cli
from xctrs_tf.data.xray import check_views, read_film
from xctrs_tf.reconstruction import check_output, load, write_reconstruction
from xctrs_tf.serving.exported import find_export

MODEL = flags.DEFINE_string("model", None, "Folder of experiments.export, or one version in it.")
AP = flags.DEFINE_string("ap", None, "Anterior-posterior film: DICOM, PNG, TIFF or NIfTI.")
LA = flags.DEFINE_string("la", None, "Lateral film: DICOM, PNG, TIFF or NIfTI.")
OUTPUT = flags.DEFINE_string("output", None, "Folder to write; an earlier result is replaced.")
SPACING_MM = flags.DEFINE_float(
    "spacing_mm",
    None,
    "Edge of a voxel: the films' side in mm divided by the model's voxels a side; "
    "by default the median of the training patients.",
)
CHECK_VIEWS = flags.DEFINE_boolean(
    "check_views", True, "Refuse films that look swapped or not like one patient's."
)


def main():
    """Reconstruct the two films that the flags name."""
    output = pathlib.Path(OUTPUT.value)
    check_output(output)
    export = find_export(MODEL.value)
    films = {
        view: read_film(path.value, view, export.size) for view, path in (("ap", AP), ("la", LA))
    }
    if CHECK_VIEWS.value:
        check_views(**films)
    cli.load_tensorflow()
    reconstruction = load(export.path)(**films, spacing_mm=SPACING_MM.value)
    print(*write_reconstruction(reconstruction, films, output), sep="\n")


if __name__ == "__main__":
    flags.mark_flags_as_required(["model", "ap", "la", "output"])
    cli.run(main)
