"""Text is read and written as UTF-8 on any locale, and what a terminal gets is harmless."""

import ast
import pathlib

import pytest

from xctrs_tf.errors import one_line

ROOT = pathlib.Path(__file__).parents[2]
FILES = sorted(
    str(path.relative_to(ROOT))
    for folder in ("xctrs_tf", "experiments", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
# Position of the encoding among the arguments of each method.
_POSITION = {"read_text": 0, "write_text": 1}


def _calls_without_encoding(source):
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            position = _POSITION.get(call.func.attr)
            named = any(keyword.arg == "encoding" for keyword in call.keywords)
            if position is not None and not named and len(call.args) <= position:
                yield call.lineno


def test_a_call_without_encoding_is_found():
    source = (
        'a.read_text()\na.read_text(encoding="utf-8")\na.write_text("b")\na.write_text("b", "c")'
    )
    assert list(_calls_without_encoding(source)) == [1, 3]


@pytest.mark.parametrize("folder", ["xctrs_tf", "experiments", "tests"])
def test_every_text_file_is_read_and_written_as_utf_8(folder):
    assert [
        f"{file}:{line}"
        for file in FILES
        if file.startswith(folder + "/")
        for line in _calls_without_encoding((ROOT / file).read_text(encoding="utf-8"))
    ] == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb\t c", "a b c"),
        ("\x1b[2J\x1b]0;title\x07red", "?[2J?]0;title?red"),
        ("\x9b31mC1 control", "?31mC1 control"),
        ("abc\u202ecba\u2066", "abc?cba?"),
        ("Müller – Иванов", "Müller – Иванов"),
        ("\udcff", "?"),
    ],
)
def test_a_line_holds_no_character_that_acts_on_a_terminal(text, line):
    assert one_line(text) == line


def test_a_long_text_is_cut_off():
    assert one_line(10_000_000 * "x", limit=5) == "xxxxx ..."
