from tests.data.cases import write_dataset
from tests.programs import run_program


def test_every_kind_of_pair_is_counted(tmp_path):
    write_dataset(tmp_path / "set", num_patients=4, num_folds=2)
    result = run_program("studies.view_check_rates", f"--data={tmp_path / 'set'}")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line[:22].strip() for line in lines] == [
        "films of one patient",
        "swapped films",
        "LA upside down",
        "both upside down",
        "LA mirrored",
        "both dark-boned",
        "LA twice",
        "films of two patients",
    ]
    assert [int(line[22:].split()[0]) for line in lines] == [4] * 7 + [12]


def test_a_folder_without_a_manifest(tmp_path):
    result = run_program("studies.view_check_rates", f"--data={tmp_path}")
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith(f"error: {tmp_path}: no prepared data folder")
