import json
import subprocess
import sys

import pytest

from tests.hostile.mutants import mutant, read_mutant, whole_films
from tests.hostile.test_hostile import MAX_BYTES, TIMEOUT_S
from tests.programs import ROOT

SAMPLE, COUNT = 64, 500


def test_every_kind_of_film_is_damaged():
    assert {mutant(seed)[0].removesuffix(".gz") for seed in range(SAMPLE)} == set(whole_films())


def test_a_damaged_film_is_refused_in_one_line_or_read_as_it_was(tmp_path):
    problems = [read_mutant(tmp_path, seed) for seed in range(SAMPLE)]
    assert [problem for problem in problems if problem] == []


@pytest.mark.soak
def test_hundreds_of_damaged_films_in_bounded_memory():
    command = [sys.executable, "-m", "tests.hostile.mutants", str(COUNT)]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=TIMEOUT_S
    )
    assert result.returncode == 0, result.stderr[-2000:]
    outcome = json.loads(result.stdout)
    assert outcome["problems"] == []
    assert outcome["peak_bytes"] < MAX_BYTES
