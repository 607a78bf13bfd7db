import dataclasses

import pytest

from tests.evaluation.patients import MemoryDataset, make_case
from xctrs_tf.data.dataset import Split
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import Training, choose_cohort, training_of


class Folder(MemoryDataset):
    """Data of two folds, whose scans have the hashes ``scan of <id>``."""

    def __init__(self, ids, sha256, path="DATA", hashed=True):
        super().__init__([make_case(name, hu=index) for index, name in enumerate(ids)], path)
        self.sha256, self.hashed = sha256, hashed

    def split(self, fold):
        tests = [self.ids[:1], self.ids[-1:]][fold]
        others = [name for name in self.ids if name not in tests]
        return Split(training=others[1:], validation=others[:1], test=tests)

    def content_hash(self):
        return self.sha256

    def fold_with(self, split_sha256):
        return next((fold for fold in (0, 1) if self.split_hash(fold) == split_sha256), None)

    def identity(self, patient):
        return {f"scan of {patient}"} if self.hashed else set()


OWN = Folder(["p0", "p1", "p2", "p3"], "own")
TRAINING = Training("own", 1, "DATA")


@pytest.fixture(autouse=True)
def training_data(monkeypatch):
    """The folder DATA holds the training data."""
    monkeypatch.setattr("xctrs_tf.evaluation.cohort.open_dataset", lambda path: OWN)


def test_test_patients_of_the_own_fold_are_unseen():
    cohort = choose_cohort(OWN, [TRAINING])
    assert (cohort.ids, cohort.split, cohort.fold) == (["p3"], "test", 1)
    assert cohort.is_own and cohort.is_own_test
    assert (cohort.trained_on, cohort.warning()) == (0, None)
    assert cohort.mean_volume()[1] == 2


def test_folds_that_were_dealt_anew_are_other_data():
    known = dataclasses.replace(TRAINING, split_sha256="without p3")
    assert choose_cohort(OWN, [known]).is_own_test
    cohort = choose_cohort(OWN, [dataclasses.replace(known, split_sha256="without p1")])
    assert (cohort.split, cohort.is_own, cohort.trained_on) == ("all", False, None)
    assert "dealt to other folds than when the model was trained on it" in cohort.warning()
    assert "is not known" in cohort.warning() and cohort.mean_volume() == (None, 0)
    # The mean volume of one deal is not that of another.
    two = [known, dataclasses.replace(known, split_sha256=None)]
    assert choose_cohort(OWN, two).mean_volume() == (None, 0)


@pytest.mark.parametrize(
    ("ours", "told", "warned"),
    [(5.0, None, True), (4.02, None, False), (5.0, 5.0, False), (4.0, 5.0, True)],
)
def test_other_voxels_than_those_of_the_training_are_told(ours, told, warned):
    other = Folder(["q0", "q1"], "other")
    other.spacing_mm = ours
    warning = choose_cohort(other, [dataclasses.replace(TRAINING, spacing_mm=told)]).warning()
    assert "not the data that the model was trained on" in warning
    wanted = f"its voxels of {ours:g} mm are not those of the training data of {told or 4:g} mm"
    assert (wanted in warning) is warned
    assert (f"prepare it with --spacing_mm={told or 4:g}" in warning) is warned


@pytest.mark.parametrize(
    ("takes_films", "told", "at_hand", "warned"),
    [
        # The folder of the training data tells it, or an export.
        (True, None, "DATA", True),
        (True, FilmSimulation(), None, True),
        (True, FilmSimulation(gamma=2.0), "DATA", False),
        # Not known, and of no matter.
        (True, None, None, False),
        (False, None, "DATA", False),
    ],
)
def test_films_that_were_made_otherwise_than_in_training_are_told(
    monkeypatch, takes_films, told, at_hand, warned
):
    monkeypatch.setattr(OWN, "films", FilmSimulation(), raising=False)
    other = Folder(["q0", "q1"], "other")
    other.films = FilmSimulation(gamma=2.0)
    training = Training("own", 1, at_hand, takes_films=takes_films, films=told)
    warning = choose_cohort(other, [training]).warning()
    assert "not the data that the model was trained on" in warning
    wanted = (
        "; its films are made otherwise than those of the training data: gamma 2 instead of none"
    )
    assert warning.endswith(wanted) is warned
    assert ("films" in warning) is warned


