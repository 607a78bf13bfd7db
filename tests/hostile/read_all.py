"""Reads hostile films one by one and prints what came of each as a line of JSON.

    python -m tests.hostile.read_all FOLDER

In a process of its own, so that its memory is the reader's.
"""

import json
import pathlib
import resource
import sys
import time

from xctrs_tf.data.films.film import read_film_pair
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.errors import UserError

# What the machine bears should a limit fail; the test's own limit is lower.
ADDRESS_SPACE = 6 * 2**30


def main(folder):
    """Read every film in a folder, twice: as AP and as LA."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    for name in json.loads((folder / "names.json").read_text(encoding="utf-8")):
        start, outcome = time.perf_counter(), None
        for view in ("la", "ap"):
            paths = {"ap": folder / "good.png", "la": folder / "good.png", view: folder / name}
            try:
                read_film_pair(paths, {"ap": FilmFrame(), "la": FilmFrame()}, 32)
            except UserError as error:
                outcome = str(error)
            except BaseException as error:
                outcome = repr(error)
                break
            else:
                outcome = None
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        row = {"name": name, "outcome": outcome, "seconds": seconds, "peak_bytes": peak}
        print(json.dumps(row), flush=True)


main(pathlib.Path(sys.argv[1]))
