import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from experiments.studies import film_realism
from tests.data.cases import write_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.film_distance import ALL


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


@pytest.mark.parametrize(
    "box", ["0,0,45,45", "-1,0,29,30", "0,-1,30,29", "11,0,41,30", "0,21,30,51"]
)
def test_a_box_beside_its_picture(inputs, tmp_path, capsys, box):
    boxes = tmp_path / "boxes.csv"
    text = "file,left,top,right,bottom\n" + "".join(f"{n}.png,{box}\n" for n in range(8))
    boxes.write_text(text, encoding="utf-8")
    assert film_realism.main([*inputs[:2], f"--boxes={boxes}"]) == 2
    told = f"boxes.csv: the box ({box.replace(',', ', ')}) does not lie in the 40 x 50 pixels of"
    assert told in capsys.readouterr().err


def test_a_shifted_box_stays_on_its_film(inputs):
    film_realism.FLAGS(["program", *inputs])
    path = pathlib.Path(inputs[1].removeprefix("--films=")) / "0.png"
    crops = film_realism._real_crops(path, (0, 10, 40, 50), 16, 0)
    np.testing.assert_array_equal(*crops)


@pytest.mark.parametrize(("half", "names"), [("tuning", "0246"), ("report", "1357")])
def test_a_half_is_every_second_film(inputs, monkeypatch, half, names):
    read, compared = [], []
    monkeypatch.setattr(
        film_realism, "_real_crops", lambda path, *_: read.append(path.stem) or [path.stem]
    )

    def distance(real, computed, scored, seed):
        compared.append(
            "".join(
                film[0]
                for film in (real if scored is None else [real[number] for number in scored])
            )
        )
        raise UserError("enough")

    monkeypatch.setattr(film_realism, "film_distance", distance)
    assert film_realism.main([*inputs, f"--half={half}"]) == 2
    assert compared == [names] and "".join(read) == "01234567"
