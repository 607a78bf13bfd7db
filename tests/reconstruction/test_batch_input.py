import os
import pathlib

import pytest

from xctrs_tf.errors import UserError
from xctrs_tf.reconstruction import batch_input
from xctrs_tf.reconstruction.batch_input import FilmFiles, find_pairs, read_table


def write_table(folder, text):
    path = folder / "pairs.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_table(tmp_path):
    path = write_table(
        tmp_path,
        "\ufeffla, id,ap,spacing_mm ,,\n"
        "a/la.dcm,p-1.x,a/ap.dcm,2.5,,\n\n"
        '/films/la.png,Müller_2,"../a, p.png",\n',
    )
    assert read_table(path) == [
        FilmFiles("p-1.x", {"ap": tmp_path / "a/ap.dcm", "la": tmp_path / "a/la.dcm"}, 2.5),
        FilmFiles(
            "Müller_2", {"ap": tmp_path / "../a, p.png", "la": pathlib.Path("/films/la.png")}
        ),
    ]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "..",
            ".",
            "/etc/x",
            "../x",
            "a/b",
            "a\\b",
            ".hidden",
            "-rf",
            "a.",
            "~",
            "x" * 201,
        ),
        *("a\u202eb", "C:x", "a\x00b", "a\tb", "summary.csv", "SUMMARY.CSV", "p0", "P0"),
    ],
)
def test_ids_with_special_characters_are_refused(tmp_path, name):
    path = write_table(tmp_path, f"id,ap,la\np0,a.png,b.png\n{name},a.png,b.png\n")
    with pytest.raises(UserError, match=r"pairs\.csv: line 3: id '") as caught:
        read_table(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column ap, id, la"),
        ("id;ap;la\n", "line 1: no column ap, id, la in 'id;ap;la'; write id,ap,la in small"),
        ("ID,AP,LA\n", "line 1: no column ap, id, la in 'ID,AP,LA'; write id,ap,la in small"),
        ("id,ap\n", "line 1: no column la in 'id,ap'; write id,ap,la in small"),
        ("id,ap,la\n", r"no pairs; write a line for each below id,ap,la"),
        ("id,ap,la\np1,a.png\n", "line 2: no la"),
        ("id,ap,la\np1,,b.png\n", "line 2: no ap"),
        ("id,ap,la\n,a.png,b.png\n", "line 2: no id"),
        ("id,ap,la\np1,a.png,b.png,c.png\n", "line 2: more fields than columns"),
        ("id,ap,la,\np1,a.png,b.png,2.5\n", "line 2: more fields than columns"),
        (
            "id,ap,la,Spacing_mm\np1,a,b,2\n",
            "line 1: unknown column 'Spacing_mm'; the columns are id, ap, la, spacing_mm",
        ),
        ("id,ap,la,spacing\np1,a,b,2\n", "line 1: unknown column 'spacing'; the columns are"),
        ("id,ap,,la\np1,a,,b\n", "line 1: unknown column ''; the columns are"),
        ("id,ap,la,spacing_mm,spacing_mm\n", "line 1: two columns 'spacing_mm'"),
        ("id,ap,la,spacing_mm\np1,a,b,2\np2,a,b,0\n", "line 3: spacing_mm '0': must be a number"),
        ("id,ap,la,spacing_mm\np1,a,b,nan\n", "line 2: spacing_mm 'nan'"),
        ("id,ap,la,spacing_mm\np1,a,b,2mm\n", "line 2: spacing_mm '2mm'"),
        ('id,ap,la\np1,"a.png,b.png\n', "line 2: unexpected end of data"),
        ("id,ap,la\np1,a.png," + 200_000 * "b", r"line 2: field larger than field limit"),
        (b"id,ap,la\np1,\xff.png,b.png\n", r"cannot be read \(not UTF-8 text\)"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=rf"pairs\.csv: {message}") as caught:
        read_table(write_table(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_table(tmp_path):
    with pytest.raises(UserError, match=r"absent\.csv: cannot be read \(No such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        read_table(tmp_path)
    with (tmp_path / "huge.csv").open("wb") as stream:
        stream.truncate(2**30)
    with pytest.raises(UserError, match=r"huge\.csv: over 67 MB; split the table"):
        read_table(tmp_path / "huge.csv")


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()


def test_pairs_by_their_names(tmp_path):
    touch(tmp_path, "b.1_AP.nii.gz", "b.1_la.png", "a_x_ap", "a_x_la.dcm")
    touch(tmp_path, "c/ap.dcm", "c/LA.png", "c/notes.txt", "d/notes.txt", "README")
    assert find_pairs(tmp_path) == [
        FilmFiles("a_x", {"ap": tmp_path / "a_x_ap", "la": tmp_path / "a_x_la.dcm"}),
        FilmFiles("b.1", {"ap": tmp_path / "b.1_AP.nii.gz", "la": tmp_path / "b.1_la.png"}),
        FilmFiles("c", {"ap": tmp_path / "c/ap.dcm", "la": tmp_path / "c/LA.png"}),
    ]


def test_names_that_make_no_pair(tmp_path):
    touch(tmp_path, "a_ap.png", "b_ap.png", "b_ap.dcm", "b_la.png", "c:c_ap.png", "c:c_la.png")
    touch(tmp_path, "d_ap.png", "d_la.png", "D/ap.png", "D/la.png")
    (tmp_path / "loop").symlink_to("loop")
    problems = {pair.id: pair.problem for pair in find_pairs(tmp_path)}
    assert problems == {
        "D": None,
        "a": f"{tmp_path / 'a'}: no LA film; both views are needed",
        "b": f"{tmp_path / 'b'}: several AP films (b_ap.dcm, b_ap.png); keep one",
        "c:c": f"{tmp_path / 'c:c'}: id 'c:c': no plain file name; use up to 200 letters, "
        "digits and ._-+,=@()[], with a letter, a digit or _ first",
        "d": f"{tmp_path / 'd'}: id 'd': was there before; give every pair its own",
    }


def test_folders_without_pairs(tmp_path):
    with pytest.raises(UserError, match="no pairs; name the films ID_ap"):
        find_pairs(tmp_path)
    with pytest.raises(UserError, match=r"absent: cannot be read \(No such file"):
        find_pairs(tmp_path / "absent")


def test_a_pipe_or_a_device_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UserError, match=f"{path}: a pipe or a device; name a file"):
            read_table(path)


def test_sidecars_of_macos_make_no_pair(tmp_path):
    touch(tmp_path, "a_ap.png", "a_la.png", "._a_ap.png", "._a_la.png", "._b/ap.png")
    assert [pair.id for pair in find_pairs(tmp_path)] == ["a"]


def test_a_folder_that_cannot_be_read_is_a_pair_with_a_problem(tmp_path, monkeypatch):
    touch(tmp_path, "a_ap.png", "a_la.png", "locked/ap.png")

    def films_within(entry):
        if entry.name == "locked":
            raise PermissionError(13, "Permission denied", str(entry))
        return []

    monkeypatch.setattr(batch_input, "_films_within", films_within)
    assert [(pair.id, pair.problem) for pair in find_pairs(tmp_path)] == [
        ("a", None),
        ("locked", f"{tmp_path / 'locked'}: cannot be read (Permission denied)"),
    ]
