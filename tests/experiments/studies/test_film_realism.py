import json

import numpy as np
import pytest
from PIL import Image

from experiments.studies import film_realism
from tests.data.cases import write_dataset
from xctrs_tf.evaluation.film_statistics import ALL


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Write a data folder, eight pictures and their boxes; return the flags that name them."""
    folder = tmp_path_factory.mktemp("realism")
    write_dataset(folder / "set", num_patients=8, size=16)
    rng = np.random.default_rng(0)
    lines = ["file,left,top,right,bottom"]
    for number in range(8):
        Image.fromarray(rng.integers(0, 255, (50, 40), np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,5,10,35,40")
    (folder / "boxes.csv").write_text("\n".join(lines), encoding="utf-8")
    return [f"--data={folder / 'set'}", f"--films={folder}", f"--boxes={folder / 'boxes.csv'}"]


def test_every_augmentation_has_a_row(inputs, tmp_path, capsys, monkeypatch):
    kept = ("plain parallel films", "films")
    monkeypatch.setattr(film_realism, "ROWS", {title: film_realism.ROWS[title] for title in kept})
    output = tmp_path / "realism.json"
    assert film_realism.main([*inputs, "--half=report", f"--json={output}"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("4 real films, 8 patients")
    record = json.loads(output.read_text(encoding="utf-8"))
    assert (
        record["n"] == 4
        and record["command"]
        and list(record["results"]) == list(film_realism.ROWS)
    )
    for title, row in record["results"].items():
        assert title in printed and 0 <= row["auc"][ALL] <= 1


def test_the_box_is_that_of_the_picture_on_screen(inputs, tmp_path):
    picture = np.zeros((60, 50), np.uint8)
    picture[12:22, 8:18] = 200
    picture[12:14, 8:10] = 100  # top left
    Image.fromarray(picture).save(tmp_path / "film.png")
    film_realism.FLAGS(["program", *inputs])
    crop = film_realism._real_crops(tmp_path / "film.png", (8, 12, 18, 22), 10, 0)[0]
    assert np.argwhere(crop < 0.5).tolist() == [[0, 8], [0, 9], [1, 8], [1, 9]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,left,top\na.png,1,2\n", "line 2 needs file, left, top, right, bottom"),
        ("file,left,top,right,bottom\na.png,1,2,5,7\n", "line 2: the box is not square"),
        ("file,left,top,right,bottom\na.png,1,2,5,6\n", "1 films; at least 6"),
    ],
)
def test_boxes_that_cannot_be_used(inputs, text, message, tmp_path, capsys):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(text, encoding="utf-8")
    assert film_realism.main([*inputs[:2], f"--boxes={boxes}"]) == 2
    assert message in capsys.readouterr().err


def test_a_box_beside_its_picture(inputs, tmp_path, capsys):
    boxes = tmp_path / "boxes.csv"
    text = "file,left,top,right,bottom\n" + "".join(f"{n}.png,0,0,45,45\n" for n in range(8))
    boxes.write_text(text, encoding="utf-8")
    assert film_realism.main([*inputs[:2], f"--boxes={boxes}"]) == 2
    assert "0.png: the box (0, 0, 45, 45) does not lie in its" in capsys.readouterr().err
