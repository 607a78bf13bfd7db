"""Measure the error rates of `check_views`: right, swapped, flipped and foreign pairs.

python -m experiments.studies.view_check_rates --data=DATA
"""

import sys

from absl import flags

from experiments.common import cli
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.view_check import check_views
from xctrs_tf.errors import UserError

FLAGS = flags.FlagValues()
DATA = flags.DEFINE_string("data", None, "Prepared data folder.", flag_values=FLAGS)
flags.mark_flags_as_required(["data"], flag_values=FLAGS)


def execute():
    """Print how many pairs of each kind were refused; return the exit status."""
    dataset = open_dataset(DATA.value)
    cases = [dataset.load(patient) for patient in dataset.ids]
    films = [(normalise_film(case.ap), normalise_film(case.la)) for case in cases]
    kinds = {
        "films of one patient": films,
        "swapped films": [(la, ap) for ap, la in films],
        "LA upside down": [(ap, la[:, ::-1]) for ap, la in films],
        "both upside down": [(ap[:, ::-1], la[:, ::-1]) for ap, la in films],
        "LA mirrored": [(ap, la[::-1]) for ap, la in films],
        "both dark-boned": [(1 - ap, 1 - la) for ap, la in films],
        "LA twice": [(la, la) for _, la in films],
        "films of two patients": [
            (ap, la)
            for first, (ap, _) in enumerate(films)
            for second, (_, la) in enumerate(films)
            if first != second
        ],
    }
    for kind, pairs in kinds.items():
        refused = sum(_is_refused(*pair) for pair in pairs)
        print(f"{kind:22} {len(pairs):6} pairs, {100 * refused / len(pairs):5.1f} % refused")
    return 0


def _is_refused(ap, la):
    try:
        check_views(ap, la)
    except UserError:
        return True
    return False


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
