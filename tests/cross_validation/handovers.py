"""Helpers for the tests of the handover and of the takeover."""

import json

from tests.cross_validation.fake_runs import write
from xctrs_tf.cross_validation.handover import handed_over

VGG, DSN = "table1-vgg/fold-00-seed-0", "table3-dsn/fold-00-seed-0"
HERE = "/here/data"


def hand_over(folder, root, data=HERE):
    """Take over what a folder holds, and write a handover of all jobs in ``root``."""
    with handed_over(folder, root, str(data)):
        pass


def describe(run, **fields):
    """Replace fields of the config.json of a run."""
    record = json.loads((run / "config.json").read_text("utf-8"))
    write(run / "config.json", json.dumps({**record, **fields}))


def index_of(folder):
    """Return the index of a handover."""
    return json.loads((folder / "index.json").read_text("utf-8"))
