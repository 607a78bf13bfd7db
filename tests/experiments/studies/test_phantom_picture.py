import matplotlib.image
import numpy as np
import pytest

from tests.programs import run_program
from xctrs_tf.data.phantom import make_phantom
from xctrs_tf.data.volumes.volume import write_volume


def draw(*flags):
    return run_program("studies.phantom_picture", *flags)


def test_picture_beside_a_ct(tmp_path):
    made = make_phantom(1, 32, 5.0)
    write_volume(tmp_path / "ct.nii.gz", made.ct, (5.0,) * 3, made.origin_mm)
    picture = tmp_path / "phantom.png"
    flags = (f"--output={picture}", "--size=32", f"--real_ct={tmp_path / 'ct.nii.gz'}")
    result = draw(*flags)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"wrote {picture}\n"
    pixels = matplotlib.image.imread(picture)
    # Four rows of seven squares.
    assert pixels.shape[1] > 1.5 * pixels.shape[0]
    assert 0.05 < np.mean(pixels[..., :3] > 0.5) < 0.95


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output={}/absent/phantom.png"], "--output: no such folder"),
        (["--output={}/phantom.txt"], "does not end in .png"),
        (["--output={}/phantom.png", "--real_ct={}/none.nii.gz"], "none.nii.gz: no such file"),
    ],
)
def test_mistakes_are_one_line(tmp_path, flags, message):
    result = draw(*(flag.format(tmp_path) for flag in flags))
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    assert message in lines[0]
    assert (result.returncode, list(tmp_path.iterdir())) == (2, [])
