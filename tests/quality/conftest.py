import json

import pytest

from tests.quality.judging import PATIENT
from tests.report.necks import blurred, each, neck
from xctrs_tf.quality.calibration import calibrate
from xctrs_tf.quality.faults.pair_scorer import PairScorer


@pytest.fixture(scope="package")
def reference():
    cases = [neck(seed) for seed in range(100, 124)]
    made = calibrate(cases[:12], cases[12:], PairScorer(each(blurred)), false_alarm_rate=0.05)
    return json.loads(json.dumps(made, allow_nan=False))


@pytest.fixture
def patient():
    return neck(PATIENT)