@pytest.mark.parametrize(
    ("split", "fold", "ids", "seen"),
    [
        ("training", None, ["p1", "p2"], 2),
        ("validation", None, ["p0"], 0),
        ("all", None, ["p0", "p1", "p2", "p3"], 2),
        ("test", 0, ["p0"], 0),
        ("training", 0, ["p2", "p3"], 1),
    ],
)
def test_other_parts_of_the_training_data(split, fold, ids, seen):
    cohort = choose_cohort(OWN, [TRAINING], split, fold)
    assert (cohort.ids, cohort.trained_on, cohort.is_own_test) == (ids, seen, False)
    warning = f"{seen} of these {len(ids)} patients are training patients of the model"
    assert cohort.warning() is None if not seen else cohort.warning().startswith(warning)
    # It is that of the model's own training patients.
    assert cohort.mean_volume()[0].ct.min() == pytest.approx((1000 + 1.5) / 2500)


@pytest.mark.parametrize(
    ("ids", "hashed", "data", "seen", "words"),
    [
        (["a", "b"], True, "DATA", 0, "none of its scans is that of a training patient"),
        (["p2", "b", "p0"], True, "DATA", 1, "1 of these 3 scans are those of training patients"),
        (["a"], False, "DATA", None, "whether some of its patients are among the training"),
        (["p1"], True, None, None, "whether some of its patients are among the training"),
    ],
)
def test_all_patients_of_other_data(ids, hashed, data, seen, words):
    other = Folder(ids, "other", "OTHER", hashed)
    cohort = choose_cohort(other, [dataclasses.replace(TRAINING, data=data)])
    assert (cohort.ids, cohort.split, cohort.fold) == (ids, "all", None)
    assert not cohort.is_own and cohort.trained_on == seen
    assert cohort.warning().startswith("OTHER: not the data that the model was trained on; ")
    assert words in cohort.warning()
    # Without the training data there is no mean of it.
    assert cohort.mean_volume()[1] == (0 if data is None else 2)


def test_a_phantom_on_other_voxels_is_the_same_patient(monkeypatch):
    fine = Folder(["a", "b"], "fine")
    hashes = {"a": {"fine scan", "scan of p1"}, "b": {"other scan", "scan of p0"}}
    monkeypatch.setattr(fine, "identity", hashes.get)
    assert choose_cohort(fine, [TRAINING]).trained_on == 1


def test_a_part_of_other_data_is_of_its_first_fold():
    cohort = choose_cohort(Folder(["a", "b", "c"], "other"), [TRAINING], "test")
    assert (cohort.ids, cohort.fold, cohort.is_own_test) == (["a"], 0, False)


def test_training_data_that_changed_is_not_that_of_the_model(monkeypatch):
    changed = Folder(["p0", "p1", "p2"], "changed")
    monkeypatch.setattr("xctrs_tf.evaluation.cohort.open_dataset", lambda path: changed)
    cohort = choose_cohort(Folder(["a"], "other"), [TRAINING])
    assert (cohort.trained_on, cohort.mean_volume()) == (None, (None, 0))


def test_models_of_several_folds():
    both = [TRAINING, dataclasses.replace(TRAINING, fold=0)]
    with pytest.raises(UserError, match="--fold: the models were trained on the folds 0, 1; name"):
        choose_cohort(OWN, both)
    cohort = choose_cohort(OWN, both, "test", 1)
    # The first fold trained on it.
    assert (cohort.ids, cohort.trained_on, cohort.is_own_test) == (["p3"], 1, False)
    assert cohort.mean_volume() == (None, 0)


