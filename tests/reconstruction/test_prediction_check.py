"""Answers of models and servers: those that are taken, and those that are refused."""

import numpy as np
import pytest

from xctrs_tf.errors import UserError
from xctrs_tf.reconstruction.prediction_check import (
    checked_spacing,
    model_volumes,
    server_volumes,
)

SIZE = 4
SHAPE = (SIZE,) * 3
WINDOW = (-1000.0, 1500.0)


def answer_of_a_model(**changes):
    classes = np.zeros((1, *SHAPE, 8), np.float32)
    classes[..., 2] = 1
    return {"ct": np.full((1, *SHAPE, 1), 0.5, np.float32), "segmentation": classes, **changes}


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def check_model(segments=True, **changes):
    return model_volumes(answer_of_a_model(**changes), SIZE, WINDOW, segments, "M/1: the model")


def test_a_constant_ct_is_taken_with_a_warning(caplog):
    check_model()
    check_server()
    assert caplog.messages == [
        "M/1: the model's CT is 250 HU everywhere: it shows nothing of these films",
        "--server=h:1: the answer's CT is -7 HU everywhere: it shows nothing of these films",
    ]
    caplog.clear()
    check_model(ct=changed(GOOD["ct"], (0, 1, 1, 1, 0), 0.2))
    assert not caplog.messages


def test_a_good_model():
    ct_hu, classes = check_model()
    assert (ct_hu == 250).all() and ct_hu.dtype == np.int16
    np.testing.assert_array_equal(classes, answer_of_a_model()["segmentation"][0])
    assert check_model(segments=False)[1] is None
    # Sums of float32 are off by some rounding.
    check_model(ct=answer_of_a_model()["ct"] + np.float32(0.5000001))


GOOD = answer_of_a_model()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ct": changed(GOOD["ct"], (0, 1, 1, 1, 0), np.nan)}, "ct .*: holds NaN or infinite"),
        ({"ct": changed(GOOD["ct"], (0, 1, 1, 1, 0), np.inf)}, "ct .*: holds NaN or infinite"),
        ({"ct": changed(GOOD["ct"], (0, 1, 1, 1, 0), 1.2)}, "ct .*: reaches from 0.5 to 1.2"),
        (
            {"ct": changed(GOOD["ct"], (0, 1, 1, 1, 0), -1e9)},
            r"ct .*: reaches from -1e\+09 to 0.5",
        ),
        ({"ct": GOOD["ct"][..., 0]}, "ct .*: has 1 x 4 x 4 x 4"),
        ({"ct": GOOD["ct"][:, 1:]}, "ct .*: has 1 x 3 x 4 x 4 x 1"),
        ({"ct": np.zeros((0, *SHAPE, 1))}, "ct .*: has 0 x 4 x 4 x 4 x 1"),
        ({"ct": GOOD["ct"].astype("U4")}, "ct .*: it does not hold numbers"),
        ({"ct": GOOD["ct"] > 0}, "ct .*: it does not hold numbers"),
        ({"ct": GOOD["ct"] * 1j}, "ct .*: it does not hold numbers"),
        ({"segmentation": GOOD["segmentation"][..., :7]}, "segmentation .*: has 1 x 4 x 4 x 4 x 7"),
        ({"segmentation": GOOD["segmentation"] * np.nan}, "segmentation .*: holds NaN"),
        ({"segmentation": GOOD["segmentation"] * 0.5}, "segmentation .*: they do not sum to 1"),
        ({"segmentation": -GOOD["segmentation"]}, "segmentation .*: reaches from -1 to "),
    ],
)
def test_lies_of_a_model_are_refused(changes, message):
    with pytest.raises(UserError, match=rf"M/1: the model's {message}.*; export the run again"):
        check_model(**changes)


def test_a_model_without_an_output():
    with pytest.raises(UserError, match=r"the model's ct is not a volume of .*: it is missing"):
        model_volumes({}, SIZE, WINDOW, None, "M/1: the model")


def check_server(as_lists=False, **changes):
    answer = {"ct_hu": np.full(SHAPE, -7), "segmentation": np.full(SHAPE, 5), **changes}
    if as_lists:
        answer = {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in answer.items()}
    return server_volumes(answer, SIZE, True, "--server=h:1: the answer", "xctrsnet")


@pytest.mark.parametrize("as_lists", [False, True])
def test_a_good_server(as_lists):
    ct_hu, labels = check_server(as_lists)
    assert (ct_hu == -7).all() and (labels == 5).all()
    assert (ct_hu.dtype, labels.dtype) == (np.int16, np.uint8)


@pytest.mark.parametrize("as_lists", [False, True])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ct_hu", np.full(SHAPE, -1001), "reaches from -1001 to -1001"),
        ("ct_hu", np.full(SHAPE, 32767), "reaches from 32767 to 32767"),
        ("ct_hu", np.full(SHAPE, 0.5), "holds fractions"),
        ("ct_hu", np.full(SHAPE, np.nan), "reaches from nan to nan"),
        ("ct_hu", np.full(SHAPE, np.inf), "reaches from inf to inf"),
        ("ct_hu", np.full(SHAPE, 10**30, object), "it does not hold numbers"),
        ("ct_hu", np.full(SHAPE, "7"), "it does not hold numbers"),
        ("ct_hu", np.full(SHAPE, True), "it does not hold numbers"),
        ("ct_hu", np.full(SHAPE, None), "it does not hold numbers"),
        ("ct_hu", np.zeros((*SHAPE, 1)), ""),
        ("ct_hu", np.zeros((SIZE, SIZE)), ""),
        ("ct_hu", np.zeros((0, 0, 0)), ""),
        ("ct_hu", [[[[1]], [2]]], "it does not hold numbers"),
        ("ct_hu", [[[0] * SIZE] * SIZE] * (SIZE - 1) + [[[0] * SIZE] * SIZE + [7]], ""),
        ("ct_hu", {"a": 1}, "it does not hold numbers"),
        ("ct_hu", None, "it does not hold numbers"),
        ("segmentation", np.full(SHAPE, 8), "reaches from 8 to 8"),
        ("segmentation", np.full(SHAPE, -1), "reaches from -1 to -1"),
        ("segmentation", np.full(SHAPE, 2**64 - 1, np.uint64), "reaches from 1.8"),
    ],
)
def test_lies_of_a_server_are_refused(name, value, message, as_lists):
    expected = (
        f"--server=h:1: the answer's {name} is not a volume of 4\\^3 .*{message}.*; is xctrsnet"
    )
    with pytest.raises(UserError, match=expected):
        check_server(as_lists, **{name: value})


@pytest.mark.parametrize(
    "value",
    [0, -1.0, np.nan, np.inf, 1e-30, 1e160, 10**400, True, "2.5", None, [2.5], {}, 0.04, 1000.0],
)
def test_no_size_of_a_voxel(value):
    with pytest.raises(UserError, match=r"F: spacing_mm=.*(must be above 0|a neck takes 30 to)"):
        checked_spacing(value, 32, "F: spacing_mm")


def test_sizes_of_voxels():
    assert checked_spacing(np.float32(2.5), 32, "spacing_mm") == 2.5
    assert checked_spacing(1, 128, "spacing_mm") == 1.0
