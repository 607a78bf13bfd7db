import pytest

from xctrs_tf.data.folds import make_folds


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
