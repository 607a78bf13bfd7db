"""Random damage to manifests of prepared folders and to tables of collections."""

import copy
import json
import random

from tests.data.cases import CONFIGURATION, write_dataset
from xctrs_tf.data.dataset import network_arrays, open_dataset
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
from xctrs_tf.data.sources.nifti import NiftiSource
from xctrs_tf.errors import UserError

VALUES = [
    *(None, True, 0, -1, -0.5, 1e308, float("nan"), float("inf"), 10**30),
    *("", "../x", "/x", "x" * 300, "p1", [], {}, [[]], [None], {"a": 1}, ["p1"]),
]
PIECES = [
    *(
        "id",
        "licence",
        "p1",
        "../p1",
        "/p1",
        "\ufeff",
        "\0",
        "\x1b[31m",
        "\u202e",
        " ",
        "é",
        "e\u0301",
    ),
    *(",", ";", "\t", "\n", "\r\n", "\r", '"', "'", "=1+1"),
]


def try_manifests(folder, seed, count):
    """Damage one value of a manifest, then use the folder; repeat.

    Args:
        folder: an empty folder.
        seed: of the damages.
        count: number of damages.

    Returns:
        Number of manifests that were refused.
    """
    path = write_dataset(folder / "set", num_patients=4, num_folds=2)
    file = path / "manifest.json"
    good = json.loads(file.read_text(encoding="utf-8"))
    places = [place for place in _places(good) if place]
    rng = random.Random(seed)
    refused = 0
    for _ in range(count):
        manifest = copy.deepcopy(good)
        *parents, last = rng.choice(places)
        inner = manifest
        for key in parents:
            inner = inner[key]
        if rng.random() < 0.3:
            del inner[last]
        else:
            inner[last] = copy.deepcopy(rng.choice(VALUES))
        file.write_text(json.dumps(manifest), encoding="utf-8")
        for use in (_read, _continue):
            try:
                use(path)
            except UserError as error:
                assert str(path) in str(error)
                refused += 1
    return refused


def try_tables(folder, seed, count):
    """Write random tables as manifest.csv, then list the patients; repeat.

    Args:
        folder: an empty folder.
        seed: of the tables.
        count: number of tables.

    Returns:
        Number of tables in which no patient was found.
    """
    rng = random.Random(seed)
    refused = 0
    for _ in range(count):
        text = "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 20)))
        head = rng.choice(["id,licence\n", "\ufeffid;licence\r\n", "id\n", ""])
        (folder / "manifest.csv").write_text(head + text, encoding="utf-8", newline="")
        try:
            source = NiftiSource(folder)
        except UserError as error:
            assert str(folder) in str(error)
            refused += 1
            continue
        for patient in source.ids:
            assert patient.isprintable() and "/" not in patient
    return refused


def _places(value, place=()):
    yield place
    keys = value if isinstance(value, dict) else range(len(value)) if _is_list(value) else ()
    for key in keys:
        yield from _places(value[key], (*place, key))


def _is_list(value):
    return isinstance(value, list)


def _read(path):
    dataset = open_dataset(path)
    for patient in dataset.ids:
        network_arrays(dataset.load(patient))
    for fold in range(len(dataset.manifest["folds"])):
        dataset.split(fold)
    dataset.content_hash()


def _continue(path):
    writer = DatasetWriter(path, {**CONFIGURATION, "size": 6})
    for patient in ("p0", "p1"):
        if writer.knows(patient):
            writer.has(patient, "0")
            writer.image_of(patient)
        writer.rejected_with(patient)
