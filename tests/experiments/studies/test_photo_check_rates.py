import numpy as np
from PIL import Image

from experiments.studies import photo_check_rates
from tests.data.cases import write_dataset
from tests.programs import run_program


def test_every_kind_of_picture_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(photo_check_rates, "EDGE", 64)
    write_dataset(tmp_path / "set", num_patients=4, num_folds=2)
    (tmp_path / "films").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(noise).save(tmp_path / "films" / "a.jpg")
    flags = (f"--data={tmp_path / 'set'}", f"--films={tmp_path / 'films'}", "--every=2")
    result = run_program("studies.photo_check_rates", *flags)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [int(line[48:].split()[0]) for line in lines] == [4] * 13 + [1] * 13
    assert lines[0].startswith("computed films") and lines[13].startswith("real films")
