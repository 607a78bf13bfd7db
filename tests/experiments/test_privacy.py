"""Rights of what the programs write."""

import os

import pytest

from experiments.common.privacy import private_files


@pytest.mark.parametrize(("shared", "allowed"), [(False, (0o700, 0o600)), (True, (0o750, 0o640))])
def test_only_the_user_has_rights_unless_the_files_are_shared(tmp_path, shared, allowed):
    before = os.umask(0o027)
    try:
        with private_files(shared):
            (tmp_path / "folder").mkdir()
            (tmp_path / "file").touch()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    found = tuple((tmp_path / name).stat().st_mode & 0o777 for name in ("folder", "file"))
    assert found == allowed
