"""Reconstruction by a model on a server, with the interface of a loaded model."""

import numpy as np

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.film_writer import film_bytes
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import SIZES, centred_origin
from xctrs_tf.reconstruction import Reconstruction
from xctrs_tf.reconstruction.exported_model import (
    BYTES_SIGNATURE,
    EQUALIZED_OUTPUT,
    METADATA_OUTPUT,
)
from xctrs_tf.reconstruction.prediction_check import checked_spacing, server_volumes
from xctrs_tf.reconstruction.reconstructor import BaseReconstructor
from xctrs_tf.report.provenance_record import model_record
from xctrs_tf.serving.served_metadata import (
    decode_metadata,
    metadata_length,
    require_same_metadata,
    require_same_model,
)


class RemoteReconstructor(BaseReconstructor):
    """Served model that maps two films to a `Reconstruction`, like `Reconstructor`.

    Args:
        client: `grpc_client.GrpcClient`, `rest_client.RestClient` or
            `kserve_client.KserveClient`.
        metadata: metadata.json of the served model, of `export_files.read_metadata_file`, for
            a server that does not tell them.
        told: False never asks the server for its metadata.

    Attributes:
        metadata: those of the last answer; before it, or where the server does not tell them,
            those that were given, or None.

    Raises:
        UserError: no server, no such model, a model without ``serving_bytes``, or metadata of
            another model than the server's.
    """

    def __init__(self, client, metadata=None, told=True):
        self._client = client
        shapes = client.output_shapes(BYTES_SIGNATURE)
        shape = shapes.get("ct_hu", ())
        if len(shape) != 4 or shape[1] not in SIZES or len(set(shape[1:])) != 1:
            raise UserError(
                f"--server={client.address}: {client.model} has no signature {BYTES_SIGNATURE} "
                "as experiments.export writes it; export it again and serve that"
            )
        self.size = shape[1]
        self._segments = "segmentation" in shapes
        self._tells_spacing = "spacing_mm" in shapes
        # The voxel size that the server told when it was asked for it; films are read with it.
        self._asked_spacing_mm = None
        equalizes = EQUALIZED_OUTPUT in shapes
        self.film_normalization = "equalized" if equalizes else "percentile"
        self._given = self.metadata = metadata
        self._metadata_length = metadata_length(shapes.get(METADATA_OUTPUT)) if told else None
        if metadata is not None:
            self._require_same_model("--metadata")

    def _name(self):
        return self._client.address

    def _reconstruct(self, films, spacing_mm):
        # Ranks keep their order when they are rounded to 16 bits.
        normalised = {
            view: normalise_film(film, self.film_normalization) for view, film in films.items()
        }
        response = self._predict(**normalised)
        ct_hu, labels = server_volumes(
            response,
            self.size,
            self._segments,
            f"--server={self._client.address}: the answer",
            self._client.model,
        )
        asked, told = self._asked_spacing_mm, self._told_spacing(response)
        if asked is not None and spacing_mm in (None, asked) and told != asked:
            # The next time it is asked anew.
            self._asked_spacing_mm = None
            raise UserError(
                f"--server={self._client.address}: changed its model after it told the voxel size; "
                "try again"
            )
        if spacing_mm is None:
            spacing_mm = self._required_spacing(told)
        return Reconstruction(
            ct_hu=ct_hu,
            segmentation=labels,
            spacing_mm=spacing_mm,
            origin_mm=centred_origin(self.size, spacing_mm),
            models=(model_record(self._client.model, self.metadata, server=self._client.address),),
        )

    def trained_spacing_mm(self):
        """Return the edge of a voxel of the served model, or None if it does not know it.

        Only an answer tells it, so the server is asked about a film of stripes. Later answers to
        films of this size must tell the same.
        """
        if not self._tells_spacing:
            return None
        stripes = np.tile(np.linspace(0, 1, self.size, dtype=np.float32), (self.size, 1))
        self._asked_spacing_mm = self._told_spacing(self._predict(stripes, stripes))
        return self._asked_spacing_mm

    def _predict(self, ap, la):
        films = {"ap": ap, "la": la}
        pngs = {f"{view}_bytes": film_bytes(film, view) for view, film in films.items()}
        shapes = {"ct_hu": (self.size,) * 3, "spacing_mm": ()}
        if self._segments:
            shapes["segmentation"] = shapes["ct_hu"]
        if self._metadata_length is not None:
            shapes[METADATA_OUTPUT] = (self._metadata_length,)
        response = self._client.predict(BYTES_SIGNATURE, pngs, shapes)
        if METADATA_OUTPUT in shapes:
            self._take_metadata(response.get(METADATA_OUTPUT))
        return response

    def _take_metadata(self, told):
        """Keep what an answer tells; another version of the model may have answered."""
        self.metadata = self._given
        if told is None:
            return
        source = f"--server={self._client.address}: the answer's {METADATA_OUTPUT}"
        self.metadata = decode_metadata(told, source)
        self._require_same_model(source)
        if self._given is not None:
            require_same_metadata(self._given, self.metadata)

    def _require_same_model(self, source):
        require_same_model(
            self.metadata, self.size, self.film_normalization, self._segments, source
        )

    def _told_spacing(self, response):
        """Return the edge of a voxel that an answer tells, or None."""
        spacing_mm = response.get("spacing_mm")
        if spacing_mm is None:
            return None
        name = f"--server={self._client.address}: the answer's spacing_mm"
        spacing_mm = checked_spacing(spacing_mm, self.size, name)
        # The shortest decimal number with the float32 value that was sent.
        return float(str(np.float32(spacing_mm)))
