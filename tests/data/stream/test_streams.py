import itertools

import numpy as np
import pytest

from tests.data.cases import edit_manifest, write_dataset
from tests.data.dataset.test_dataset import write_scans
from tests.data.stream.streams import training_pipeline
from xctrs_tf.data.dataset import network_arrays, open_dataset
from xctrs_tf.data.dataset.mixture import one_part
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry
from xctrs_tf.data.stream import sample_stream as samples
from xctrs_tf.data.stream.augmentation import (
    AUGMENTATIONS,
    OF_THE_SCAN,
    augmented_arrays,
    mirror,
)
from xctrs_tf.data.stream.numpy_batches import numpy_batches
from xctrs_tf.data.stream.sample_stream import SampleStream, batch_ids, vgg_planes
from xctrs_tf.errors import UserError

# All that go together.
MOST = tuple(name for name in AUGMENTATIONS if name not in OF_THE_SCAN)
CONE = {"kind": "cone", "source_to_isocentre_mm": 541.0, "source_to_detector_mm": 949.0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return open_dataset(write_dataset(tmp_path_factory.mktemp("data") / "set", num_patients=7))


def batches(stream, count):
    return [
        {name: tensor.numpy() for name, tensor in batch.items()}
        for batch in itertools.islice(stream, count)
    ]


def ids_of(dataset, batch):
    """Return the ids of the patients in a batch, recognised by their labels."""
    segmentations = {id: dataset.load(id).segmentation for id in dataset.ids}
    return [
        next(id for id, known in segmentations.items() if np.array_equal(known, segmentation))
        for segmentation in batch["segmentation"]
    ]


def test_element_spec_is_static(dataset):
    spec = training_pipeline(dataset, dataset.ids, 2, seed=0).element_spec
    assert {name: (tuple(tensor.shape), tensor.dtype.name) for name, tensor in spec.items()} == {
        "ap": ((2, 6, 6, 1), "float32"),
        "la": ((2, 6, 6, 1), "float32"),
        "ct": ((2, 6, 6, 6, 1), "float32"),
        "segmentation": ((2, 6, 6, 6), "int32"),
    }


def test_autotuning_is_off(dataset):
    assert training_pipeline(dataset, dataset.ids, 2, seed=0).options().autotune.enabled is False


def test_batches_hold_the_arrays_of_the_patients_they_name(dataset):
    for step, batch in enumerate(batches(training_pipeline(dataset, dataset.ids, 2, seed=5), 4)):
        for position, id in enumerate(batch_ids(one_part(None, dataset.ids), 2, 5, step)):
            for name, expected in network_arrays(dataset.load(id)).items():
                np.testing.assert_array_equal(batch[name][position], expected)


def test_every_patient_comes_once_an_epoch_and_in_another_order_in_the_next(dataset):
    # 7 patients in batches of 2: 7 batches are two epochs; the fourth lies in both.
    stream = batches(training_pipeline(dataset, dataset.ids, 2, seed=1), 7)
    seen = [id for batch in stream for id in ids_of(dataset, batch)]
    assert sorted(seen[:7]) == dataset.ids and sorted(seen[7:]) == dataset.ids
    assert seen[:7] != seen[7:]


@pytest.mark.parametrize("augment", [(), ("mirror", "films"), ("mirror", "cubes"), MOST])
def test_a_resumed_stream_goes_on_as_the_uninterrupted_one(dataset, augment):
    options = {"seed": 2, "augment": augment, "vgg_slices": 2}
    whole = batches(training_pipeline(dataset, dataset.ids, 3, **options), 7)
    resumed = batches(training_pipeline(dataset, dataset.ids, 3, start_step=4, **options), 3)
    assert "vgg_planes" in whole[0]
    for left, right in zip(whole[4:], resumed, strict=True):
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])


