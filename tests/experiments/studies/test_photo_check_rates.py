import numpy as np
from PIL import Image

from experiments.studies import photo_check_rates
from tests.data.cases import write_dataset
from tests.programs import assert_refused, run_program


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


def test_all_pictures_that_can_be_films_are_read(tmp_path):
    values = np.linspace(0, 255, 64 * 64).reshape(64, 64)
    for name in ("a.jpg", "b.JPG", "c.jpeg", "d.png", "e.tif"):
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / name)
    Image.fromarray((257 * values).astype(np.uint16)).save(tmp_path / "f.png")
    (tmp_path / "boxes.csv").touch()
    pictures = photo_check_rates._read_pictures(tmp_path)
    assert len(pictures) == 6
    for picture in pictures:
        np.testing.assert_allclose(picture, values / 255, atol=0.03)


def test_a_folder_without_pictures_is_refused(tmp_path):
    write_dataset(tmp_path / "set", num_patients=4, num_folds=2)
    films = tmp_path / "films"
    flags = (f"--data={tmp_path / 'set'}", f"--films={films}")
    result = run_program("studies.photo_check_rates", *flags)
    assert_refused(result, "films: no such folder")
    films.mkdir()
    result = run_program("studies.photo_check_rates", *flags)
    assert_refused(result, f"--films={films}: holds no PNG, TIFF or JPEG")
    (films / "a.png").write_bytes(b"none")
    result = run_program("studies.photo_check_rates", *flags)
    assert_refused(result, "a.png: damaged, or not a PNG")
