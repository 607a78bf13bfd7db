"""Measure the mean films that the check of two films compares with.

    python -m experiments.neck_finder.mean_films --data=A --data=B --fold=0 --output=FILE

They are of the training and validation patients of the fold; each --data counts alike.
xctrs_tf/data/films/pair/mean_films.json is such a file.
"""

import pathlib
import sys

from absl import flags

from experiments.common import cli
from xctrs_tf import provenance
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.films.pair.mean_films import measure_means, write_means
from xctrs_tf.progress import progress_bar

FLAGS = flags.FlagValues()
DATA = flags.DEFINE_multi_string(
    "data", None, "Prepared data folder; may be given several times.", flag_values=FLAGS
)
FOLD = flags.DEFINE_integer(
    "fold", None, "Fold whose test patients are left out.", lower_bound=0, flag_values=FLAGS
)
OUTPUT = flags.DEFINE_string("output", None, "The JSON file to write.", flag_values=FLAGS)
flags.mark_flags_as_required(["data", "fold", "output"], flag_values=FLAGS)


def execute():
    """Measure the films of all folders and write their means."""
    datasets = [open_dataset(path) for path in DATA.value]
    splits = [dataset.split(FOLD.value) for dataset in datasets]
    cli.lock_output(pathlib.Path(OUTPUT.value), beside=True)
    patients = [[*split.training, *split.validation] for split in splits]
    means = measure_means(
        [dataset.load(patient) for patient in progress_bar(ids, unit="patient")]
        for dataset, ids in zip(datasets, patients, strict=True)
    )
    origin = provenance.collect(
        n=sum(map(len, patients)),
        seed=None,
        data_hash=[dataset.content_hash() for dataset in datasets],
        fold=FOLD.value,
        sources=[dataset.sources() for dataset in datasets],
        patients_of_folders=[len(ids) for ids in patients],
    )
    write_means(means, origin, OUTPUT.value)
    print(OUTPUT.value)
    return 0


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
