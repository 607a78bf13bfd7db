"""Decompression of a DICOM frame: run-length code by pydicom, else by GDCM, which is in SimpleITK.

GDCM gets a file of nothing but the pixels, so that no other field of the header, such as the
SOP class or MONOCHROME1, changes what it gives back.
"""

import io

from xctrs_tf.data.checked_file import alone
from xctrs_tf.errors import UserError

_UID = "1.2.826.0.1.3680043.8.498.1"


def decode_frame(file, frame, syntax, shape, allocated, stored, signed):
    """Decompress one frame.

    Args:
        file: its name, for the error.
        frame: the bytes of the compressed picture.
        syntax: pydicom UID of its compression.
        shape: rows and columns.
        allocated: BitsAllocated.
        stored: BitsStored.
        signed: PixelRepresentation, 1 for signed numbers.

    Returns:
        Array ``[row, column]`` of whole numbers.

    Raises:
        UserError: damaged, of another size, or compressed in a way that GDCM does not know.
    """
    import SimpleITK as sitk
    from pydicom.uid import RLELossless

    picture = _picture(frame, syntax, shape, allocated, stored, signed)
    if syntax == RLELossless:
        return picture.pixel_array
    stream = io.BytesIO()
    picture.save_as(stream, enforce_file_format=True)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    with alone(stream.getvalue(), "frame.dcm") as copy:
        try:
            image = sitk.ReadImage(str(copy), imageIO="GDCMImageIO")
        except RuntimeError as error:
            raise UserError(
                f"{file}: its pixels, compressed as {syntax.name}, are damaged or of a kind that "
                "is not read; export it uncompressed"
            ) from error
    array = sitk.GetArrayFromImage(image)
    if array.size != shape[0] * shape[1]:
        raise UserError(f"{file}: compressed pixels of another size; export it again")
    return array.reshape(shape)


def _picture(frame, syntax, shape, allocated, stored, signed):
    """Return a plain picture (Secondary Capture), of which GDCM changes no value."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import SecondaryCaptureImageStorage

    picture = Dataset()
    picture.file_meta = FileMetaDataset()
    picture.file_meta.TransferSyntaxUID = syntax
    picture.SOPClassUID = SecondaryCaptureImageStorage
    picture.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    picture.SOPInstanceUID = picture.file_meta.MediaStorageSOPInstanceUID = _UID
    picture.StudyInstanceUID = picture.SeriesInstanceUID = _UID
    picture.Modality = "OT"
    picture.Rows, picture.Columns = shape
    picture.SamplesPerPixel, picture.PhotometricInterpretation = 1, "MONOCHROME2"
    picture.BitsAllocated, picture.BitsStored, picture.HighBit = allocated, stored, stored - 1
    picture.PixelRepresentation = signed
    picture.PixelData = encapsulate([frame])
    picture["PixelData"].VR = "OB"
    picture["PixelData"].is_undefined_length = True
    return picture
