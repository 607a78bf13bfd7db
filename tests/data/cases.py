"""Small synthetic patients and data folders."""

import json

import numpy as np

from xctrs_tf.data.dataset import Case
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter

CONFIGURATION = {"source": "test", "size": 6, "seed": 0, "projection": {"geometry": "parallel"}}
RECORD = {"source": "test", "source_file": "none", "source_sha256": "0", "licence": "none"}


def make_case(name, number=0, size=6):
    """Return a case of random voxels; ``number`` is the seed."""
    rng = np.random.default_rng(number)
    ct = rng.integers(-1000, 1500, (size,) * 3, np.int16)
    return Case(
        id=name,
        ct=ct,
        segmentation=rng.integers(0, 8, (size,) * 3, np.uint8),
        ap=ct.sum(axis=1, dtype=np.float32),
        la=ct.sum(axis=0, dtype=np.float32),
        spacing_mm=2.5,
        origin_mm=(1.0, -2.0, 3.5),
    )


def write_dataset(path, num_patients=10, size=6, num_folds=5):
    """Write a data folder of patients p0, p1, ...; patient n is in fold n % num_folds."""
    writer = DatasetWriter(path, {**CONFIGURATION, "size": size})
    ids = [f"p{number}" for number in range(num_patients)]
    for number, name in enumerate(ids):
        writer.add(make_case(name, number, size), RECORD)
    writer.finalise([ids[fold::num_folds] for fold in range(num_folds)], [])
    return path


def edit_manifest(path, change):
    """Change the manifest of a data folder by a function of its dict."""
    file = path / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    change(manifest)
    file.write_text(json.dumps(manifest), encoding="utf-8")


def deal_anew(path):
    """Deal the patients of a data folder to the folds in another way."""

    def rotate(manifest):
        for field in ("folds", "validation"):
            manifest[field] = [*manifest[field][1:], manifest[field][0]]

    edit_manifest(path, rotate)
