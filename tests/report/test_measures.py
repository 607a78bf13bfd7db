import numpy as np
import pytest

from xctrs_tf.data.phantom import make_phantom
from xctrs_tf.report.landmarks import NotFound, body_mask, end_plate
from xctrs_tf.report.measures import CUT_OFF, measure_spine

SPACING = 0.5
ORIGIN = (-10.0, 20.0, -30.0)
SHAPE = (48, 90, 130)


@pytest.fixture(scope="module")
def phantoms():
    return [make_phantom(seed, noise=False) for seed in range(6)]


def bar(labels, label, y, z, tilt_deg=0.0, height_mm=11.0, width_mm=16.0, depth_mm=15.0):
    """Return a vertebra: a box whose front is raised by ``tilt_deg``, a canal and an arch."""
    x = (np.arange(SHAPE[0]) - 23.5)[:, None, None] * SPACING
    dy = (np.arange(SHAPE[1])[None, :, None] - y) * SPACING
    dz = (np.arange(SHAPE[2])[None, None, :] - z) * SPACING
    a = np.radians(tilt_deg)
    depth, up = dy * np.cos(a) - dz * np.sin(a), dy * np.sin(a) + dz * np.cos(a)
    body = (np.abs(depth) <= depth_mm / 2) & (np.abs(up) <= height_mm / 2)
    arch = (depth >= depth_mm / 2 + 5) & (depth <= depth_mm / 2 + 9) & (np.abs(up) <= 4)
    labels[(np.abs(x) <= width_mm / 2) & (body | arch)] = label


def spine(tilt_c2=0.0, tilt_c7=0.0):
    labels = np.zeros(SHAPE, np.uint8)
    bar(labels, 2, 35.5, 95.5, tilt_c2)
    bar(labels, 7, 35.5, 33.5, tilt_c7)
    return labels


def test_volume_and_centroid_of_a_block():
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:7, 10:15, 20:27] = 3  # 105 voxels around (5, 12, 23)
    measures = measure_spine(labels, SPACING, ORIGIN)["vertebrae"]["C3"]
    assert (measures["volume"].value, measures["volume"].unit) == (105 / 8, "mm3")
    assert measures["volume"].reason is None
    assert measures["centroid"].value == (-7.5, 26.0, -18.5)
    assert measures["centroid"].unit == "mm"


def test_every_measure_of_a_vertebra_at_the_edge_of_the_volume_says_so():
    # The lowest voxels of C7 are the lowest of the volume.
    labels = spine()[:, :, 23:]
    labels[4:7, 10:15, 30:35] = 6
    measures = measure_spine(labels, SPACING, ORIGIN)
    vertebrae, column = measures["vertebrae"], measures["column"]
    assert {measure.reason for measure in vertebrae["C7"].values()} == {CUT_OFF}
    assert vertebrae["C7"]["body_height"].value == pytest.approx(11.0, abs=0.4)
    assert column["C6-C7"].reason == column["cobb_c2_c7"].reason == f"C7 {CUT_OFF}"
    assert {measure.reason for measure in vertebrae["C2"].values()} == {None}
    assert vertebrae["C6"]["volume"].reason is None


def test_distances_of_neighbours():
    labels = np.zeros(SHAPE, np.uint8)
    labels[10, 10, 50] = 4
    labels[10, 16, 42] = 5  # 3 and 4 mm away
    column = measure_spine(labels, SPACING, ORIGIN)["column"]
    assert column["C4-C5"].value == pytest.approx(5.0)
    assert column["C3-C4"].value is None and "C3 not in" in column["C3-C4"].reason


@pytest.mark.parametrize("tilts", [(0, 0), (12, -14), (-9, 7), (5, -25)])
def test_cobb_angle_of_tilted_boxes(tilts):
    cobb = measure_spine(spine(*tilts), SPACING, ORIGIN)["column"]["cobb_c2_c7"]
    assert cobb.unit == "degrees"
    assert cobb.value == pytest.approx(tilts[0] - tilts[1], abs=1.5)


