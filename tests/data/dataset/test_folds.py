import pytest

from xctrs_tf.data.dataset.folds import draw_validation, make_folds


def test_the_papers_69_patients_give_nine_groups_of_seven_and_one_of_six():
    ids = [f"{number:03d}" for number in range(69)]
    folds = make_folds(ids)
    assert [len(fold) for fold in folds] == [7] * 9 + [6]
    assert sorted(patient for fold in folds for patient in fold) == ids


@pytest.mark.parametrize(
    ("patients", "num_folds", "sizes"), [(12, 10, [2, 2] + [1] * 8), (3, 10, [1] * 3), (7, 1, [7])]
)
def test_group_sizes(patients, num_folds, sizes):
    folds = make_folds([str(number) for number in range(patients)], num_folds)
    assert [len(fold) for fold in folds] == sizes


def test_folds_depend_on_the_seed_and_not_on_the_order():
    ids = [str(number) for number in range(30)]
    assert make_folds(ids, seed=3) == make_folds(ids[::-1], seed=3)
    assert make_folds(ids, seed=3) != make_folds(ids, seed=4)
    assert make_folds(ids)[0] != sorted(ids)[:3]


def test_a_tenth_of_the_others_validates():
    ids = [f"{number:03d}" for number in range(69)]
    folds = make_folds(ids)
    for fold, test in enumerate(folds):
        drawn = draw_validation(ids, test, fold)
        assert len(drawn) == 6 and drawn == sorted(drawn)
        assert set(drawn) <= set(ids) - set(test)


def test_validation_patients_depend_on_fold_and_seed_and_not_on_the_order():
    ids = [str(number) for number in range(30)]
    first = draw_validation(ids, ["3"], 0, seed=1)
    assert draw_validation(ids[::-1], ["3"], 0, seed=1) == first
    assert draw_validation(ids, ["3"], 1, seed=1) != first
    assert draw_validation(ids, ["3"], 0, seed=2) != first


def test_training_patients_are_left():
    assert draw_validation(["a", "b", "c"], ["a"], 0) in (["b"], ["c"])
    assert draw_validation(["a", "b"], ["a"], 0) == []


def test_validation_patients_are_golden():
    # python -c "import numpy as np; r = np.random.default_rng([5, 2]);
    #            print(r.permutation([f'p{i}' for i in range(1, 9)])[:1])"
    assert draw_validation([f"p{number}" for number in range(9)], ["p0"], 2, seed=5) == ["p1"]
