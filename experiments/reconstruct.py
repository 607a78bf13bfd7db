"""Reconstruct a CT and its C1..C7 from two X-ray films.

    python -m experiments.reconstruct --model=MODELS/xctrsnet --ap=ap.png --la=la.png --output=OUT

Films are DICOM, PNG, TIFF or NIfTI files, superior on top; PNG, TIFF and NIfTI
with bone bright. Flags cut, turn and invert films that are not so (docs/data.md).
Writes ct.nii.gz (HU), segmentation.nii.gz, films.png (what the model saw),
preview.png and reconstruction.json, and prints their paths. Not for diagnosis.
"""

import pathlib

from absl import flags

from experiments import cli, film_flags
from xctrs_tf.data.film_pair import read_film_pair
from xctrs_tf.data.xray import check_views
from xctrs_tf.reconstruction import check_output, load, write_reconstruction
from xctrs_tf.serving.exported import find_export

MODEL = flags.DEFINE_string("model", None, "Folder of experiments.export, or one version in it.")
OUTPUT = flags.DEFINE_string("output", None, "Folder to write; an earlier result is replaced.")
CHECK_VIEWS = flags.DEFINE_boolean(
    "check_views", True, "Refuse films that look swapped or not like one patient's."
)
# So that --help has them too.
flags.adopt_module_key_flags(film_flags)


def main():
    """Reconstruct the two films that the flags name."""
    output = pathlib.Path(OUTPUT.value)
    check_output(output)
    export = find_export(MODEL.value)
    paths, frames = film_flags.paths_and_frames()
    films, spacing_mm = read_film_pair(paths, frames, export.size, film_flags.SPACING_MM.value)
    if CHECK_VIEWS.value:
        check_views(**films)
    cli.load_tensorflow()
    reconstruction = load(export.path)(**films, spacing_mm=spacing_mm)
    print(*write_reconstruction(reconstruction, films, output), sep="\n")


if __name__ == "__main__":
    flags.mark_flags_as_required(["model", "ap", "la", "output"])
    cli.run(main)