def test_the_seed_decides_the_order(dataset):
    orders = [
        [batch_ids(one_part(None, dataset.ids), 7, seed, step) for step in range(3)]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_mirroring_is_seeded_and_takes_about_half(dataset):
    plain = batches(training_pipeline(dataset, dataset.ids, 7, seed=3), 8)
    stream = batches(training_pipeline(dataset, dataset.ids, 7, seed=3, augment=("mirror",)), 8)
    flips = []
    for before, after in zip(plain, stream, strict=True):
        for position in range(7):
            same = np.array_equal(before["ct"][position], after["ct"][position])
            expected = {name: array[position] for name, array in before.items()}
            for name, array in (expected if same else mirror(expected)).items():
                np.testing.assert_array_equal(after[name][position], array)
            flips.append(not same)
    assert 16 < sum(flips) < 40


@pytest.mark.parametrize("augment", [("mirror",), ("mirror", "films"), ("mirror", "cubes"), MOST])
def test_samples_are_functions_of_the_seed_and_their_number(dataset, augment):
    stream = batches(training_pipeline(dataset, dataset.ids, 2, seed=5, augment=augment), 2)
    for step, batch in enumerate(stream):
        for position, id in enumerate(batch_ids(one_part(None, dataset.ids), 2, 5, step)):
            expected = augmented_arrays(dataset.load(id), augment, 5, 2 * step + position)
            for name, array in expected.items():
                np.testing.assert_array_equal(batch[name][position], array)


def test_unknown_augmentations_and_films_that_cannot_follow(dataset):
    with pytest.raises(UserError, match="augment 'blur': must be one of mirror, histogram, pose"):
        training_pipeline(dataset, dataset.ids, 2, seed=0, augment=("mirror", "blur"))

    def films_of(**geometry):
        manifest = {**dataset.manifest, "projection": ProjectionGeometry(**geometry).to_json()}
        return type(dataset)(dataset.path, manifest)

    full, cone = films_of(field_of_view="full"), films_of(**CONE)
    training_pipeline(full, dataset.ids, 2, seed=0, augment=("mirror",))
    with pytest.raises(UserError, match=r"augment pose: .* parallel films of the crop alone"):
        training_pipeline(full, dataset.ids, 2, seed=0, augment=("pose",))
    training_pipeline(cone, dataset.ids, 2, seed=0, augment=("noise", "histogram"))
    with pytest.raises(UserError, match="augment mirror: with a cone beam the LA film"):
        training_pipeline(cone, dataset.ids, 2, seed=0, augment=("mirror",))


def test_poses_and_effects_of_the_films_limit_what_can_follow(dataset):
    def films_of(**options):
        manifest = {**dataset.manifest, "projection": FilmSimulation(**options).to_json()}
        return type(dataset)(dataset.path, manifest)

    shifted, turned = films_of(pose_translation_mm=3.0), films_of(pose_rotation_deg=3.0)
    training_pipeline(shifted, dataset.ids, 2, seed=0, augment=("mirror", "noise"))
    training_pipeline(turned, dataset.ids, 2, seed=0, augment=("histogram",))
    with pytest.raises(UserError, match="augment mirror: the LA film of a turned patient"):
        training_pipeline(turned, dataset.ids, 2, seed=0, augment=("mirror",))
    for films in (shifted, turned, films_of(gamma=2.0)):
        with pytest.raises(UserError, match=r"augment pose: .* without poses and effects"):
            training_pipeline(films, dataset.ids, 2, seed=0, augment=("pose",))


def test_a_cached_patient_is_read_once(dataset, monkeypatch):
    loads = []
    read = type(dataset).load
    monkeypatch.setattr(type(dataset), "load", lambda self, id: loads.append(id) or read(self, id))
    batches(training_pipeline(dataset, dataset.ids[:2], 2, seed=0), 6)
    assert len(loads) <= 4  # Two threads may both read a patient that is not cached yet.
    monkeypatch.setattr(samples, "CACHE_BYTES", 0)
    batches(training_pipeline(dataset, dataset.ids[:2], 2, seed=0), 6)
    assert len(loads) >= 12


def test_fewer_patients_than_a_batch_are_refused(dataset):
    with pytest.raises(UserError, match=r"batch size 8: only 7 training patients in .*; lower it"):
        training_pipeline(dataset, dataset.ids, 8, seed=0)


def test_numpy_batches_are_the_same_batches(dataset):
    """Compare the batches for other backends with those of `tf.data`."""
    options = {"seed": 2, "augment": MOST, "vgg_slices": 3}
    stream = SampleStream(one_part(dataset, dataset.ids), 3, **options)
    ours = itertools.islice(numpy_batches(stream, start_step=4), 5)
    theirs = batches(training_pipeline(dataset, dataset.ids, 3, start_step=4, **options), 5)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.keys() == other.keys()
        for name, array in mine.items():
            assert array.dtype == other[name].dtype
            np.testing.assert_array_equal(array, other[name])


def test_planes_are_uniform_without_replacement():
    total, count, draws = 6, 2, 900
    seen = np.zeros((3, total, total))
    for step in range(draws):
        for axis, (first, second) in enumerate(vgg_planes(total, count, 0, step)):
            seen[axis, first, second] += 1
    expected = draws / (total * (total - 1))
    for of_axis in seen:
        assert np.trace(of_axis) == 0
        others = of_axis[~np.eye(total, dtype=bool)]
        # Chi-square with 29 degrees of freedom: mean 29, standard deviation 7.6.
        assert np.sum((others - expected) ** 2 / expected) < 29 + 4 * 7.6


def test_planes_follow_seed_and_step_and_differ_between_views():
    draws = {(seed, step): vgg_planes(64, 8, seed, step) for seed in range(3) for step in range(5)}
    for (seed, step), planes in draws.items():
        np.testing.assert_array_equal(vgg_planes(64, 8, seed, step), planes)
        assert planes.dtype == np.int32 and planes.shape == (3, 8)
    assert len({tuple(view) for planes in draws.values() for view in planes}) == 3 * len(draws)


@pytest.mark.parametrize(("workers", "replicas"), [(1, 1), (1, 2), (2, 4)])
def test_every_part_of_a_batch_has_the_planes_of_its_step(dataset, workers, replicas):
    parts = replicas // workers
    for worker in range(workers):
        stream = training_pipeline(
            dataset,
            dataset.ids,
            4,
            seed=3,
            start_step=2,
            vgg_slices=3,
            replicas=replicas,
            worker=(worker, workers),
        )
        assert tuple(stream.element_spec["vgg_planes"].shape) == (3, 3)
        for number, batch in enumerate(batches(stream, 3 * parts)):
            expected = vgg_planes(dataset.size, 3, 3, 2 + number // parts)
            np.testing.assert_array_equal(batch["vgg_planes"], expected)


def test_the_stream_equalizes_films(dataset):
    sample = SampleStream(one_part(dataset, dataset.ids), 1, 0, film_normalization="equalized")[3]
    (patient,) = batch_ids(one_part(None, dataset.ids), 1, 0, 3)
    for name, expected in network_arrays(dataset.load(patient), "equalized").items():
        np.testing.assert_array_equal(sample[name], expected)
    assert np.any(sample["ap"] != network_arrays(dataset.load(patient))["ap"])


def test_no_augmentation_draws_with_the_planes():
    # Another number of the planes would change what resumed runs see.
    assert samples._PLANES == 5 and samples._PLANES not in AUGMENTATIONS.values()


@pytest.mark.parametrize("augment", ["mirror", "pose"])
def test_films_that_no_network_gets_need_not_follow(tmp_path, augment):
    turned = FilmSimulation(pose_rotation_deg=5.0).to_json()
    path = write_dataset(tmp_path / "set")
    edit_manifest(path, lambda manifest: manifest.update(projection=turned))
    dataset = open_dataset(path)
    with pytest.raises(UserError, match=f"augment {augment}"):
        SampleStream(one_part(dataset, dataset.ids), 1, 0, augment=(augment,))
    sample = SampleStream(one_part(dataset, dataset.ids), 1, 0, (augment,), uses_films=False)[0]
    assert sample["ct"].shape == (6, 6, 6, 1)


def test_films_say_once_that_they_show_the_crops_alone(dataset, caplog):
    SampleStream(one_part(dataset, dataset.ids), 1, 0, augment=("films",))[0]
    (record,) = caplog.records
    assert str(dataset.path) in record.message and "crops alone" in record.message
    SampleStream(one_part(dataset, dataset.ids), 1, 0, augment=("mirror",))
    assert len(caplog.records) == 1


def test_films_show_the_scans_that_the_folder_keeps(tmp_path):
    keeping = write_scans(tmp_path / "scans")
    stream = SampleStream(one_part(keeping, keeping.ids), 1, 0, augment=("films",))
    (patient,) = batch_ids(one_part(None, keeping.ids), 1, 0, 1)
    case = keeping.load(patient, with_scan=True)
    np.testing.assert_array_equal(stream[1]["ap"], augmented_arrays(case, ("films",), 0, 1)["ap"])
    crop = augmented_arrays(keeping.load(patient), ("films",), 0, 1)
    assert np.any(stream[1]["ap"] != crop["ap"])
