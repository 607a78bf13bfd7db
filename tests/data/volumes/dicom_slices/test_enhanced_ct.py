"""An Enhanced CT: all slices in one file."""

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.data.volumes.dicom_slices.slices import ARRAY, ORIGIN_MM, assert_as_stored, setting
from xctrs_tf.data.volumes.dicom_series import read_series
from xctrs_tf.errors import UserError


def enhanced(path, array, change=None):
    """Write an Enhanced CT of one frame a slice, the highest first."""
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    data.Modality, data.SeriesInstanceUID = "CT", "1.2.3"
    data.Columns, data.Rows, data.NumberOfFrames = array.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    measures, plane, rescale = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.75, 0.75]
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, -1024, "HU"
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [plane]
    shared.PixelValueTransformationSequence = [rescale]
    data.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for number in range(array.shape[2]):
        position = Dataset()
        position.ImagePositionPatient = [*ORIGIN_MM[:2], ORIGIN_MM[2] + 2.5 * number]
        frames.append(Dataset())
        frames[-1].PlanePositionSequence = [position]
    data.PerFrameFunctionalGroupsSequence = frames[::-1]
    stored = (array[:, :, ::-1].astype(int) + 1024).transpose(2, 1, 0)
    data.PixelData = stored.astype("<i2").tobytes()
    if change:
        change(data)
    path.parent.mkdir(exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def test_an_enhanced_ct_is_read(tmp_path):
    enhanced(tmp_path / "ct" / "all.dcm", ARRAY)
    assert_as_stored(tmp_path / "ct")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (setting(NumberOfFrames=1000), "NumberOfFrames is 1000, and 5 frames have places"),
        (setting(SharedFunctionalGroupsSequence=None), "no PixelMeasuresSequence"),
        (setting(PerFrameFunctionalGroupsSequence=None), "5 frames without places"),
    ],
)
def test_an_enhanced_ct_without_places(tmp_path, change, said):
    enhanced(tmp_path / "ct" / "all.dcm", ARRAY, change)
    with pytest.raises(UserError, match=f"all.dcm: {said}"):
        read_series(tmp_path / "ct")


def test_two_frames_at_one_position_name_their_file_once(tmp_path):
    def change(data):
        frames = data.PerFrameFunctionalGroupsSequence
        frames[1].PlanePositionSequence = frames[0].PlanePositionSequence

    enhanced(tmp_path / "ct" / "all.dcm", ARRAY, change)
    with pytest.raises(UserError, match=r"two slices at one position, all\.dcm; keep"):
        read_series(tmp_path / "ct")
