import unicodedata

import pytest

from xctrs_tf.data.patient_ids import check_id, id_key
from xctrs_tf.errors import UserError


@pytest.mark.parametrize(
    "name",
    ["002", "p-1", "_x", "Jörg", "Patient 01", "s0011.v2", "a (b) [c]", "頸椎", "कि", "x" * 200],
)
def test_ids_that_name_a_file(name):
    assert check_id(name) == name
    decomposed = unicodedata.normalize("NFD", name)
    assert id_key(decomposed) == id_key(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x", "/etc/x", "a/b", "a\\b", ".hidden", "-rf", " a", "a ", "a."),
        *(
            "a\0b",
            "a\nb",
            "a\tb",
            "a\u202eb",
            "a\x1b[31m",
            "a\udcff",
            "C:x",
            "a*",
            "a?",
            "~",
            "é" * 101,
        ),
        *(None, 7, ["a"], b"a"),
    ],
)
def test_ids_that_lead_elsewhere_are_refused(name):
    with pytest.raises(UserError, match=r"^id .*: no plain file name; use up to 200") as caught:
        check_id(name)
    assert str(caught.value).isprintable()
