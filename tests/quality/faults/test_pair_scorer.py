import dataclasses
import json

import pytest

from tests.report.necks import blurred, neck
from xctrs_tf.quality.faults.detection import detection_rates
from xctrs_tf.quality.faults.pair_scorer import PairScorer

FAULTS = ["none", "la upside down", "both inverted"]
ORIGIN = {"model": "a", "data_sha256": "b"}


class Model:
    """Stand-in for a model that counts its reconstructions and stops before one of them."""

    def __init__(self, stop_at=None):
        self.calls, self.sizes, self._stop_at = 0, [], stop_at

    def __call__(self, cases):
        self.sizes.append(len(cases))
        return [self._reconstruct(case) for case in cases]

    def _reconstruct(self, case):
        if self.calls == self._stop_at:
            raise KeyboardInterrupt
        self.calls += 1
        return blurred(case)


def rates(model, reference, path=None, origin=ORIGIN, batch_size=1):
    cases = [neck(seed) for seed in (300, 301)]
    scorer = PairScorer(model, path, origin, batch_size)
    return scorer, detection_rates(cases, scorer, reference, calibrated_on=False, faults=FAULTS)


def test_every_pair_of_films_is_reconstructed_once(reference):
    model = Model()
    scorer, found = rates(model, reference)
    assert model.calls == 2 * len(FAULTS)
    assert detection_rates([neck(300), neck(301)], scorer, reference, False, FAULTS) == found
    assert model.calls == 2 * len(FAULTS)


def test_films_of_another_patient_or_voxel_size_are_another_pair(reference):
    model, case = Model(), neck(300)
    scorer = PairScorer(model)
    films = {"ap": case.ap, "la": case.la}
    others = [
        (neck(301), films),
        (dataclasses.replace(case, spacing_mm=2 * case.spacing_mm), films),
        (case, {**films, "la": neck(301).la}),
    ]
    (first,) = scorer.scored_pairs([(case, films)], reference)
    for number, pair in enumerate(others, 2):
        (second,) = scorer.scored_pairs([pair], reference)
        assert second.scored.scores != first.scored.scores
        assert model.calls == number


def test_batches_change_no_result(reference):
    whole = rates(Model(), reference)[1]
    model = Model()
    assert rates(model, reference, batch_size=4)[1] == whole
    # First both patients without a fault, then batches of four and two pairs; of the four two
    # are known.
    assert model.sizes == [2, 2, 2]
    # A pair that is asked for twice is reconstructed once, also before the first is scored.
    case, model = neck(300), Model()
    pair = (case, {"ap": case.ap, "la": case.la})
    first, *others = PairScorer(model, batch_size=2).scored_pairs([pair] * 5, reference)
    assert model.sizes == [1] and all(other.psnr == first.psnr for other in others)


def test_stopped_work_goes_on_with_the_same_result(reference, tmp_path):
    whole = rates(Model(), reference)[1]
    path = tmp_path / "quality.json.unfinished.jsonl"
    with pytest.raises(KeyboardInterrupt):
        rates(Model(stop_at=4), reference, path)
    # A kill may cut the last line short.
    path.write_bytes(path.read_bytes()[:-20])
    model = Model()
    scorer, found = rates(model, reference, path)
    assert (model.calls, found) == (3, whole)
    again = Model()
    assert rates(again, reference, path)[1] == whole
    assert again.calls == 0
    scorer.finish()
    assert not path.exists()


@pytest.mark.parametrize("begin", ['{"origin": {"model": "other"}}', "[1]", "", '{"origin": '])
def test_scores_of_another_model_are_not_used(reference, tmp_path, begin):
    path = tmp_path / "scores.jsonl"
    rates(Model(), reference, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == {"origin": ORIGIN}
    path.write_text("\n".join([begin, *lines[1:]]), encoding="utf-8")
    model = Model()
    rates(model, reference, path)
    assert model.calls == 2 * len(FAULTS)
    assert path.read_text(encoding="utf-8").splitlines()[0] == lines[0]
