from tests.data.cases import write_dataset
from tests.programs import run_program


def test_every_kind_of_pair_is_counted(tmp_path):
    write_dataset(tmp_path / "set", num_patients=4, num_folds=2)
    result = run_program("studies.view_check_rates", f"--data={tmp_path / 'set'}", "--fold=0")
    assert result.returncode == 0, result.stderr
    header, *lines = result.stdout.splitlines()
    assert header.split()[:3] == ["films", "pairs", "refused"]
    counts = {line[:44].strip(): int(line[44:].split()[0]) for line in lines}
    # Two test patients; shifts go up and down; each film has one other patient.
    assert counts["as projected"] == 2 and counts["LA moved by 5 mm"] == 4
    assert counts["swapped"] == counts["films of two patients"] == 2
    assert len(counts) == 40


def test_a_folder_without_a_manifest(tmp_path):
    result = run_program("studies.view_check_rates", f"--data={tmp_path}")
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith(f"error: {tmp_path}: no prepared data folder")
