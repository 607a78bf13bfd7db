from tests.hostile.mutants import mutant, read_mutant, whole_films

SAMPLE = 64


def test_every_kind_of_film_is_damaged():
    assert {mutant(seed)[0].removesuffix(".gz") for seed in range(SAMPLE)} == set(whole_films())


def test_a_damaged_film_is_refused_in_one_line_or_read_as_it_was(tmp_path):
    problems = [read_mutant(tmp_path, seed) for seed in range(SAMPLE)]
    assert [problem for problem in problems if problem] == []
