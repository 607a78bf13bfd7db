import json
import subprocess
import sys

import pytest

from tests.data.mutated_cts import FORMATS, LIMIT_S, outcomes
from tests.programs import ROOT

COUNT = 400
MAX_BYTES = 2 * 10**9


def test_a_sample_of_mutated_cts_is_refused_in_one_line_or_read_right(tmp_path):
    rows = list(outcomes(tmp_path, seed=0, count=5 * len(FORMATS)))
    assert {row["format"] for row in rows} == set(FORMATS)
    assert [row for row in rows if row["outcome"].startswith("WRONG")] == []
    assert {row["outcome"] == "read" for row in rows} == {False, True}


@pytest.mark.soak
def test_mutated_cts_are_refused_in_one_line_or_read_right(tmp_path):
    command = [sys.executable, "-m", "tests.data.mutated_cts", str(tmp_path), "1000", str(COUNT)]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=COUNT * LIMIT_S
    )
    assert (result.returncode, result.stderr) == (0, "")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == COUNT
    assert [row for row in rows if row["outcome"].startswith("WRONG")] == []
    assert max(row["peak_bytes"] for row in rows) < MAX_BYTES
    assert {row["outcome"] == "read" for row in rows} == {False, True}
