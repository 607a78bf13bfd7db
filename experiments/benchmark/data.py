"""Patients per second of the training pipeline, and the time of projections."""

import dataclasses
import pathlib
import statistics
import tempfile
import time

import numpy as np

from experiments.benchmark import plastimatch
from xctrs_tf.data.phantom import make_phantom
from xctrs_tf.geometry import VIEWS

PATIENTS = 16
BATCH_SIZE = 2
SIZE = 128
FIELD_MM = 128.0
# Target for two workers, in patients per second.
PIPELINE_AIMS = {64: 30.0, 128: 5.0}
PARALLEL_AIM = 10.0
# Voxels a side, and the target for one core, in patients per second, of new poses.
POSED_SIZE = 64
POSE_AIM = 30.0
# Most CPU milliseconds of one core for a patient of the augmentation `films`, at each size.
FILMS_AIMS = {64: 60.0, 128: 250.0}
# Projections in one measurement: a single one is so short that the state of the CPU
# caches would decide its time.
CALLS = 5


def pipeline(repeats):
    """Measure patients per second at each size, with and without augmentation.

    Args:
        repeats: measurements of each.

    Yields:
        ``(name, values, unit, aim, at_least)``.
    """
    from xctrs_tf.data.dataset import open_dataset
    from xctrs_tf.data.dataset.mixture import one_part
    from xctrs_tf.data.stream import sample_stream as samples
    from xctrs_tf.data.stream import tf_data as pipeline
    from xctrs_tf.data.stream.augmentation import AUGMENTATIONS

    # Reading is measured, so no patient may stay in memory.
    samples.CACHE_BYTES = 0
    for size, aim in PIPELINE_AIMS.items():
        with tempfile.TemporaryDirectory() as folder:
            dataset = open_dataset(_write_dataset(pathlib.Path(folder) / "data", size))
            others = tuple(name for name in AUGMENTATIONS if name != "films")
            for name, augment in (
                ("", ()),
                (" augmented", others),
                (" films", ("mirror", "films")),
            ):
                parts = one_part(dataset, dataset.ids)
                patients = samples.SampleStream(parts, BATCH_SIZE, seed=0, augment=augment)
                stream = iter(pipeline.training_pipeline(patients))
                next(stream)
                rates = [_rate(stream) for _ in range(repeats)]
                yield f"pipeline {size}^3{name}", rates, "patients/s", aim, True


