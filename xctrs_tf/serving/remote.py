"""Reconstruction by a model on a server, with the interface of a loaded model."""

import numpy as np

from xctrs_tf.data.films.film_writer import film_bytes
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.reconstruction import Reconstruction
from xctrs_tf.reconstruction.exported_model import BYTES_SIGNATURE


class RemoteReconstructor:
    """Served model that maps two films to a `Reconstruction`, like `Reconstructor`.

    Args:
        client: `grpc_client.GrpcClient` or `rest_client.RestClient`.

    Attributes:
        size: pixels a side of the films.

    Raises:
        UserError: no server, no such model, or a model without ``serving_bytes``.
    """

    def __init__(self, client):
        self._client = client
        shapes = client.output_shapes(BYTES_SIGNATURE)
        shape = shapes.get("ct_hu", ())
        if len(shape) != 4 or shape[1] < 1 or len(set(shape[1:])) != 1:
            raise UserError(
                f"--server={client.address}: {client.model} has no signature {BYTES_SIGNATURE} "
                "as experiments.export writes it; export it again and serve that"
            )
        self.size = shape[1]
        self._segments = "segmentation" in shapes

    def __call__(self, ap, la, spacing_mm=None):
        """Reconstruct one patient.

        Args:
            ap: film ``[x, z]`` of `xctrs_tf.data.films.film.read_film`.
            la: film ``[y, z]``.
            spacing_mm: edge of a voxel; by default that of the served model.

        Returns:
            `Reconstruction`.

        Raises:
            UserError: no response, an invalid one, or no voxel size.
        """
        pngs = {f"{v}_bytes": film_bytes(f, v) for v, f in zip(VIEWS, (ap, la), strict=True)}
        response = self._client.predict(BYTES_SIGNATURE, pngs)
        ct_hu = self._volume(response, "ct_hu", np.int16)
        segmentation = self._volume(response, "segmentation", np.uint8) if self._segments else None
        if spacing_mm is None:
            spacing_mm = self._spacing_mm(response)
        return Reconstruction(
            ct_hu=ct_hu,
            segmentation=segmentation,
            spacing_mm=spacing_mm,
            origin_mm=(-(self.size - 1) / 2 * spacing_mm,) * 3,
        )

    def _volume(self, response, name, dtype):
        try:
            volume = np.asarray(response[name])
            if volume.shape == (self.size,) * 3 and (volume == volume.astype(dtype)).all():
                return volume.astype(dtype)
        except (KeyError, TypeError, ValueError):
            pass
        raise UserError(
            f"--server={self._client.address}: the answer's {name} is no volume of {self.size}^3 "
            f"{np.dtype(dtype)} values; is {self._client.model} an export of this project?"
        )

    def _spacing_mm(self, response):
        spacing_mm = response.get("spacing_mm")
        if spacing_mm is None:
            raise UserError("--spacing_mm: missing, and the model does not know its voxel size")
        # The shortest decimal number with the float32 value that was sent.
        return float(str(np.float32(spacing_mm)))
