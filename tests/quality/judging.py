"""Verdicts on a phantom, and what they say."""

from tests.report.necks import SPACING_MM, blurred
from xctrs_tf.quality.verdict import assess

PATIENT = 7


def judge(patient, reference, ap=None, la=None, ct=None, labels=None):
    """Return the verdict on a good reconstruction, with the given parts replaced."""
    good_ct, good_labels = blurred(patient)
    films = {"ap": patient.ap if ap is None else ap, "la": patient.la if la is None else la}
    return assess(
        films,
        good_ct if ct is None else ct,
        good_labels if labels is None else labels,
        SPACING_MM,
        reference,
    )


def found(verdict):
    return {finding.check for finding in verdict.findings}


def only_cause(verdict):
    """Return the cause of the only finding."""
    (finding,) = verdict.findings
    return finding.cause


def reason_of(verdict, check):
    (reason,) = (finding.reason for finding in verdict.findings if finding.check == check)
    return reason
