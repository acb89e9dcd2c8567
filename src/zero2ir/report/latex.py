"""Writes tables in LaTeX."""

from collections.abc import Collection

from zero2ir.io.markdown import Table
from zero2ir.report.tables import BETTER, WORSE

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # at the start of a row, [ would be read as an argument
    "Δ": r"$\Delta$",
    "−": r"$-$",
    "–": "--",
    BETTER: r"$^{\dagger}$",
    WORSE: r"$^{\ddagger}$",
    **{special: "\\" + special for special in "&%$#_{}"},
}


def latex(table: Table, caption: str, bold: Collection[tuple[int, int]] = ()) -> str:
    r"""Returns a booktabs table with small intervals; the document needs ``\usepackage{booktabs,graphicx}``.

    Args:
        table: the table; a figure may have a mark and an interval in brackets behind it.
        caption: plain text.
        bold: (row, column) of the figures in bold.
    """
    columns = "l" * table.labels + "r" * (len(table.headers) - table.labels)
    rows = [
        " & ".join(_latex_figure(text, (row, column) in bold) for column, text in enumerate(cells)) + r" \\"
        for row, cells in enumerate(table.rows)
    ]
    head = [r"\begin{table}", r"\centering", rf"\caption{{{_latex_text(caption)}}}"]
    head += [r"\resizebox{\linewidth}{!}{%", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    head += [" & ".join(map(_latex_text, table.headers)) + r" \\", r"\midrule"]
    return "\n".join([*head, *rows, r"\bottomrule", r"\end{tabular}}", r"\end{table}", ""])


def _latex_figure(text: str, bold: bool) -> str:
    """Returns a cell: the figure, its mark and its interval."""
    figure, bracket, interval = text.partition(" [")
    mark = figure[-1:] if figure.endswith((BETTER, WORSE)) else ""
    value = _latex_text(figure.removesuffix(mark))
    written = (rf"\textbf{{{value}}}" if bold else value) + _latex_text(mark)
    return written + (rf" {{\scriptsize {_latex_text(bracket.strip() + interval)}}}" if bracket else "")


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
