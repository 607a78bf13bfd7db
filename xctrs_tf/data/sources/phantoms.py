"""Phantoms as a source of patients: `xctrs_tf.data.phantom` by number."""

import hashlib
import math

from xctrs_tf.data.phantom import make_phantom
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError

# Largest cohort for which different seeds give different phantoms.
SEED_STRIDE = 100_000
# Edge of a scan that is larger than the crop, in edges of the crop.
_SCAN = 1.5


class PhantomSource(PatientSource):
    """Phantoms ``phantom-0000``, ``phantom-0001``, ... of one cohort.

    Args:
        num_patients: number of phantoms.
        seed: seed of the cohort.
        size: voxels a side of the crop.
        spacing_mm: voxel size of the crop in mm.
        scan_spacing_mm: voxel size of the scan that `load` returns, which is larger than the
            crop; None makes the crop itself.

    Attributes:
        ids: names of the phantoms.

    Raises:
        UserError: the voxels of the scan are larger than those of the crop.
    """

    def __init__(self, num_patients, seed, size, spacing_mm, scan_spacing_mm=None):
        self.seed = seed
        self.size = size
        self.spacing_mm = spacing_mm
        if scan_spacing_mm is not None:
            if scan_spacing_mm > spacing_mm:
                raise UserError(
                    f"--phantom_spacing_mm={scan_spacing_mm:g}: above that of the crop, "
                    f"{spacing_mm:g}; give a smaller one, or leave it out"
                )
            self.size = math.ceil(_SCAN * size * spacing_mm / scan_spacing_mm)
            self.spacing_mm = scan_spacing_mm
        self._numbers = {f"phantom-{number:04d}": number for number in range(num_patients)}
        self.ids = list(self._numbers)

    def record(self, patient):
        """Return the origin of a phantom for the manifest."""
        recipe = f"phantom seed {self._phantom_seed(patient)}"
        grid = f"size {self.size} spacing {self.spacing_mm}"
        return {
            "source": "phantom",
            "source_file": recipe,
            "source_sha256": hashlib.sha256(f"{recipe} {grid}".encode()).hexdigest(),
            "licence": "Apache-2.0",
        }

    def load(self, patient):
        """Make one phantom as a `RawPatient`."""
        phantom = make_phantom(self._phantom_seed(patient), self.size, self.spacing_mm)
        grid = ((phantom.spacing_mm,) * 3, tuple(phantom.origin_mm))
        return RawPatient(patient, Volume(phantom.ct, *grid), Volume(phantom.segmentation, *grid))

    def _phantom_seed(self, patient):
        return self.seed * SEED_STRIDE + self._numbers[patient]
