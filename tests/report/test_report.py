import base64
import dataclasses
import html.parser
import json
import re
import shutil
import subprocess
import zlib

import numpy as np
import pytest

from tests.report.browser import run_in_page
from xctrs_tf.quality.checks import CHECKS, film_respects
from xctrs_tf.quality.verdict import Verdict
from xctrs_tf.reconstruction import Reconstruction
from xctrs_tf.report.page_data import error_picture, packed, windowed
from xctrs_tf.report.report import write_report
from xctrs_tf.report.training_summary import UNKNOWN, compare_films, describe_training

SHAPE, SPACING, ORIGIN = (33, 37, 41), 2.0, (-31.0, 4.0, -12.0)
C3, C5 = (slice(10, 20), slice(8, 22), slice(24, 32)), (slice(12, 18), slice(9, 21), slice(6, 14))


class Films:
    """Films of a volume that is not a cube."""

    ap = np.linspace(0, 1, SHAPE[0] * SHAPE[2]).reshape(SHAPE[0], SHAPE[2])
    la = np.linspace(1, 0, SHAPE[1] * SHAPE[2]).reshape(SHAPE[1], SHAPE[2])


@pytest.fixture(scope="module")
def reconstruction():
    x, y, z = np.indices(SHAPE)
    ct = (-500 + 20 * x + 7 * y + 11 * z).astype(np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    labels[C3], labels[C5] = 3, 5
    return Reconstruction(ct, labels, SPACING, ORIGIN)


def write(folder, reconstruction):
    films = {"ap": Films.ap, "la": Films.la}
    return write_report(folder, reconstruction, films)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, reconstruction):
    folder = tmp_path_factory.mktemp("report")
    write(folder, reconstruction)
    return folder


class Reader(html.parser.HTMLParser):
    """Parser that collects text, references, pictures and open elements of a page."""

    VOID = ("meta", "link", "img", "input", "br")

    def __init__(self, page):
        super().__init__()
        self.text, self.references, self.stack, self.images = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.references += [attributes[a] for a in ("src", "href") if a in attributes]
        if tag == "img":
            self.images.append(attributes)
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_says_first_what_the_model_was_trained_on(tmp_path, reconstruction):
    metadata = {
        "data": {
            "sources": [{"source": "openkbp", "licence": "MIT", "patients": 93}],
            "patients": {"training": 75},
            "projection": {"geometry": "parallel"},
        },
        "training": {"augment": "mirror,pose"},
        "film_normalization": "equalized",
    }
    write(tmp_path, dataclasses.replace(reconstruction, metadata=metadata))
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert record["training"] == (
        "The model was trained on 75 patients (source: openkbp) and on films computed from their "
        "CTs along parallel rays; no real film was among them. Films are normalised by equalized; "
        "augmentation: mirror,pose."
    )
    assert record["films_like_training"]["alike"] is None
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.index("trained on 75 patients") < page.index("Not known.") < page.index("Review")
    assert page.count("trained on 75 patients") == 1


def test_what_cannot_be_read_of_a_training_is_left_out():
    assert describe_training(None) == UNKNOWN
    odd = {"data": 5, "training": [], "quality": {"training": "many"}}
    assert describe_training(odd).startswith(UNKNOWN)
    odd = {"data": {"patients": {"training": 9}, "sources": 5}}
    assert "trained on 9 patients (source: not stated)" in describe_training(odd)
    assert "(source: None)" in describe_training({"data": {"sources": [3]}})


def test_films_are_unlike_those_of_training_in_what_the_checks_of_films_find():
    verdict = Verdict(
        "fail", [], {}, {}, {"ap_turn": "fail", "la_flat": "review", "volume": "fail"}
    )
    found = compare_films(verdict)
    assert (found["alike"], found["differences"]) == (
        False,
        ["AP film: rotation", "LA film: parts of one grey value"],
    )
    assert compare_films(Verdict("fail", [], {}, {}, {"volume": "fail"}))["alike"] is True


def test_every_check_has_a_respect_or_is_of_the_reconstruction():
    anatomy = {"volume", "spacing", "position", "fragments"}
    later = {"ap_reprojection", "la_reprojection", *anatomy}
    assert {name for name in CHECKS if not film_respects([name])} == later


def test_everything_is_written(folder):
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["C3.stl", "C5.stl", "report.html", "report.json"]


