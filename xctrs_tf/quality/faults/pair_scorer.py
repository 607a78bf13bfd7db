"""Scores of film pairs reconstructed by a model, each pair once, also if the work is resumed."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import itertools
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
        psnr: of the reconstruction compared with the patient's CT, in dB.
    """

    scored: Scored
    psnr: float


class PairScorer:
    """Scores of film pairs, of which every pair is reconstructed once.

    Args:
        reconstruct: function from a list of `xctrs_tf.data.dataset.Case` to a list of
            ``(ct_hu, labels)``; labels may be None. A thread of its own calls it.
        path: file that keeps the scores of a calibration that is under way, or None.
        origin: JSON values that determine the scores: the model, the data, the program.
            Scores in the file that have another origin are not used.
        batch_size: most patients of a call of ``reconstruct``.
    """

    def __init__(self, reconstruct, path=None, origin=None, batch_size=1):
        self._reconstruct, self._batch_size = reconstruct, batch_size
        self._path = path and pathlib.Path(path)
        self._known = self._begin(origin)

    def scored_pairs(self, pairs, reference):
        """Yield the `ScoredPair` of patients with given films, in order.

        While a pair is scored, the next ones are reconstructed.

        Args:
            pairs: iterable of ``(case, films)``: a patient, and a dict of ``ap`` and ``la``,
                normalised as the model's; perhaps not the patient's own.
            reference: as of `verdict.score`.
        """
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            batches, begun = collections.deque(), set()
            for batch in _batches(pairs, self._batch_size):
                new = {}
                for case, films in batch:
                    key = _key(case, films)
                    if key not in self._known and key not in begun:
                        new[key] = dataclasses.replace(case, **films)
                begun |= new.keys()
                volumes = thread.submit(self._reconstruct, list(new.values())) if new else None
                batches.append((batch, new, volumes))
                if len(batches) > 1:
                    yield from self._finish_batch(*batches.popleft(), reference)
            for each in batches:
                yield from self._finish_batch(*each, reference)

    def finish(self):
        """Remove the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _finish_batch(self, batch, new, volumes, reference):
        """Score the pairs that are new, and yield the `ScoredPair` of all."""
        made = dict(zip(new, volumes.result(), strict=True)) if new else {}
        for case, films in batch:
            key = _key(case, films)
            if key not in self._known:
                self._known[key] = _score(case, films, *made[key], reference)
                if self._path is not None:
                    append_text(self._path, json.dumps({"key": key, **self._known[key]}) + "\n")
            known = self._known[key]
            fields = {name: known[name] for name in ("scores", "worst")}
            fields |= {name: tuple(known[name]) for name in _KEPT if name not in fields}
            scored = Scored(errors={}, films=films, spacing_mm=case.spacing_mm, **fields)
            yield ScoredPair(scored, known["psnr"])

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


def _score(case, films, ct_hu, labels, reference):
    """Return what is kept of the scores of a pair, as JSON values."""
    scored = score(films, ct_hu, labels, case.spacing_mm, reference)
    true, found = (normalise_hu(ct) for ct in (case.ct, ct_hu))
    kept = {name: getattr(scored, name) for name in _KEPT}
    kept["scores"] = {name: float(value) for name, value in scored.scores.items()}
    return {**kept, "psnr": float(psnr(true, found))}


def _batches(items, size):
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


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
