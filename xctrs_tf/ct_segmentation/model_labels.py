"""Labels that a network makes for CTs without labels: ``--labels=auto`` of experiments.prepare."""

import dataclasses
import functools

from xctrs_tf.ct_segmentation.scan import scan_of
from xctrs_tf.data.dataset.manifest import LABELS_FIELD, MODEL, MODEL_MADE
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VERTEBRAE


class ModelLabelledSource(PatientSource):
    """Source whose CTs a network labels; the records say so.

    A scan is refused where the network is not certain that it found all of C1..C7, whole and
    under their right names. A worker process gets the source, and loads the network once.

    Args:
        source: the `PatientSource` of the CTs; labels that it has are not used.
        model: as of `segmenter.load_segmenter`.

    Attributes:
        ids: names of the patients, sorted.
        unusable: as of the source.
        labels: dict for the manifest: ``made_by``, and ``model``, the record of the network.
        words: who made the labels, in a few words.

    Raises:
        UserError: there is no such network, or it cannot be loaded.
    """

    def __init__(self, source, model):
        self._source, self._model = source, model
        self.ids, self.unusable = source.ids, source.unusable
        try:
            record = _segmenter(model).record
        except UserError as error:
            # The flag of experiments.segment has another name here.
            raise UserError(str(error).replace("--model=", "--label_model=")) from error
        self.labels = {"made_by": MODEL, "model": record}
        self.words = f"{MODEL_MADE} by {record['name']}, weights {record['weights_sha256'][:16]}"

    def scans(self, patient):
        """Return the keys of a patient's scans, the preferred one first."""
        return self._source.scans(patient)

    def record(self, scan):
        """Return the origin of a scan, and which network made its labels."""
        model = self.labels["model"]
        made = {"made_by": MODEL, **{key: model[key] for key in ("name", "weights_sha256")}}
        return {**self._source.record(scan), LABELS_FIELD: made}

    def load(self, scan):
        """Read one scan and label it; the notes of the `RawPatient` say how sure the network is."""
        raw = self._source.load(scan)
        segmenter = _segmenter(self._model)
        if segmenter.record != self.labels["model"]:
            raise UserError(f"--label_model={self._model}: changed meanwhile; begin anew")
        segmentation = segmenter(scan_of(raw.ct, raw.id))
        findings = segmentation.findings
        if not findings.is_certain:
            reasons = "; ".join(reason.rstrip(". ") for reason in findings.reasons)
            raise UserError(
                f"{raw.id}: the network is unsure of its labels: "
                f"{reasons or 'not all of C1 to C7 are there, whole'}"
            )
        notes = {
            "label_levels": findings.levels,
            "label_confidence": {
                vertebra.name: round(float(vertebra.confidence), 4)
                for vertebra in findings.vertebrae
                if vertebra.name in VERTEBRAE
            },
        }
        labels = dataclasses.replace(raw.ct, array=segmentation.labels)
        if max(raw.ct.spacing_mm) > segmenter.spacing_mm:
            # On coarser voxels than the network's own its labels would lose detail.
            labels = segmentation.network_labels
        return RawPatient(raw.id, raw.ct, labels, {**raw.notes, **notes})


@functools.lru_cache(maxsize=1)
def _segmenter(model):
    """Return the loaded network, of which a process holds one."""
    # It imports Keras, which is slow.
    from xctrs_tf.ct_segmentation.segmenter import load_segmenter

    return load_segmenter(model)
