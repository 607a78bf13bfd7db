from tests.data.mutated_cts import FORMATS, outcomes


def test_a_sample_of_mutated_cts_is_refused_in_one_line_or_read_right(tmp_path):
    rows = list(outcomes(tmp_path, seed=0, count=5 * len(FORMATS)))
    assert {row["format"] for row in rows} == set(FORMATS)
    assert [row for row in rows if row["outcome"].startswith("WRONG")] == []
    assert {row["outcome"] == "read" for row in rows} == {False, True}
