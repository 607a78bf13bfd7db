"""A model behind a server, called as if it were loaded here."""

import numpy as np

from xctrs_tf.data.films.film_writer import film_bytes
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.reconstruction import Reconstruction
from xctrs_tf.reconstruction.exported_model import BYTES_SIGNATURE


class RemoteReconstructor:
    """A served model: two films to a `Reconstruction`, like `reconstruction.Reconstructor`.

    Args:
        server: `grpc_client.GrpcClient` or `rest_client.RestClient`.

    Attributes:
        size: pixels a side of the films that the model takes.

    Raises:
        UserError: no server, no such model, or a model without ``serving_bytes``.
    """

    def __init__(self, server):
        self._server = server
        shapes = server.output_shapes(BYTES_SIGNATURE)
        shape = shapes.get("ct_hu", ())
        if len(shape) != 4 or shape[1] < 1 or len(set(shape[1:])) != 1:
            raise UserError(
                f"--server={server.address}: {server.model} has no signature {BYTES_SIGNATURE} "
                "as experiments.export writes it; export it again and serve that"
            )
        self.size = shape[1]
        self._segments = "segmentation" in shapes

    def __call__(self, ap, la, spacing_mm=None):
        """Reconstruct one patient.

        Args:
            ap: film ``[x, z]`` of `xctrs_tf.data.films.film.read_film`.
            la: film ``[y, z]``.
            spacing_mm: edge of a voxel; by default what the server tells.

        Returns:
            `Reconstruction`.

        Raises:
            UserError: no answer, an answer that is none, or no voxel size.
        """
        pngs = {f"{v}_bytes": film_bytes(f, v) for v, f in zip(VIEWS, (ap, la), strict=True)}
        answer = self._server.predict(BYTES_SIGNATURE, pngs)
        ct_hu = self._volume(answer, "ct_hu", np.int16)
        segmentation = self._volume(answer, "segmentation", np.uint8) if self._segments else None
        if spacing_mm is None:
            spacing_mm = self._spacing_mm(answer)
        return Reconstruction(
            ct_hu=ct_hu,
            segmentation=segmentation,
            spacing_mm=spacing_mm,
            origin_mm=(-(self.size - 1) / 2 * spacing_mm,) * 3,
        )

    def _volume(self, answer, name, dtype):
        try:
            volume = np.asarray(answer[name])
            if volume.shape == (self.size,) * 3 and (volume == volume.astype(dtype)).all():
                return volume.astype(dtype)
        except (KeyError, TypeError, ValueError):
            pass
        raise UserError(
            f"--server={self._server.address}: the answer's {name} is no volume of {self.size}^3 "
            f"{np.dtype(dtype)} values; is {self._server.model} an export of this project?"
        )

    def _spacing_mm(self, answer):
        spacing_mm = answer.get("spacing_mm")
        if spacing_mm is None:
            raise UserError("--spacing_mm: missing, and the model does not know its voxel size")
        # The nearest short number of what was sent as float32.
        return float(str(np.float32(spacing_mm)))
