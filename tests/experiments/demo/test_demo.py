"""The demos' folders; what `make demo` prints and writes."""

import pytest

from experiments.demo.demo_folder import begin_output
from tests.programs import run_program
from xctrs_tf.errors import UserError


@pytest.mark.slow
def test_the_demo_compares_a_reconstruction_with_its_ct(tmp_path):
    output = tmp_path / "demo"
    finished = run_program("demo", f"--output={output}")
    assert finished.returncode == 0, finished.stderr
    commands = [line for line in finished.stdout.splitlines() if line.startswith("$ python -m")]
    assert [command.split()[3] for command in commands] == [
        "experiments.reconstruct",
        "experiments.prepare",
        "experiments.evaluate",
    ]
    table = (output / "evaluation" / "table.md").read_text(encoding="utf-8")
    assert "pseudo-label Dice" in table and "1 patient" in table
    (picture,) = (output / "evaluation").glob("case-*.png")
    assert str(picture) in finished.stdout
    assert (output / "reconstruction" / "report.html").is_file()


def test_only_a_demos_own_folder_is_removed(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").touch()
    with pytest.raises(UserError, match="exists and is not an earlier demo"):
        begin_output(folder, ".mark")
    assert (folder / "thesis.txt").exists()


def test_an_earlier_demo_is_replaced_or_kept(tmp_path):
    folder = tmp_path / "demo"
    begin_output(folder, ".mark")
    (folder / "old.txt").touch()
    begin_output(folder, ".mark", keep=True)
    assert (folder / "old.txt").exists()
    begin_output(folder, ".mark")
    assert [path.name for path in folder.iterdir()] == [".mark"]
