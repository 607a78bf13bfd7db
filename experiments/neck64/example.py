"""Write the example that comes with the package: two films, CT and labels of one patient.

    python -m experiments.neck64.example --data=NECKS --patient=106 --output=FOLDER

The patient must be one of the test part of --fold, on which no choice was made.
"""

import pathlib
import sys

from absl import flags

from experiments.common import cli
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.data.volumes.volume import write_volume
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.pretrained import EXAMPLE

FLAGS = flags.FlagValues()
DATA = flags.DEFINE_string("data", None, "Prepared real necks.", flag_values=FLAGS)
PATIENT = flags.DEFINE_string("patient", None, "Id of the patient.", flag_values=FLAGS)
FOLD = flags.DEFINE_integer("fold", 9, "Fold of the training.", flag_values=FLAGS)
OUTPUT = flags.DEFINE_string("output", None, "Folder to write.", flag_values=FLAGS)
flags.mark_flags_as_required(["data", "patient", "output"], flag_values=FLAGS)


def execute():
    """Write the example that the flags name."""
    dataset = open_dataset(DATA.value)
    test = dataset.split(FOLD.value).test
    if PATIENT.value not in test:
        raise UserError(f"--patient={PATIENT.value}: not a test patient of fold {FOLD.value}")
    case = dataset.load(PATIENT.value)
    output = pathlib.Path(OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    for view in VIEWS:
        write_film(output / f"{view}.png", getattr(case, view), view)
    stem = f"openkbp{case.id}"
    write_volume(output / f"{stem}_ct.nii.gz", case.ct, case.spacing_mm, case.origin_mm)
    write_volume(output / f"{stem}_seg.nii.gz", case.segmentation, case.spacing_mm, case.origin_mm)
    # Not shutil.copy: the output may be the folder of the package itself.
    (output / "NOTICE").write_bytes((EXAMPLE / "NOTICE").read_bytes())
    print(*sorted(output.iterdir()), sep="\n")


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
