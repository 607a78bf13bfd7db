"""Tables as files: written from a folder of results, and compared with it later.

A document that people write holds a generated table between markers:

    <!-- table experiments/results/openkbp32x3/table1 -->
    ...
    <!-- end -->

The text between them is the Markdown file of that name.
"""

import pathlib
import re

from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.claims.answer_grid import answer_grid, short_answer_grid
from xctrs_tf.evaluation.claims.answers import answer_claims, order_of_table_3
from xctrs_tf.evaluation.results.result_folder import COMPLEXITY, read_results
from xctrs_tf.evaluation.tables.comparison import COMPARED_TABLES, compare, patient_values
from xctrs_tf.evaluation.tables.grids import latex, markdown
from xctrs_tf.evaluation.tables.publication import summary_grid, table_grids
from xctrs_tf.evaluation.tables.study_tables import (
    UNPERTURBED,
    patients_note,
    perturbed_values,
    protocol_grid,
    robustness_grid,
)
from xctrs_tf.evaluation.tables.table_csv import table_csv
from xctrs_tf.evaluation.tables.training_table import training_grid
from xctrs_tf.files import read_csv, read_json, write_text
from xctrs_tf.models.catalogue import MEAN_VOLUME

NOT_RUN = "*not run yet*\n"
# Differences of one network's PSNR between processors, in bfloat16 too.
_ROUNDING_DB = 0.1
_ANSWERS = ("answers.md", "answers_short.md")
_MARKED = re.compile(
    r"(?P<begin><!-- table (?P<name>\S+) -->\n)(?P<text>.*?)(?P<end><!-- end -->)", re.DOTALL
)


def generated_tables(folder):
    """Render the tables of a folder of results from its figures.

    Args:
        folder: `pathlib.Path`.

    Returns:
        Dict from file name to text, the summary first.

    Raises:
        UserError: the folder is damaged, or its costs are of other networks.
    """
    results = read_results(folder)
    try:
        files = _tables_of(folder, results)
    # A value of another type than `write_results` wrote, as far as can be told.
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{folder}: damaged, or a mistake of this program ({error!r:.100}); collect the runs "
            "again"
        ) from error
    for name, make_grid in _STUDIES.items():
        figures = (folder / name).with_suffix(".csv")
        if figures.is_file():
            files[name] = _read(figures, results, *make_grid)
    return files


def _tables_of(folder, results):
    if results.complexity is not None:
        differing = [
            name for name in ("size", "width") if results.complexity[name] != results.settings[name]
        ]
        if differing:
            raise UserError(
                f"{folder / COMPLEXITY}: of another {differing[0]} than the runs; collect them "
                "again with --measure"
            )
    compared = {name: compare(results, name) for name in COMPARED_TABLES}
    files = {
        "summary.md": markdown([summary_grid(results, compared)]),
        "training.md": markdown([training_grid(results)]),
    }
    answers = answer_claims(results)
    if answers:
        grids = [
            answer_grid(results, answers, order_of_table_3(results)),
            short_answer_grid(results, answers),
        ]
        files |= {name: markdown([grid]) for name, grid in zip(_ANSWERS, grids, strict=True)}
    for name, cells in compared.items():
        grids = table_grids(results, name, cells)
        files |= {
            f"{name}.md": markdown(grids),
            f"{name}.tex": latex(grids),
            f"{name}.csv": table_csv(results, name, cells),
        }
    return files


def _robustness(lines, origin):
    return robustness_grid(lines, origin["dice_name"], patients_note(origin))


def _protocols(lines, origin):
    return protocol_grid(lines, patients_note(origin))


def _psnr_of_robustness(lines):
    """Return the PSNR of each patient on unchanged films."""
    return perturbed_values(lines, UNPERTURBED)["psnr"]


def _psnr_of_protocols(lines):
    """Return the PSNR of each patient under the protocol of this project."""
    return {
        line["id"]: float(line["xctrs_psnr"]) for line in lines if line["method"] != MEAN_VOLUME
    }


_STUDIES = {
    "robustness.md": (_robustness, _psnr_of_robustness),
    "protocols.md": (_protocols, _psnr_of_protocols),
}


def _read(path, results, make_grid, psnr_of):
    """Render a study of some of the runs from its CSV and the JSON beside it."""
    try:
        origin, lines = read_json(path.with_suffix(".json")), read_csv(path)
        text, psnr = markdown([make_grid(lines, origin)]), psnr_of(lines)
        # Older studies are of one fold.
        folds = origin.get("folds") or [origin["fold"]]
        steps = origin.get("steps") or [origin["step"]]
        studied = set(zip(folds, steps, strict=True))
        data_hash = origin["data_hash"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged ({error}); make it again (docs/results.md)") from None
    rows = results.rows.values()
    if data_hash != results.data_hash or not any(_is_of(row, studied, psnr) for row in rows):
        raise UserError(
            f"{path}: of other runs than those of this folder; remove it, or make it again with "
            f"experiments.studies.{path.stem}"
        )
    return text


def _is_of(row, studied, psnr):
    """Tell whether a study is of runs of a row: of their folds and steps, and with their PSNR."""
    if not studied <= {(run.fold, run.step) for run in row.runs}:
        return False
    for seed in {line["seed"] for line in row.patients}:
        own = patient_values([line for line in row.patients if line["seed"] == seed], "psnr")
        differences = [abs(own[name] - value) for name, value in psnr.items() if name in own]
        if differences and max(differences) < _ROUNDING_DB:
            return True
    return False


def write_tables(folder):
    """Write every table of a folder of results, remove those of other runs; return the paths."""
    files = generated_tables(folder)
    for name, text in files.items():
        write_text(folder / name, text)
    for path in _left_over(folder, files):
        path.unlink()
    return [folder / name for name in files]


def _left_over(folder, files):
    """Return the paths of generated files that the figures of a folder no longer give."""
    # Files that only some folders have; they stay behind when the runs in a folder are replaced.
    paths = [folder / name for name in (*_ANSWERS, *_STUDIES) if name not in files]
    return [path for path in paths if path.is_file()]


def check_tables(folders, documents, root, write=False):
    """Compare table files with the figures from which they are made.

    Args:
        folders: `pathlib.Path`s of results.
        documents: `pathlib.Path`s of documents with markers.
        root: folder that the documents' markers are relative to.
        write: True rewrites stale files, and removes those that the figures no longer give.

    Returns:
        Paths that are stale and were not rewritten.
    """
    stale = []
    for folder in folders:
        files = generated_tables(folder)
        for name, text in files.items():
            _compare(folder / name, text, write, stale)
        for path in _left_over(folder, files):
            if write:
                path.unlink()
            else:
                stale.append(path)
    for path in documents:
        if path.is_file():
            text = fill(path.read_text(encoding="utf-8"), root)
            _compare(path, text, write, stale)
    return stale


def fill(text, root):
    """Put each marker's file between its markers.

    Args:
        text: of the document.
        root: folder that the markers' names are relative to.

    Returns:
        The document; `NOT_RUN` stands where there is no such file.
    """

    def generated(found):
        path = pathlib.Path(root) / f"{found['name']}.md"
        content = path.read_text(encoding="utf-8") if path.is_file() else NOT_RUN
        return f"{found['begin']}\n{content}\n{found['end']}"

    return _MARKED.sub(generated, text)


def _compare(path, text, write, stale):
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    if write:
        write_text(path, text)
    else:
        stale.append(path)
