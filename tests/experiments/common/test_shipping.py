import pytest

from experiments.common.shipping import checked_licence, checked_notice, ship
from experiments.neck64 import example
from tests.experiments.segment.segmented_data import write_boxes
from xctrs_tf.errors import UserError
from xctrs_tf.files import sha256_of
from xctrs_tf.pretrained import EXPORTED_WEIGHTS


@pytest.fixture
def given(tmp_path):
    """Arguments of `ship`: a folder of five bytes of weights, a licence and a notice."""
    weights = tmp_path / "export" / EXPORTED_WEIGHTS
    weights.parent.mkdir(parents=True)
    weights.write_text("12345", encoding="utf-8")
    for name in ("MIT", "WORDS"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    return tmp_path / "export", checked_licence(str(tmp_path / "MIT")), tmp_path / "WORDS"


def test_a_shipped_network_has_licence_notice_and_checksums(given, tmp_path):
    assert ship(*given, 5, tmp_path / "out") == 5
    sums = (tmp_path / "out/assets.extra/SHA256SUMS").read_text(encoding="utf-8")
    for name, text in (("LICENSE", "MIT"), ("NOTICE", "WORDS"), (EXPORTED_WEIGHTS, "12345")):
        assert (tmp_path / "out" / name).read_text(encoding="utf-8") == text
        assert sha256_of(tmp_path / "out" / name) in sums


def test_too_large_weights_are_not_shipped(given, tmp_path):
    with pytest.raises(UserError, match=r"out: would hold 0.0 MB of weights; at most 4e-06 MB"):
        ship(*given, 4, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_licence_that_is_absent(tmp_path):
    with pytest.raises(UserError, match=r"--license=.*absent: no such file"):
        checked_licence(str(tmp_path / "absent"))


def folder_of(*sources):
    return {"sources": [{"source": source} for source in sources]}


@pytest.mark.parametrize(
    ("own", "earlier", "others"),
    [
        (["OpenKBP", "phantom"], ["openkbp"], None),
        (["openkbp"], ["verse", "phantom"], "verse"),
        (["nifti", "openkbp"], ["phantom"], "nifti"),
    ],
)
def test_a_notice_is_needed_for_other_data_than_the_package_names(tmp_path, own, earlier, others):
    stages = [{"folders": [folder_of(*earlier)]}]
    metadata = {"folders": [folder_of(*own)], "stages": stages}
    if others:
        with pytest.raises(UserError, match=rf"--notice: trained on data of {others}; give a file"):
            checked_notice(None, tmp_path, metadata)
    else:
        assert checked_notice(None, tmp_path, metadata) == tmp_path / "NOTICE"
    (tmp_path / "own").write_text("WORDS", encoding="utf-8")
    assert checked_notice(str(tmp_path / "own"), tmp_path, metadata) == tmp_path / "own"


def test_a_notice_that_is_absent(tmp_path):
    with pytest.raises(UserError, match=r"--notice=.*absent: no such file"):
        checked_notice(str(tmp_path / "absent"), tmp_path, {})


def test_the_example_may_be_written_over_that_of_the_package(tmp_path, monkeypatch):
    data, shipped = write_boxes(tmp_path / "data"), tmp_path / "example"
    shipped.mkdir()
    (shipped / "NOTICE").write_text("WORDS", encoding="utf-8")
    monkeypatch.setattr(example, "EXAMPLE", shipped)
    (patient, *_) = data.split(1).test
    flags = [f"--data={data.path}", f"--patient={patient}", "--fold=1", f"--output={shipped}"]
    assert example.main(flags) == 0
    assert (shipped / "NOTICE").read_text(encoding="utf-8") == "WORDS"
    assert (shipped / f"openkbp{patient}_ct.nii.gz").is_file()
