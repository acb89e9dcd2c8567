"""The LaTeX table as a TeX reads it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from zero2ir.io.markdown import Table
from zero2ir.report.latex import latex

PDFLATEX, KPSEWHICH = shutil.which("pdflatex"), shutil.which("kpsewhich")
DOCUMENT = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}%s\end{document}"
HOSTILE = r"[a_b & 100% #1 $x$ ~^ \input{/etc/passwd} {<b>}"
TABLE = Table(
    ["Model", "nDCG@10", "Δ nDCG@10"],
    [[HOSTILE, "0.417▲ [0.381, 0.454]", "−0.063▼ [−0.084, −0.042]"], ["sparse", "0.355 [0.321, 0.390]", "–"]],
    labels=1,
)


def has(package: str) -> bool:
    return KPSEWHICH is not None and subprocess.run([KPSEWHICH, package], capture_output=True).returncode == 0


@pytest.mark.skipif(PDFLATEX is None, reason="no pdflatex on the PATH (Debian: texlive-latex-recommended)")
@pytest.mark.skipif(PDFLATEX is not None and not has("booktabs.sty"), reason="TeX has no booktabs.sty")
def test_the_table_compiles_and_says_what_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "table.tex").write_text(DOCUMENT % latex(TABLE, f"▲ {HOSTILE}", {(0, 1)}), encoding="utf-8")
    command = [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in done.stdout
    assert (tmp_path / "table.pdf").stat().st_size > 1000
    if reader := shutil.which("pdftotext"):
        text = subprocess.run(
            [reader, "-layout", "table.pdf", "-"], cwd=tmp_path, capture_output=True, text=True
        ).stdout
        assert "b & 100% #1 $x$" in text
        assert r"\input{/etc/passwd}" in text
        assert "0.417†" in text.replace(" ", "")
