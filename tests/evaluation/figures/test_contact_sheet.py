import html.parser
import json

import numpy as np
import pytest
from PIL import Image

from tests.data.cases import CONFIGURATION, RECORD
from tests.evaluation.patients import SIZE, make_case
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
from xctrs_tf.evaluation.figures.contact_sheet import check_dataset, patient_figure


class Links(html.parser.HTMLParser):
    """Parser that collects the links and pictures of a page."""

    def __init__(self, text):
        super().__init__()
        self.links = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]


@pytest.fixture
def dataset(tmp_path):
    writer = DatasetWriter(tmp_path / "set", {**CONFIGURATION, "size": SIZE})
    for number in range(4):
        writer.add(make_case(f"p{number}", seed=number), RECORD)
    rejected = [{"id": "p<4>", "reason": "a & b.nii.gz: label C7 missing"}]
    writer.finalise([["p0", "p1"], ["p2", "p3"]], rejected)
    return open_dataset(tmp_path / "set")


def test_the_index_shows_every_patient_and_needs_no_network(dataset):
    index, _ = check_dataset(dataset)
    assert index == dataset.path / "check" / "index.html"
    text = index.read_text(encoding="utf-8")
    links = Links(text).links
    assert {f"p{number}.png" for number in range(4)} | {"histogram.png"} <= set(links)
    for link in links:
        assert link.startswith("#p") or (index.parent / link).is_file()
    assert "http" not in text
    assert "p&lt;4&gt;" in text and "a &amp; b.nii.gz: label C7 missing" in text
    statistics = json.loads((index.parent / "statistics.json").read_text(encoding="utf-8"))
    assert statistics["patients"].keys() == {"p0", "p1", "p2", "p3"}
    assert sum(statistics["histogram"]) == 4 * SIZE**3


def test_checking_twice_replaces_and_leaves_the_data_alone(dataset):
    before = dataset.content_hash()
    first, _ = check_dataset(dataset)
    (first.parent / "stale.png").write_bytes(b"old")
    check_dataset(dataset)
    assert not (first.parent / "stale.png").exists()
    assert open_dataset(dataset.path).content_hash() == before
    DatasetWriter(dataset.path, {**CONFIGURATION, "size": SIZE})


def test_an_outlier_is_named(tmp_path):
    writer = DatasetWriter(tmp_path / "set", {**CONFIGURATION, "size": SIZE})
    for number in range(5):
        case = make_case(f"p{number}", seed=number)
        if number == 3:
            case.segmentation[case.segmentation == 5] = 0
        writer.add(case, RECORD)
    writer.finalise([[f"p{number}"] for number in range(5)], [])
    index, outliers = check_dataset(open_dataset(tmp_path / "set"))
    assert any(line.startswith("p3: C5 (ml) 0.0, median ") for line in outliers)
    assert 'class="odd">0.0' in index.read_text(encoding="utf-8")


def test_a_patient_whose_header_contradicts_the_scan_is_named(tmp_path):
    writer = DatasetWriter(tmp_path / "set", {**CONFIGURATION, "size": SIZE})
    for number in range(2):
        case = make_case(f"p{number}", seed=number)
        labels = case.segmentation
        # A process that reaches far to the back, or to the front in p1.
        for number_of_vertebra in range(1, 8):
            rows = np.nonzero(labels == number_of_vertebra)[2]
            ends = slice(0, 12) if number else slice(24, 32)
            labels[15, ends, rows.min() : rows.max() + 1] = number_of_vertebra
        writer.add(case, RECORD)
    writer.finalise([["p0"], ["p1"]], [])
    index, lines = check_dataset(open_dataset(tmp_path / "set"))
    fault = "p1: the spinous processes of C2 to C7 point to the front; prepare it with --header="
    # Without the patient's name the correction would be that of all patients.
    assert [line for line in lines if "spinous" in line] == [fault + "p1:rotate180z"]
    assert fault in index.read_text(encoding="utf-8")


def test_a_patient_whose_labels_are_perhaps_one_level_off_is_named(tmp_path):
    writer = DatasetWriter(tmp_path / "set", {**CONFIGURATION, "size": SIZE})
    for number in range(2):
        case = make_case(f"p{number}", seed=number)
        # The box of C1 ends at 28. A dens stands in it in p0; p1 has none.
        if number == 0:
            case.segmentation[14:16, 14:16, 22:28] = 2
        writer.add(case, RECORD)
    writer.finalise([["p0"], ["p1"]], [])
    index, lines = check_dataset(open_dataset(tmp_path / "set"))
    (fault,) = [line for line in lines if "one level off" in line]
    assert fault.startswith("p1: the second vertebra does not rise into the first as C2 does")
    assert fault in index.read_text(encoding="utf-8")


def test_the_picture_shows_the_patient(tmp_path):
    pictures = []
    for seed in (0, 1):
        patient_figure(tmp_path / "p.png", make_case("p", seed=seed))
        with Image.open(tmp_path / "p.png") as picture:
            pictures.append(np.asarray(picture.convert("RGB")))
    assert pictures[0].shape[1] == 820
    assert (pictures[0] != pictures[1]).any()
