"""A grid of cells with notes, as plain text, Markdown or LaTeX."""

import dataclasses
import math

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
class TableGrid:
    """One grid of a table.

    A cell or heading may have a second line after a newline. Plain text stacks the two;
    Markdown and LaTeX put them side by side, the second of the first column in
    parentheses. A heading ``"GROUP: NAME"`` begins a group of columns that reaches to
    the last one.

    Attributes:
        caption: a line above it; may be empty.
        headings: of the columns; the first is that of the rows' names.
        lines: lists of as many strings.
        notes: lines below it.
    """

    caption: str
    headings: list
    lines: list
    notes: list = dataclasses.field(default_factory=list)


def range_text(numbers):
    """Return the smallest and the largest of some numbers, or `NOTHING` where one is missing.

    Args:
        numbers: list of int; None is a number that is not known.
    """
    if None in numbers or not numbers:
        return NOTHING
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def mean_text(mean, sd, digits, separator=" "):
    """Return a mean with its standard deviation, which a single patient does not have.

    Args:
        mean: NaN if there is none.
        sd: NaN if there is none.
        digits: after the point.
        separator: between the two, a newline for a second line of the cell.
    """
    if math.isnan(mean):
        return NOTHING
    return f"{mean:.{digits}f}" + ("" if math.isnan(sd) else f"{separator}± {sd:.{digits}f}")


def text(grid):
    """Render a grid for a terminal.

    Args:
        grid: `TableGrid`.

    Returns:
        Lines joined by newlines, without a last one.
    """
    groups, names = zip(*(_group_and_name(heading) for heading in grid.headings), strict=True)
    rows = [[(*cell.split("\n"), "")[:2] for cell in row] for row in (names, *grid.lines)]
    widths = [max(map(len, sum(column, ()))) for column in zip(*rows, strict=True)]
    lines = [grid.caption] if grid.caption else []
    if any(groups):
        first = next(i for i, group in enumerate(groups) if group)
        indent = sum(width + 2 for width in widths[:first])
        across = sum(width + 2 for width in widths[first:]) - 2
        lines.append(" " * indent + f" {groups[first]} ".center(across, "-"))
    for row in rows:
        for title, *parts in zip(*row, strict=True):
            cells = [part.rjust(width) for part, width in zip(parts, widths[1:], strict=True)]
            lines.append("  ".join([title.ljust(widths[0]), *cells]).rstrip())
    return "\n".join([*lines, *grid.notes])


def markdown(grids):
    """Render grids below each other as Markdown.

    Args:
        grids: `TableGrid`s.

    Returns:
        The text, with a newline at its end.
    """
    blocks = []
    for grid in grids:
        if grid.caption:
            blocks.append(f"**{grid.caption}**")
        rows = map(_on_one_line, (grid.headings, *grid.lines))
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|---|" + "---:|" * (len(grid.headings) - 1))
        blocks.append("\n".join(lines))
        blocks += grid.notes
    return "\n\n".join(blocks) + "\n"


def latex(grids):
    """Render grids as `tabular` of booktabs, each with its caption.

    Args:
        grids: `TableGrid`s.

    Returns:
        The text, with a newline at its end.
    """
    return "\n".join(map(_latex_grid, grids))


def _group_and_name(heading):
    group, _, name = heading.rpartition(": ")
    return group, name


def _on_one_line(row):
    title, _, remark = row[0].partition("\n")
    return [f"{title} ({remark})" if remark else title, *(c.replace("\n", " ") for c in row[1:])]


def _latex_grid(grid):
    def row(cells):
        return " & ".join(map(_escape, _on_one_line(cells))) + r" \\"

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
