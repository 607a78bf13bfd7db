"""Prepared folders of box patients, runs that were trained on them, and a network that knows."""

import dataclasses
import json

import keras

from tests.ct_segmentation.level_results import box_case, result_of, with_scan
from tests.evaluation.patients import SIZE
from xctrs_tf.ct_segmentation.findings import NoCervicalSpine
from xctrs_tf.ct_segmentation.level_evaluation import evaluated_volume, true_labels
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
from xctrs_tf.files import read_json, write_json
from xctrs_tf.training.config import TrainingConfig

RECORD = {"source": "test", "source_file": "none", "source_sha256": "0", "licence": "none"}
SEGMENTING = TrainingConfig(
    size=SIZE, width=0.125, steps=1, reconstruction="none", rsc_weight=0.0, fold=1
)


def write_boxes(path, images="image", keep_scan=True, count=10, **manifest):
    """Write patients p0, p1, ... in five folds; their scans have the hashes image0, image1, ..."""
    configuration = {"source": "test", "size": SIZE, "seed": 0, **manifest}
    configuration |= {"projection": {"geometry": "parallel"}, "keep_scan": keep_scan or None}
    name = None if "labels" in manifest else "pseudo-label Dice"
    writer = DatasetWriter(path, configuration, name)
    ids = [f"p{number}" for number in range(count)]
    for number, name in enumerate(ids):
        case = with_scan(box_case(name, number)) if keep_scan else box_case(name, number)
        record = dict(RECORD)
        if images:
            record["image_sha256"] = f"{images}{number}".ljust(64, "0")
            record["source_sha256"] = f"{images}{number} files"
        if keep_scan:
            record["kept_scan_size"] = list(case.scan.shape)
        writer.add(case, record)
    writer.finalise([ids[fold::5] for fold in range(5)], [])
    return open_dataset(path)


def write_phantoms(path, images, count=10):
    """Write box patients that say that they are the phantoms of seed 0, without scans."""
    folder = write_boxes(path, images=images, keep_scan=False, count=count).path
    manifest = read_json(folder / "manifest.json")
    for number, patient in enumerate(manifest["patients"]):
        patient |= {"source": "phantom", "source_file": f"phantom seed {number}"}
    write_json(folder / "manifest.json", manifest)
    return open_dataset(folder)


def told(dataset, fold):
    """Describe a data folder as a config.json does."""
    return {
        "sources": dataset.sources(),
        "training_patients": len(dataset.split(fold).training),
        "share": 1.0,
        "data_sha256": dataset.content_hash(),
        "split_sha256": dataset.split_hash(fold),
    }


def earlier_training(fold, *folders):
    """Describe a training that a run began with, as its config.json does."""
    return {"source": "first", "fold": fold, "networks": ["mulsisnet"], "folders": list(folders)}


def write_segmenting_run(path, *datasets, stages=(), **changes):
    """Write the record of a run that was trained on folders, without a checkpoint."""
    data = ",".join(str(dataset.path) for dataset in datasets)
    config = dataclasses.replace(SEGMENTING, data=data, **changes)
    folders = [{**told(dataset, config.fold), "share": 1 / len(datasets)} for dataset in datasets]
    record = {
        "format": "xctrs-run/1",
        "training": config.to_json(),
        "data_sha256": datasets[0].content_hash(),
        "folders": folders,
        "stages": list(stages),
    }
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(record), encoding="utf-8")
    return path


def toy_network(size, width, name="mulsisnet"):
    """Return one convolution in place of MulSISNet, which takes seconds to trace."""
    ct = keras.Input((size, size, size, 1), name="ct")
    x = keras.layers.Conv3D(8, 3, padding="same", name="head")(ct)
    return keras.Model(ct, keras.layers.Softmax(name="segmentation")(x), name=name)


class TrueSegmenter:
    """Segmenter that answers with the true labels, but finds no spine in the patients named."""

    def __init__(self, dataset, without=(), **record):
        self.record = {"name": "true", "weights_sha256": "w" * 64, **record}
        self.dataset = dataset
        self.without = without
        self.asked = []

    def __call__(self, scan, progress=None):
        patient = scan.name.removeprefix("patient ")
        self.asked.append(patient)
        if patient in self.without:
            raise NoCervicalSpine(f"{scan.name}: no cervical spine found")
        case = self.dataset.load(patient, with_scan=True)
        return result_of(true_labels(case), evaluated_volume(case))
