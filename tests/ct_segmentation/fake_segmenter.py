"""A segmenter without a network: it reads the labels off the CT numbers of `tests.data.necks`."""

import types

import numpy as np

from xctrs_tf.ct_segmentation.anatomy.oriented_box import OrientedBox
from xctrs_tf.ct_segmentation.findings import TOP_ANCHOR, UNCERTAIN, Findings, Vertebra
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.geometry import VERTEBRAE

RECORD = {"name": "fake64", "weights_sha256": "ab" * 32, "steps": 7}


class FakeSegmenter:
    """Segmenter of `make_neck`: C1..C7 have 601..607 HU.

    Args:
        spoil: function from a dict of the fields of `Findings` and the scan to nothing, which
            changes them; None for none.
        record: of the network.
        spacing_mm: edge of the network's voxels.
    """

    def __init__(self, spoil=None, record=None, spacing_mm=20.0):
        self.record = dict(RECORD if record is None else record)
        self.spacing_mm = spacing_mm
        self._spoil = spoil
        self.scans = []

    def __call__(self, scan, progress=None):
        """Segment a `Scan`."""
        del progress
        self.scans.append(scan)
        bone = (scan.hu > 600) & (scan.hu <= 607)
        labels = np.where(bone, scan.hu - 600, 0).astype(np.uint8)
        fields = {
            "vertebrae": tuple(vertebra(number) for number in range(1, 8)),
            "levels": TOP_ANCHOR,
            "problems": (),
            "labels": labels,
        }
        if self._spoil:
            self._spoil(fields, scan)
        findings = Findings(**fields)
        # Twice as fine along each axis.
        fine = Volume(
            labels.repeat(2, 0).repeat(2, 1).repeat(2, 2),
            tuple(scan.grid.spacing_mm / 2),
            tuple(scan.grid.origin_mm - scan.grid.spacing_mm / 4),
        )
        return types.SimpleNamespace(
            scan=scan,
            findings=findings,
            labels=findings.labels,
            model=self.record,
            network_labels=fine,
        )


def vertebra(number, problems=()):
    """Return the `Vertebra` C1..C7 of a number."""
    name = VERTEBRAE[number - 1]
    box = OrientedBox((0.0,) * 3, (40.0, 40.0, 15.0), (0.0,) * 3)
    return Vertebra(name, number, name, (0.0,) * 3, box, 9000.0, 0.9, False, problems)


def unsure(fields, scan):
    """Leave the levels uncertain."""
    del scan
    fields["levels"] = UNCERTAIN
    fields["problems"] = ("C3 and C4 are 40 mm apart.",)
