from tests.data.hostile_folders import try_manifests, try_tables
from xctrs_tf.data.dataset.manifest import identity_of


def test_a_phantom_is_told_by_its_number_too():
    def told(image, file, source="phantom"):
        return identity_of({"image_sha256": image, "source_file": file, "source": source})

    coarse, fine = (told(image, "phantom seed 7") for image in ("coarse", "fine"))
    assert len(coarse) == 2 and len(coarse & fine) == 1
    assert not coarse & told("coarse of 8", "phantom seed 8")
    # Files of two folders may have one name.
    assert told("image", "1_ct.nii.gz", "nifti") == told("image", "1_ct.nii.gz") == {"image"}
    assert told(None, "phantom seed 7") == set()


def test_damaged_manifests_are_read_or_refused_in_words(tmp_path):
    assert 0 < try_manifests(tmp_path, seed=0, count=40) < 80


def test_random_tables_are_read_or_refused_in_words(tmp_path):
    assert 0 < try_tables(tmp_path, seed=0, count=60) < 60
