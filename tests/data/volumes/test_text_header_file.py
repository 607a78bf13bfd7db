import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from xctrs_tf.data.volumes.text_header_file import read_text_header_file
from xctrs_tf.errors import UserError

ARRAY = np.random.default_rng(0).integers(-1000, 1500, (4, 5, 6)).astype(np.int16)


def saved(path, array=ARRAY, compress=False):
    """Write an ``[i, j, k]`` array with SimpleITK and return its bytes."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    sitk.WriteImage(image, path, useCompression=compress)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_every_type_of_voxel_is_read_as_simpleitk_wrote_it(tmp_path, suffix, compress, kind):
    array = ARRAY.astype(kind)
    saved(tmp_path / f"ct{suffix}", array, compress)
    read = read_text_header_file(tmp_path / f"ct{suffix}")
    np.testing.assert_array_equal(read.array, array)
    assert read.array.dtype == array.dtype


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_line_ends_of_windows(tmp_path, suffix):
    content = saved(tmp_path / f"ct{suffix}")
    end = len(content) - ARRAY.nbytes
    (tmp_path / f"ct{suffix}").write_bytes(content[:end].replace(b"\n", b"\r\n") + content[end:])
    np.testing.assert_array_equal(read_text_header_file(tmp_path / f"ct{suffix}").array, ARRAY)


def test_comments_may_be_repeated(tmp_path):
    content = saved(tmp_path / "ct.mha")
    comments = b"Comment = one\nComment = two\n"
    (tmp_path / "ct.mha").write_bytes(content.replace(b"NDims", comments + b"NDims", 1))
    np.testing.assert_array_equal(read_text_header_file(tmp_path / "ct.mha").array, ARRAY)


def test_big_endian(tmp_path):
    content = saved(tmp_path / "ct.nrrd").replace(b"endian: little", b"endian: big")
    (tmp_path / "ct.nrrd").write_bytes(content)
    np.testing.assert_array_equal(
        read_text_header_file(tmp_path / "ct.nrrd").array, ARRAY.byteswap()
    )


ELSEWHERE = [
    ("ct.nrrd", b"encoding: raw", b"encoding: raw\ndata file: secret.raw"),
    ("ct.nrrd", b"encoding: raw", b"encoding: raw\nDATAFILE: secret.raw"),
    ("ct.nrrd", b"encoding: raw", b"encoding: raw\r\nData File:/etc/passwd"),
    ("ct.mha", b"= LOCAL", b"= secret.raw"),
    ("ct.mha", b"= LOCAL", b"= LIST"),
    ("ct.mha", b"= LOCAL", b"= LOCAL secret.raw"),
]


@pytest.mark.parametrize(("name", "old", "new"), ELSEWHERE)
def test_voxels_in_another_file_are_refused(tmp_path, name, old, new):
    content = saved(tmp_path / name)
    assert old in content
    (tmp_path / "secret.raw").write_bytes(ARRAY.tobytes())
    (tmp_path / name).write_bytes(content.replace(old, new))
    with pytest.raises(UserError, match=f"{name}: its pixels are in another file"):
        read_text_header_file(tmp_path / name)


def test_line_ends_of_cr_hide_no_field(tmp_path):
    content = saved(tmp_path / "ct.nrrd")
    hidden = content.replace(b"encoding: raw", b"# a comment\rdata file: secret.raw\rencoding: raw")
    (tmp_path / "ct.nrrd").write_bytes(hidden)
    with pytest.raises(UserError, match="line ends of CR in its header"):
        read_text_header_file(tmp_path / "ct.nrrd")
    end = len(content) - ARRAY.nbytes
    (tmp_path / "ct.nrrd").write_bytes(content[:end].replace(b"\n", b"\r") + content[end:])
    with pytest.raises(UserError, match=r"ct\.nrrd: "):
        read_text_header_file(tmp_path / "ct.nrrd")


BROKEN = [
    ("ct.nrrd", b"sizes: 4 5 6", b"sizes: 4 5 600", "ends before its last voxel"),
    ("ct.nrrd", b"sizes: 4 5 6", b"sizes: 99999999 99999999 6", "cut out the neck first"),
    ("ct.nrrd", b"sizes: 4 5 6", b"sizes: 4 5 -6", "damaged"),
    ("ct.nrrd", b"sizes: 4 5 6", b"sizes: 4 5", "damaged"),
    ("ct.nrrd", b"type: short", b"type: block", "type|block"),
    ("ct.nrrd", b"encoding: raw", b"encoding: bzip2", "encoding 'bzip2' is not read"),
    ("ct.nrrd", b"encoding: raw", b"encoding: raw\nbyte skip: 8", "skips bytes"),
    ("ct.nrrd", b"encoding: raw", b'encoding: raw\nspace units: "m"', "space units 'm'"),
    ("ct.nrrd", b"space directions: ", b"space directions: " + b"(" * 60_000, "not one for each"),
    ("ct.nrrd", b"encoding: raw", b"encoding: \x1b[2J" + b"x" * 60_000, "encoding '.{60}...' is"),
    ("ct.mha", b"DimSize = 4 5 6", b"DimSize = 4 5 600", "ends before its last voxel"),
    ("ct.mha", b"DimSize = 4 5 6", b"DimSize = 99999999 9999 9", "cut out the neck first"),
    ("ct.mha", b"ElementType = MET_SHORT", b"ElementType = MET_ODD", "damaged"),
    ("ct.mha", b"BinaryData = True", b"BinaryData = False", "binarydata False is not read"),
    ("ct.mha", b"BinaryData = True", b"BinaryData = True\nHeaderSize = -1", "headersize -1"),
]


@pytest.mark.parametrize(("name", "old", "new", "said"), BROKEN)
def test_a_header_that_does_not_fit_its_voxels(tmp_path, name, old, new, said):
    content = saved(tmp_path / name)
    assert old in content
    (tmp_path / name).write_bytes(content.replace(old, new))
    with pytest.raises(UserError, match=rf"{name}: .*({said})"):
        read_text_header_file(tmp_path / name)


def test_compressed_voxels_of_another_number_are_refused_unpacked_no_further(tmp_path):
    content = saved(tmp_path / "ct.nrrd")
    head = content[: len(content) - ARRAY.nbytes].replace(b"encoding: raw", b"encoding: gzip")
    for data, said in [
        (gzip.compress(bytes(2**24)), "unpacks to another number"),
        (gzip.compress(ARRAY.tobytes()[:-1]), "unpacks to another number"),
        (gzip.compress(ARRAY.tobytes())[:-9], "unpacks to another number"),
        (gzip.compress(ARRAY.tobytes())[:-8] + b"12345678", "damaged compression"),
        (b"no gzip", "damaged compression"),
    ]:
        (tmp_path / "ct.nrrd").write_bytes(head + data)
        with pytest.raises(UserError, match=said):
            read_text_header_file(tmp_path / "ct.nrrd")


def test_a_header_without_an_end_is_given_up(tmp_path):
    (tmp_path / "ct.nrrd").write_bytes(b"NRRD0004\n" + b"# comment\n" * 100_000)
    (tmp_path / "ct.mha").write_bytes(b"Comment = long\n" * 3 + b"a" * 1_000_000)
    for name in ("ct.nrrd", "ct.mha"):
        with pytest.raises(UserError, match=f"{name}: damaged"):
            read_text_header_file(tmp_path / name)
