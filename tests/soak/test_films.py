import json
import subprocess
import sys

import pytest

from tests.hostile.test_hostile import MAX_BYTES, TIMEOUT_S
from tests.programs import ROOT

COUNT = 500


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