def test_record_has_verdict_measures_and_notice(folder):
    record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert record["format"] == "xctrs-report/2"
    assert record["notice"] == "Not a medical device; not for diagnosis."
    assert record["quality"]["verdict"] == "fail"
    assert record["quality"]["findings"][0]["reason"] == "anatomy: C1, C2, C4, C6, C7 missing"
    measures = record["measures"]["vertebrae"]
    assert measures["C3"]["volume"] == {"value": 8 * 10 * 14 * 8, "unit": "mm3", "reason": None}
    assert measures["C5"]["centroid"]["value"] == [-31 + 29, 4 + 29, -12 + 19]
    assert measures["C1"]["volume"]["value"] is None
    assert set(record["quality"]["scores"]) == {"ap_reprojection", "la_reprojection"}


def test_page_is_whole_and_refers_to_nothing_outside(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    reader = Reader(page)
    assert reader.stack == []
    assert all(r.startswith("data:") for r in reader.references)
    assert not re.search(r"https?://|@import|url\(", page)
    assert "<!--" not in page
    assert len(reader.images) == 4 and all(image["alt"] for image in reader.images)
    text = " ".join(reader.text)
    assert text.count("Not a medical device; not for diagnosis.") >= 2
    assert "8960 mm³" in text and "C1, C2, C4, C6, C7 missing" in text
    assert "C2, volume: not in the segmentation" in text
    assert "33 × 37 × 41 voxels of 2 mm; black to white is −500 to 1300 HU." in text
    assert text.count("full colour is 50 % of the film’s range") == 2


def test_page_of_the_largest_size_is_small(tmp_path):
    generator = np.random.default_rng(0)
    ct = generator.normal(200, 400, (128,) * 3).astype(np.int16)
    noise = {"ap": generator.random((128, 128)), "la": generator.random((128, 128))}
    write_report(tmp_path, Reconstruction(ct, None, 1.0, (0, 0, 0)), noise)
    # Noise is the worst case for compression.
    assert (tmp_path / "report.html").stat().st_size < 4e6
    assert sorted(f.name for f in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_embedded_arrays_are_restored():
    values = np.arange(24, dtype=np.uint16).reshape(2, 3, 4).transpose(2, 0, 1)
    data = zlib.decompress(base64.b64decode(packed(values)))
    np.testing.assert_array_equal(np.frombuffer(data, "<u2").reshape(4, 2, 3), values)
    np.testing.assert_array_equal(windowed([-501, -500, 400, 1300, 9999]), [0, 0, 128, 255, 255])


def test_error_map_is_white_where_there_is_none():
    from io import BytesIO

    from PIL import Image

    error = np.zeros((5, 7))
    error[1, 6], error[3, 0] = 0.6, -0.5
    uri = error_picture(error, "ap")
    pixels = np.array(Image.open(BytesIO(base64.b64decode(uri.split(",")[1]))))
    assert pixels.shape == (7, 5, 3)
    assert pixels[0, 1].tolist() == [178, 24, 43] and pixels[6, 3].tolist() == [33, 102, 172]
    assert pixels[3, 2].tolist() == [255, 255, 255]


def test_spread_between_models_is_a_table(tmp_path, reconstruction):
    summary = {
        "C3": {
            "spread_hu": 12.4,
            "agreement": 0.876,
            "volume_mm3": 5000.4,
            "volume_deviation_mm3": 30.0,
        }
    }
    write(tmp_path, dataclasses.replace(reconstruction, uncertainty=summary))
    text = " ".join(Reader((tmp_path / "report.html").read_text(encoding="utf-8")).text)
    assert "12 HU" in text and "88 %" in text and "5000 ± 30 mm³" in text


def test_text_from_outside_cannot_become_markup():
    from xctrs_tf.report.page import _json, _verdict

    finding = {"check": "x", "level": "fail", "reason": "<script>alert(1)</script>"}
    shown = _verdict({"verdict": "fail", "findings": [finding]})
    assert "<script>" not in shown and "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    record = {"name": "</script>"}
    assert "</script>" not in _json(record) and json.loads(_json(record)) == record


def test_scripts_are_sound_javascript(folder, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    page = (folder / "report.html").read_text(encoding="utf-8")
    (tmp_path / "page.js").write_text(
        page.rpartition("<script>")[2].partition("</script>")[0], encoding="utf-8"
    )
    subprocess.run([node, "--check", tmp_path / "page.js"], check=True)


LOOK = """
const byId = (id) => document.getElementById(id);
const pixel = (plane, column, row) => {
  const context = byId("plane-" + plane).getContext("2d");
  return [...context.getImageData(column, row, 1, 1).data].slice(0, 3);
};
const size = (plane) => [byId("plane-" + plane).width, byId("plane-" + plane).height];
const move = (plane, value) => {
  const slider = byId("slice-" + plane);
  slider.value = value;
  slider.dispatchEvent(new Event("input"));
};
const overlay = (on) => { if (byId("overlay").checked !== on) byId("overlay").click(); };
"""


def grey(reconstruction, *index):
    return [int(windowed(reconstruction.ct_hu[index]))] * 3


def test_sliders_show_the_planes(folder, tmp_path, reconstruction):
    script = (
        LOOK
        + """
    overlay(false);
    const answer = { sizes: ["sagittal", "coronal", "axial"].map(size) };
    move("sagittal", 3); move("coronal", 30); move("axial", 35);
    // Row 2 of an upright plane is z = 38; of the axial one it is y = 2.
    answer.pixels = [pixel("sagittal", 5, 2), pixel("coronal", 6, 2), pixel("axial", 7, 2)];
    answer.outputs = [...document.querySelectorAll("output")].map((o) => o.textContent);
    return answer;
    """
    )
    answer, problems = run_in_page(folder / "report.html", script, tmp_path)
    assert problems == []
    assert answer["sizes"] == [[37, 41], [33, 41], [33, 37]]
    expected = [(3, 5, 38), (6, 30, 38), (7, 2, 35)]
    assert answer["pixels"] == [grey(reconstruction, *index) for index in expected]
    assert answer["outputs"] == ["4/33", "31/37", "36/41"]


def test_overlay_and_surface(folder, tmp_path, reconstruction):
    script = (
        LOOK
        + """
    const canvas = byId("surface");
    const gl = canvas.getContext("webgl2");
    if (!gl) return "no WebGL 2";
    const picture = () => {
      const pixels = new Uint8Array(4 * canvas.width * canvas.height);
      gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
      let drawn = 0, sum = 0;
      for (let i = 0; i < pixels.length; i += 4)
        if (Math.abs(pixels[i] - 238) > 8 || Math.abs(pixels[i + 2] - 246) > 8) {
          drawn++;
          sum += i % 9973;
        }
      return [drawn, sum];
    };
    move("axial", 28);
    overlay(true); const on = pixel("axial", 15, 15);
    overlay(false); const off = pixel("axial", 15, 15);
    const key = (key) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
    const first = picture(); key("ArrowRight"); const turned = picture();
    key("0"); const back = picture();
    document.querySelector("[data-vertebra=C3]").click(); const without = picture();
    return { on, off, first, turned, back, without };
    """
    )
    answer, problems = run_in_page(folder / "report.html", script, tmp_path)
    assert problems == []
    assert answer["off"] == grey(reconstruction, 15, 15, 28)
    yellow = np.round(255 * np.array([0.910, 0.812, 0.345]))
    np.testing.assert_allclose(answer["on"], 0.55 * np.array(answer["off"]) + 0.45 * yellow, atol=1)
    assert answer["first"][0] > 5000
    assert answer["turned"] != answer["first"] == answer["back"]
    assert 0 < answer["without"][0] < answer["first"][0]


def test_a_page_without_labels_works_too(tmp_path, reconstruction):
    plain = Reconstruction(reconstruction.ct_hu, None, SPACING, ORIGIN)
    verdict = write(tmp_path, plain)
    assert verdict.level == "review"
    script = (
        LOOK + 'return [byId("surface").offsetHeight, byId("overlay").offsetHeight, size("axial")];'
    )
    (tmp_path / "browser").mkdir()
    answer, problems = run_in_page(tmp_path / "report.html", script, tmp_path / "browser")
    assert problems == []
    # Neither the surface nor the switch for the labels is shown.
    assert answer == [0, 0, [33, 37]]


def test_no_cell_of_a_table_is_a_formula(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    cells = re.findall(r"<t[dh][^>]*>([^<]+)", page)
    assert len(cells) > 20
    assert not [cell for cell in cells if cell.strip()[:1] in "=+-@"]
