"""Read hostile films one after another and print the outcome of each as a line of JSON.

    python -m tests.hostile.read_all FOLDER

It runs in its own process, so that its peak memory is that of the readers.
"""

import json
import pathlib
import re
import resource
import sys

from tests.data.films.pair.reading import read_film_pair
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.errors import UserError

# Protects the machine; the test asserts a lower limit.
ADDRESS_SPACE = 6 * 2**30


def peak_bytes():
    """Return the peak memory of this process.

    The peak of `resource.getrusage` would include the memory of the parent process.
    """
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def main(folder):
    """Read every film in a folder twice: as LA and as AP."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    for name in json.loads((folder / "names.json").read_text(encoding="utf-8")):
        outcome = None
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
        row = {"name": name, "outcome": outcome, "peak_bytes": peak_bytes()}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
