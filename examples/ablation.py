"""Reads an ablation back: what each part of a system is worth, with intervals and paired tests.

In a clone of zero2ir, make ablation.yaml a preset of your own, commit it, and run it:

    cp examples/ablation.yaml conf/experiment/
    git add conf/experiment/ablation.yaml
    git commit --message "An ablation of hybrid"
    zero2ir experiment ablation
    python examples/ablation.py reports/ablation/all

Without an argument, this script reads the report of such a run, which lies beside it; pydocs had fewer judgments then.
"""

import sys
from pathlib import Path

import pandas as pd

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("ablation-report")
systems = pd.read_csv(folder / "systems.csv").set_index("system")
comparisons = pd.read_csv(folder / "comparisons.csv")
complete, measure = comparisons.loc[0, ["against", "measure"]]


def interval(row: pd.Series, name: str, sign: str = "") -> str:
    return f"{row[name]:{sign}.3f} [{row[f'{name}_low']:{sign}.3f}, {row[f'{name}_high']:{sign}.3f}]"


family = comparisons[(comparisons.family == f"against {complete}") & (comparisons.measure == measure)]
table = pd.DataFrame(
    {
        "system": family.system,
        measure: [interval(systems.loc[name], measure) for name in family.system],
        "difference": [interval(row, "difference", "+") for _, row in family.iterrows()],
        "p (Holm)": family.p_holm,
        "wins/ties/losses": family[["wins", "ties", "losses"]].astype(str).agg("/".join, axis=1),
        "verdict": family.verdict,
    }
)
print(f"{measure} of {complete}: {interval(systems.loc[complete], measure)}. All others compared with it:\n")
print(table.to_string(index=False, float_format="{:.4f}".format))

undecided = family[family.verdict == "undecided"]
for name, least in zip(undecided.system, undecided.detectable, strict=True):
    print(f"\n{name} is not shown to differ. A true difference of {least:.3f} would be found in 80 % of such tests.")
