import numpy as np
import pytest

from tests.report.necks import SIZE, SPACING_MM, blurred, each, neck
from xctrs_tf.errors import UserError
from xctrs_tf.quality.calibration import calibrate, interval, thresholds
from xctrs_tf.quality.faults.detection import detection_rates, made_faults
from xctrs_tf.quality.faults.film_faults import MADE_FAULTS, FaultInput
from xctrs_tf.quality.faults.pair_scorer import PairScorer


def test_calibration_refuses_too_few_patients_and_odd_rates():
    cases = [neck(seed) for seed in range(100, 107)]
    with pytest.raises(UserError, match="7 held-out patients are too few"):
        calibrate(cases, cases, PairScorer(each(blurred)))
    with pytest.raises(UserError, match="--false_alarm_rate=0"):
        calibrate(cases, cases, PairScorer(each(blurred)), false_alarm_rate=0)


def test_calibration_records_its_patients_and_rates(reference):
    assert (reference["training"], reference["held_out"]) == (12, 12)
    assert reference["false_alarm_rate"]["asked"] == 0.05
    assert 0 <= reference["false_alarm_rate"]["leave_one_out"] <= 0.34


def test_rates_of_detection(reference):
    cases = [neck(seed) for seed in range(300, 304)]
    # This stand-in for a model always returns the true patient, so its reconstruction
    # does not explain the altered films.
    names = ["none", "la upside down", "both inverted"]
    rates = detection_rates(
        cases, PairScorer(each(blurred)), reference, calibrated_on=False, faults=names
    )
    assert list(rates) == names
    for shares in rates.values():
        assert shares["pass"] + shares["review"] + shares["fail"] == pytest.approx(1)
        assert shares["detected"] == pytest.approx(1 - shares["pass"])
        low, high = shares["interval"]
        assert 0 <= low <= shares["detected"] <= high <= 1
        # The stand-in does not look at the films.
        assert shares["psnr_loss_db"] == 0.0
    assert rates["none"]["pass"] >= 0.75 and rates["none"]["named"] is None
    for name in names[1:]:
        assert (rates[name]["fail"], rates[name]["named"]) == (1, 1)


def test_faults_are_made_in_some_patients_and_false_alarms_counted_in_all(reference):
    cases = [neck(seed) for seed in range(300, 309)]
    judged = []
    rates = detection_rates(
        cases,
        PairScorer(each(blurred)),
        reference,
        faults=["none", "la upside down"],
        fault_patients=3,
        advance=lambda: judged.append(1),
    )
    assert {name: each["patients"] for name, each in rates.items()} == {
        "none": 9,
        "la upside down": 3,
    }
    assert rates["la upside down"]["detected"] == 1
    assert len(judged) == 12


def test_patients_with_faults_are_spread_over_the_cases():
    made = list(made_faults(7, ["none", "swapped"], 3))
    assert [index for index, name in made if name == "swapped"] == [0, 2, 4]
    assert [index for index, name in made if name == "none"] == list(range(7))
    assert list(made_faults(2, ["swapped"], 20)) == [(0, "swapped"), (1, "swapped")]


def test_what_a_fault_costs_is_the_psnr_of_the_reconstruction():
    cases = [neck(seed) for seed in range(100, 120)]
    reference = calibrate(cases[:10], cases[10:], PairScorer(each(blurred)))

    def worse_when_inverted(case):
        ct, labels = blurred(case)
        inverted = case.la.mean() > 0.5 * case.la.max() and case.la[0].mean() > case.la.mean()
        return (np.full_like(ct, -1000) if inverted else ct), labels

    rates = detection_rates(
        cases[:2], PairScorer(each(worse_when_inverted)), reference, False, ["la inverted"]
    )
    assert rates["la inverted"]["psnr_loss_db"] > 1


def test_interval_is_wilsons():
    assert interval(1, 12) == pytest.approx([0.0149, 0.3539], abs=1e-4)
    assert interval(0, 18)[0] == 0.0 and interval(18, 18)[1] == 1.0


def test_faults_give_different_films():
    films = [{v: getattr(neck(seed), v) for v in ("ap", "la")} for seed in (1, 2)]
    pairs = [fault.films(FaultInput(*films, SPACING_MM)) for fault in MADE_FAULTS.values()]
    for index, pair in enumerate(pairs):
        assert all(film.shape == (SIZE, SIZE) for film in pair.values())
        for later in pairs[:index]:
            assert any(not np.array_equal(pair[view], later[view]) for view in pair)


def test_a_crop_that_is_off_by_20_mm_moves_the_film_by_5_pixels_of_4_mm():
    films = {v: getattr(neck(1), v) for v in ("ap", "la")}
    # Patients 0, 2 are moved up and down.
    up = MADE_FAULTS["la crop off by 20 mm"].films(FaultInput(films, films, SPACING_MM, 0))
    np.testing.assert_allclose(up["la"][:, 5:], films["la"][:, :-5], rtol=1e-5)
    assert up["ap"] is films["ap"]


def test_thresholds_of_a_normal_sample():
    generator = np.random.default_rng(0)
    values = generator.normal(1.0, 0.2, 4000)
    scores = [{"unswapped": value, "la_unmirrored": -value} for value in values]
    # The rate of 0.02 is divided among two checks: 1 % is a tail of 2.326 deviations.
    bounds = thresholds(scores, 0.02)["unswapped"]
    assert bounds["review"][0] == pytest.approx(1.0 - 2.326 * 0.2, abs=0.02)
    assert bounds["review"][1] is None
    assert bounds["fail"][0] == pytest.approx(1.0 - 3.540 * 0.2, abs=0.03)
