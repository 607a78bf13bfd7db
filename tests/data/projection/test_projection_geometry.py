import dataclasses
import json

import numpy as np
import pytest

from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry
from xctrs_tf.errors import UserError


def test_presets():
    assert ProjectionGeometry.preset("parallel") == ProjectionGeometry(
        "parallel", "crop", None, None
    )
    assert ProjectionGeometry.preset("clinical") == ProjectionGeometry("cone", "crop", 1500, 1800)
    assert ProjectionGeometry.preset("x2ct") == ProjectionGeometry("cone", "crop", 541, 949)
    with pytest.raises(UserError, match="'fan': must be one of parallel, clinical, x2ct"):
        ProjectionGeometry.preset("fan")


def test_json_and_back():
    geometry = ProjectionGeometry("cone", "full", 541.0, 949.0, (1, -2, 3), (4, 5, -6))
    record = json.loads(json.dumps(geometry.to_json()))
    assert record == {
        "kind": "cone",
        "field_of_view": "full",
        "source_to_isocentre_mm": 541.0,
        "source_to_detector_mm": 949.0,
        "rotation_deg": [1.0, -2.0, 3.0],
        "translation_mm": [4.0, 5.0, -6.0],
    }
    assert ProjectionGeometry.from_json(record) == geometry
    assert ProjectionGeometry.from_json({"geometry": "parallel"}) == ProjectionGeometry()
    for wrong in ({"kind": "cone"}, ["cone"], {**record, "more": 1}):
        with pytest.raises(UserError, match="projection: needs field_of_view, kind, "):
            ProjectionGeometry.from_json(wrong)


def test_jitter_is_seeded_bounded_and_added_to_the_pose():
    geometry = ProjectionGeometry(rotation_deg=(10, 0, 0), translation_mm=(0, 100, 0))
    drawn = [geometry.jittered(2, 5, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    many = [geometry.jittered(2, 5, np.random.default_rng(seed)) for seed in range(200)]
    turns = np.array([one.rotation_deg for one in many]) - (10, 0, 0)
    shifts = np.array([one.translation_mm for one in many]) - (0, 100, 0)
    assert np.all(np.abs(turns).max(0) <= 2) and np.all(np.abs(turns).max(0) > 1.8)
    assert np.all(np.abs(shifts).max(0) <= 5) and np.all(np.abs(shifts).max(0) > 4.5)
    assert geometry.is_posed and not ProjectionGeometry().is_posed
    assert dataclasses.replace(geometry, rotation_deg=(0, 0, 0)).is_posed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "fan"}, "projection 'fan': must be one of parallel, cone"),
        ({"field_of_view": "half"}, "field of view 'half': must be one of crop, full"),
        ({"kind": "cone"}, "needs 0 < source_to_isocentre_mm < source_to_detector_mm, got None"),
        (
            {"kind": "cone", "source_to_isocentre_mm": 9.0, "source_to_detector_mm": 9.0},
            "got 9.0 and 9.0",
        ),
        (
            {"kind": "cone", "source_to_isocentre_mm": 9.0, "source_to_detector_mm": np.inf},
            "got 9.0 and inf",
        ),
        ({"source_to_isocentre_mm": 9.0}, "projection parallel: has no source"),
        ({"rotation_deg": (1, 2)}, "rotation_deg needs three finite numbers"),
        ({"translation_mm": (1, 2, np.nan)}, "translation_mm needs three finite numbers"),
        ({"rotation_deg": (0, -16, 0)}, "a rotation of 16 degrees; at most 15 about each axis"),
    ],
)
def test_geometries_that_make_no_sense(arguments, message):
    with pytest.raises(UserError, match=message):
        ProjectionGeometry(**arguments)
