import pytest

from xctrs_tf.errors import one_line


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