@pytest.mark.parametrize("tilt", [0, 15, -20])
def test_height_of_a_tilted_box(tilt):
    height = measure_spine(spine(tilt_c7=tilt), SPACING, ORIGIN)["vertebrae"]["C7"]["body_height"]
    assert height.unit == "mm"
    assert height.value == pytest.approx(11.0, abs=0.4)


def test_end_plate_leans_sideways_too():
    labels = spine()
    sheared = np.zeros_like(labels)
    for x in range(SHAPE[0]):
        sheared[x] = np.roll(labels[x], round(0.25 * (x - 23.5)), axis=1)
    plate = end_plate(body_mask(sheared == 7, SPACING), SPACING, "lower")
    assert plate.slopes == pytest.approx([0.25, 0.0], abs=0.05)


def test_atlantodental_gap_of_blocks():
    labels = np.zeros(SHAPE, np.uint8)
    bar(labels, 2, 45.5, 60.5)
    labels[21:27, 40:50, 60:100] = 2  # dens
    labels[18:30, 28:35, 80:95] = 1  # arch: five voxels before it
    labels[18:30, 35:37, 80:85] = 1  # its lower lip: three
    labels[18:30, 70:75, 80:95] = 1  # posterior arch
    gap = measure_spine(labels, SPACING, ORIGIN)["column"]["atlantodental_interval"]
    assert gap.value == pytest.approx(1.5) and gap.unit == "mm"
    labels[18:30, 35:40, 80:95] = 1
    gap = measure_spine(labels, SPACING, ORIGIN)["column"]["atlantodental_interval"]
    assert gap.value is None and "touch" in gap.reason
    gap = measure_spine(labels, 2.5, ORIGIN)["column"]["atlantodental_interval"]
    assert gap.value is None and gap.reason == "voxels of 2.5 mm are too coarse for this gap"


def test_nothing_segmented_gives_reasons():
    measures = measure_spine(np.zeros((9, 10, 11), np.uint8), 1.0, (0, 0, 0))
    found = [*measures["column"].values()]
    for vertebra in measures["vertebrae"].values():
        found += vertebra.values()
    assert len(found) == 7 * 3 + 2 + 6
    assert all(m.value is None and m.reason for m in found)


def test_a_blob_without_arch_has_no_height():
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:40, 20:60, 30:50] = 5
    height = measure_spine(labels, SPACING, ORIGIN)["vertebrae"]["C5"]["body_height"]
    assert height.value is None and "part the body from the arch" in height.reason


def test_a_speck_crashes_nothing():
    labels = np.zeros(SHAPE, np.uint8)
    for label in range(1, 8):
        labels[10, 10, 10 * label] = label
    assert measure_spine(labels, SPACING, ORIGIN)["column"]["cobb_c2_c7"].value is None
    with pytest.raises(NotFound, match="too few voxels"):
        end_plate(labels == 2, SPACING, "lower")


def test_coarse_voxels_give_no_angle():
    cobb = measure_spine(spine(), 2.0, ORIGIN)["column"]["cobb_c2_c7"]
    assert cobb.value is None and "2 mm are too coarse" in cobb.reason


def test_measures_of_phantoms_agree_with_their_parameters(phantoms):
    angles = []
    for phantom in phantoms:
        result = measure_spine(phantom.segmentation, phantom.spacing_mm, phantom.origin_mm)
        person = phantom.anatomy
        for name in ("C3", "C4", "C5", "C6", "C7"):
            # The phantom's end plates are hollow and its rims are rounded.
            height = result["vertebrae"][name]["body_height"].value
            assert height == pytest.approx(person.subaxial[name].height - 1.6, abs=1.2)
        axis = result["vertebrae"]["C2"]["body_height"].value
        assert axis == pytest.approx(person.axis.total_height, abs=1.0)
        gap = result["column"]["atlantodental_interval"].value
        assert gap == pytest.approx(1.4, abs=0.8)
        angles.append((result["column"]["cobb_c2_c7"].value, person.lordosis_deg))
    measured, drawn = np.array(angles).T
    # The anterior lip of the lower end plate extends further down on C2 than on C7.
    assert np.abs(measured - drawn + 3.0).max() < 8.0
    assert np.corrcoef(measured, drawn)[0, 1] > 0.85
