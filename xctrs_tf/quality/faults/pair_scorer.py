"""Scores of film pairs reconstructed by a model, each pair once, also if the work is resumed."""

import dataclasses
import hashlib
import json
import logging
import pathlib

from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.files import append_text, write_text
from xctrs_tf.geometry import VIEWS
from xctrs_tf.metrics.image import psnr
from xctrs_tf.quality.verdict import Scored, score

# Fields of `Scored` that are kept; error maps are large, and films are at hand.
_KEPT = ("scores", "worst", "missing", "scattered", "out_of_order")


@dataclasses.dataclass(frozen=True)
class ScoredPair:
    """Scores of a film pair.

    Attributes:
        scored: `Scored`, without error maps.
        psnr: of the reconstruction beside the patient's CT, in dB.
    """

    scored: Scored
    psnr: float


class PairScorer:
    """Scores of film pairs, of which every pair is reconstructed once.

    Args:
        reconstruct: function from a `xctrs_tf.data.dataset.Case` to ``(ct_hu, labels)``;
            labels may be None.
        path: file that keeps the scores of a calibration that is under way, or None.
        origin: JSON values that determine the scores: the model, the data, the program.
            Scores in the file that have another origin are not used.
    """

    def __init__(self, reconstruct, path=None, origin=None):
        self._reconstruct = reconstruct
        self._path = path and pathlib.Path(path)
        self._known = self._begin(origin)

    def __call__(self, case, films, reference):
        """Return the `ScoredPair` of a patient with the given films.

        Args:
            case: the patient.
            films: dict of ``ap`` and ``la``, normalised as the model's; perhaps not the
                patient's own.
            reference: as of `verdict.score`.
        """
        key = _key(case, films)
        if key not in self._known:
            self._known[key] = self._score(case, films, reference)
            if self._path is not None:
                append_text(self._path, json.dumps({"key": key, **self._known[key]}) + "\n")
        known = self._known[key]
        fields = {name: known[name] for name in ("scores", "worst")}
        fields |= {name: tuple(known[name]) for name in _KEPT if name not in fields}
        scored = Scored(errors={}, films=films, spacing_mm=case.spacing_mm, **fields)
        return ScoredPair(scored, known["psnr"])

    @property
    def known(self):
        """Number of pairs whose scores are known."""
        return len(self._known)

    def finish(self):
        """Remove the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _score(self, case, films, reference):
        ct_hu, labels = self._reconstruct(dataclasses.replace(case, **films))
        scored = score(films, ct_hu, labels, case.spacing_mm, reference)
        true, found = (normalise_hu(ct) for ct in (case.ct, ct_hu))
        kept = {name: getattr(scored, name) for name in _KEPT}
        kept["scores"] = {name: float(value) for name, value in scored.scores.items()}
        return {**kept, "psnr": float(psnr(true, found))}

    def _begin(self, origin):
        """Read the scores that the file holds; begin it anew if they are of another origin."""
        if self._path is None:
            return {}
        header, known = {"origin": origin}, {}
        lines = self._path.read_bytes().splitlines() if self._path.is_file() else []
        rows = [row for row in map(_row, lines) if row is not None]
        if rows and rows[0] == json.loads(json.dumps(header)):
            known = {row.pop("key"): row for row in rows[1:] if _is_whole(row)}
            logging.info("%s: goes on with %d scored pairs", self._path, len(known))
        # Without the line that a kill cut short.
        rows = [header, *({"key": key, **row} for key, row in known.items())]
        write_text(self._path, "".join(json.dumps(row) + "\n" for row in rows))
        return known


def _key(case, films):
    """Return what tells a patient with films from any other, as hexadecimal digits."""
    digest = hashlib.sha256(case.ct.tobytes())
    digest.update(repr(float(case.spacing_mm)).encode())
    for view in VIEWS:
        digest.update(films[view].tobytes())
    return digest.hexdigest()


def _row(line):
    """Return the JSON object of a line, None if it is damaged."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _is_whole(row):
    return row.keys() == {"key", "psnr", *_KEPT}
