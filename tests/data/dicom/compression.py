"""Compressed pictures, and films of them."""

import io

import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEGLosslessSV1

from tests.data.dicoms import write_dicom


def jpeg_2000(pixels):
    """Return the lossless JPEG 2000 picture that Pillow writes."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(
        stream, "JPEG2000", irreversible=False, num_resolutions=1, no_jp2=True
    )
    return stream.getvalue()


def lossless_jpeg(path, pixels):
    """Return the lossless JPEG picture that SimpleITK writes."""
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.SetFileName(str(path))
    writer.Execute(sitk.GetImageFromArray(pixels[np.newaxis]))
    written = pydicom.dcmread(path)
    assert written.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    return next(generate_frames(written.PixelData, number_of_frames=1))


def write_compressed_film(path, syntax, frame, **tags):
    """Write a DICOM film of one compressed picture and return its path."""
    image = pydicom.dcmread(write_dicom(path, **tags))
    image.file_meta.TransferSyntaxUID = syntax
    image.PixelData = encapsulate([frame])
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    image.save_as(path)
    return path
