import numpy as np
import pytest

from tests.data.necks import make_neck
from xctrs_tf.data.preparation import crop_patient, make_case
from xctrs_tf.data.sources.patient import RawPatient
from xctrs_tf.errors import UserError


class Source:
    """A source of one made-up neck, whose labels a test may spoil."""

    def __init__(self, spoil=None):
        self.spoil = spoil

    def record(self, patient):
        return {"source": "test", "source_file": f"{patient}.file"}

    def load(self, patient):
        ct, labels = make_neck()
        if self.spoil:
            self.spoil(labels.array)
        return RawPatient(patient, ct, labels)


def test_the_films_are_line_integrals_of_the_cropped_ct():
    ct, labels, record = crop_patient(Source(), "a", 32, 3.0)
    case = make_case("a", ct, labels)
    assert (case.id, case.spacing_mm, record["source_file"]) == ("a", 3.0, "a.file")
    hu = case.ct.astype(np.float64)
    mu = np.where(hu < 0, 0.0192 * (1 + hu / 1000), 0.0192 + 0.0381 * hu / 1000)
    np.testing.assert_allclose(case.ap, mu.sum(1) * 3.0, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(case.la, mu.sum(0) * 3.0, rtol=1e-4, atol=1e-5)
    assert case.segmentation is labels.array and case.origin_mm == ct.origin_mm
    assert case.ap.dtype == case.la.dtype == np.float32


def test_bad_labels_are_refused_with_the_file_and_the_reason():
    def spoil(labels):
        labels[labels == 7] = 0

    with pytest.raises(UserError, match=r"a\.file: label C7 missing"):
        crop_patient(Source(spoil), "a", 32, 3.0)