def test_a_model_that_does_not_tell_its_training():
    cohort = choose_cohort(OWN, [Training(None, None)])
    assert (len(cohort.ids), cohort.is_own, cohort.trained_on) == (4, False, None)


def test_mistakes():
    with pytest.raises(UserError, match="--fold=0: --split=all takes the patients of all folds"):
        choose_cohort(OWN, [TRAINING], "all", 0)
    with pytest.raises(UserError, match="DATA: fold 1 has no training patients; try --split=all"):
        choose_cohort(Folder(["a", "b"], "own"), [TRAINING], "training")


def told(data, fold=None, **changes):
    """Describe a data folder as a config.json does."""
    split = None if fold is None else data.split_hash(fold)
    folder = {"data_sha256": data.content_hash(), "split_sha256": split, "sources": data.sources()}
    return {**folder, **changes}


def test_a_second_data_folder_of_the_training_counts(monkeypatch):
    second = Folder(["p3", "q1", "q2"], "second", "SECOND")
    folders = {"DATA": OWN, "SECOND": second}
    monkeypatch.setattr("xctrs_tf.evaluation.cohort.open_dataset", folders.get)
    mixed = [told(OWN, 1), told(second, 1)]
    # p3 is a test patient of the first folder and a training patient of the second.
    second.split = {1: Split(training=["p3", "q1"], validation=[], test=["q2"])}.get
    cohort = choose_cohort(OWN, [training_of(1, mixed, paths=["DATA", "SECOND"])])
    assert (cohort.ids, cohort.is_own, cohort.trained_on) == (["p3"], True, 1)
    assert "1 of these 1 patients are training patients" in cohort.warning()
    cohort = choose_cohort(second, [training_of(1, mixed, paths=["DATA", "SECOND"])])
    assert (cohort.is_own, cohort.split, cohort.trained_on) == (False, "all", 2)
    # An exported model does not hold the second folder.
    cohort = choose_cohort(OWN, [training_of(1, mixed)])
    assert cohort.trained_on is None
    assert "whether the model has seen some of these patients is not known" in cohort.warning()
    # An earlier training does not tell where its data are, but it is where the last one's are.
    begun = training_of(1, mixed, [{"fold": 1, "folders": [told(second, 1)]}], ["DATA", "SECOND"])
    assert choose_cohort(OWN, [begun]).trained_on == 1
    other = training_of(1, [told(OWN, 1)], [{"fold": 0, "folders": [told(OWN, 0)]}], ["DATA"])
    assert choose_cohort(second, [other]).trained_on is not None
    # No patient is a phantom.
    phantoms = told(second, 1, sources=[{"source": "phantom"}])
    cohort = choose_cohort(OWN, [training_of(1, [told(OWN, 1), phantoms])])
    assert (cohort.trained_on, cohort.warning()) == (0, None)


@pytest.mark.parametrize(
    ("folders", "seen"),
    [
        # On the same fold, and on another one, which trained on the test patient of this one.
        ([told(OWN, 1)], 0),
        ([told(OWN, 0)], 1),
        # A stage that does not tell its folds, and one that does not tell its data.
        ([told(OWN)], None),
        ([], None),
    ],
)
def test_a_training_that_the_model_began_with_counts(folders, seen):
    training = training_of(1, [told(OWN, 1)], [{"source": "first", "folders": folders}])
    cohort = choose_cohort(OWN, [training])
    assert (cohort.ids, cohort.is_own, cohort.trained_on) == (["p3"], True, seen)
    # Models of earlier versions do not tell their folds, and neither do their stages.
    earlier = training_of(1, [told(OWN)], [{"source": "first", "folders": [told(OWN)]}])
    assert choose_cohort(OWN, [earlier]).trained_on == 0
