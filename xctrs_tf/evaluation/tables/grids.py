"""A grid of text with notes, as Markdown or as LaTeX."""

import dataclasses

NOTHING = "–"

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "^": r"\^{}",
    "±": r"$\pm$",
    "²": r"$^2$",
    "–": "--",
    ">": r"$>$",
    "<": r"$<$",
}


@dataclasses.dataclass(frozen=True)
class Grid:
    """One grid of a table.

    Attributes:
        caption: a line above it.
        headings: of the columns; the first is that of the rows' names.
        lines: lists of as many strings.
        notes: lines below it.
    """

    caption: str
    headings: list
    lines: list
    notes: list = dataclasses.field(default_factory=list)


def markdown(grids):
    """The grids below each other; ends with a newline."""
    blocks = []
    for grid in grids:
        blocks.append(f"**{grid.caption}**")
        rows = [grid.headings, *grid.lines]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|---|" + "---:|" * (len(grid.headings) - 1))
        blocks.append("\n".join(lines))
        blocks += grid.notes
    return "\n\n".join(blocks) + "\n"


def latex(grids):
    """The grids as `tabular` of booktabs, each with its caption; ends with a newline."""
    return "\n".join(map(_latex_grid, grids))


def _latex_grid(grid):
    def row(cells):
        return " & ".join(map(_escape, cells)) + r" \\"

    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_escape(grid.caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(grid.headings) - 1)}}}",
            r"\toprule",
            row(grid.headings),
            r"\midrule",
            *map(row, grid.lines),
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par {_escape(note)}" for note in grid.notes),
            r"\end{table}",
            "",
        ]
    )


def _escape(text):
    return "".join(_LATEX.get(letter, letter) for letter in text)