def _rate(stream, batches=PATIENTS // BATCH_SIZE):
    start = time.perf_counter()
    for _ in range(batches):
        next(stream)
    return batches * BATCH_SIZE / (time.perf_counter() - start)


def _write_dataset(path, size):
    """Write a data folder of one phantom under several names."""
    from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
    from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry

    phantom = _phantom_case(size)
    projection = ProjectionGeometry().to_json()
    writer = DatasetWriter(
        path, {"source": "phantom", "size": size, "seed": 0, "projection": projection}
    )
    ids = [f"copy-{number:02}" for number in range(PATIENTS)]
    for name in ids:
        case = dataclasses.replace(phantom, id=name)
        writer.add(case, {"source": "phantom", "source_sha256": "", "licence": "none"})
    writer.finalise([ids[::2], ids[1::2]], [])
    return path


def projection(repeats):
    """Measure the milliseconds for both films of one volume; yield rows like `pipeline`."""
    import tensorflow as tf
    from keras import ops

    from xctrs_tf.data.projection.array_projection import for_both_views, project_array
    from xctrs_tf.data.projection.drr import hu_to_mu, parallel_projection
    from xctrs_tf.data.projection.projection_geometry import PRESETS_MM

    spacing_mm = FIELD_MM / SIZE
    mu = np.asarray(hu_to_mu(make_phantom(0, SIZE, spacing_mm).ct))
    tensor = ops.convert_to_tensor(mu)
    distances = PRESETS_MM["clinical"]

    def cone(rotation_deg=None):
        middle_mm = -(SIZE - 1) / 2 * spacing_mm
        frame = ((spacing_mm,) * 3, (middle_mm,) * 3)
        film = ((SIZE,) * 2, spacing_mm, distances[0])
        films = for_both_views(lambda view: project_array(mu, *frame, view, *film, rotation_deg))
        return list(films.values())

    ways = {
        "parallel": tf.function(
            lambda: [parallel_projection(tensor, spacing_mm, view) for view in VIEWS]
        ),
        "cone": cone,
        "cone, turned": lambda: cone((3.0, -4.0, 5.0)),
    }
    times = {name: [] for name in ways}
    program = plastimatch.find()
    theirs = []
    # In turns, so that other programs on the machine slow all of them alike.
    for repeat in range(repeats + 1):
        for name, films in ways.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                _ = [np.asarray(film) for film in films()]
            if repeat:  # The first one warms up.
                times[name].append(1e3 * (time.perf_counter() - start) / CALLS)
        if program and repeat:
            theirs.append(1e3 * plastimatch.films(program, mu, spacing_mm, *distances)[1])
    aims = {}
    if program:
        reference = statistics.median(theirs)
        aims = {"parallel": reference / PARALLEL_AIM, "cone": reference}
        yield f"plastimatch cone {SIZE}^3", theirs, "ms", None, False
    else:
        print("plastimatch: not on PATH, no aims for projection; pip install --no-deps plastimatch")
    for name, values in times.items():
        yield f"{name} {SIZE}^3", values, "ms", aims.get(name), False
    yield from _new_films(repeats)
    yield from _film_like(repeats)


def _new_films(repeats):
    """Measure patients per CPU second that are moved and whose films are made anew.

    The CPU time of all threads is counted, so the rate is that of one core.
    """
    from xctrs_tf.data.projection.drr import films_of
    from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry, VolumeFrame
    from xctrs_tf.data.stream.augmentation import move
    from xctrs_tf.data.volumes.volume import Volume

    case = _phantom_case(POSED_SIZE)
    frame = VolumeFrame(POSED_SIZE, case.spacing_mm, case.origin_mm)
    scan = Volume(case.ct, (case.spacing_mm,) * 3, case.origin_mm)
    rng = np.random.default_rng(0)
    for kind in (None, "parallel", "clinical"):

        def patient(kind=kind):
            move(case, rng)
            if kind is not None:
                films_of(scan, frame, ProjectionGeometry.preset(kind).jittered(5.0, 5.0, rng))

        patient()
        rates = []
        for _ in range(repeats):
            start = time.process_time()
            for _ in range(CALLS):
                patient()
            rates.append(CALLS / (time.process_time() - start))
        name = f"pose {POSED_SIZE}^3" + (f", {kind} films turned" if kind else "")
        yield name, rates, "patients/s", POSE_AIM, True


def _film_like(repeats):
    """Measure the CPU milliseconds of a patient of the augmentation `films`.

    The CPU time of all threads is counted, so it is the time of one core.
    """
    from xctrs_tf.data.stream.augmentation import augmented_arrays

    for size, aim in FILMS_AIMS.items():
        crop = _phantom_case(size)
        # A body as wide as two crops, and as deep.
        reach = (size // 2, size // 2, size // 4)
        scan = np.pad(crop.ct, [(extent, extent) for extent in reach], mode="edge")
        whole = dataclasses.replace(crop, scan=scan, scan_start=tuple(-extent for extent in reach))
        for name, case in (("crop", crop), ("scan", whole)):
            times = []
            for repeat in range(repeats + 1):
                start = time.process_time()
                for call in range(CALLS):
                    augmented_arrays(case, ("mirror", "films"), seed=0, index=repeat * CALLS + call)
                if repeat:  # The first one warms up.
                    times.append(1e3 * (time.process_time() - start) / CALLS)
            yield f"films {size}^3 of a {name}, one core", times, "ms", aim, False


def _phantom_case(size):
    """Return a phantom with parallel films of the crop."""
    from xctrs_tf.data.dataset import Case
    from xctrs_tf.data.projection.drr import hu_to_mu, parallel_projection

    phantom = make_phantom(0, size, FIELD_MM / size)
    mu = hu_to_mu(phantom.ct)
    return Case(
        id="phantom",
        ct=phantom.ct,
        segmentation=phantom.segmentation,
        **{view: np.asarray(parallel_projection(mu, phantom.spacing_mm, view)) for view in VIEWS},
        spacing_mm=float(phantom.spacing_mm),
        origin_mm=tuple(map(float, phantom.origin_mm)),
    )
