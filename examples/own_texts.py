"""From a folder of texts to a saved program that says how far to trust each answer.

Copy this file, and put your own folder and ten of your own queries in place of these.
"""

from pathlib import Path

import zero2ir

folder = Path(__file__).parents[1] / "docs"  # the documentation of zero2ir
judgments = [  # (query, file, grade): 2 answers the query, 1 helps, 0 is not relevant
    ("which file names and columns are read", "guides/own-documents.md", 2),
    ("what does the pipeline do, step by step", "concepts/pipeline.md", 2),
    ("run on a slurm cluster", "guides/experiments.md", 2),
    ("run on a slurm cluster", "guides/serving.md", 0),
    ("undo my last grade on the page", "guides/labelling.md", 2),
    ("send queries over http", "guides/serving.md", 2),
    ("are there fewer clicks further down the list", "guides/feedback.md", 2),
    ("do my users ask other things than last month", "guides/monitoring-and-trials.md", 2),
    ("my texts are in Japanese", "guides/languages.md", 2),
    ("questions in Spanish, documents in English", "guides/across-languages.md", 2),
    ("add a ranking function of my own", "guides/extending.md", 2),
    ("add a ranking function of my own", "reference/model-types.md", 1),
]

paths = sorted(path for path in folder.rglob("*") if path.suffix in (".md", ".txt"))
texts = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}
program = zero2ir.train(texts, judgments, model="hybrid", risk=0.3)
program.save("my-program")
print(f"{len(texts)} texts, {program.about['labels']} judged; saved in my-program\n")

program = zero2ir.load("my-program")  # any time later, in any other process
for query in ["millions of documents", "how do I install it", "answers must not be wrong"]:
    answer = program(query=query, k=3)
    low, high = answer.confidence_interval
    print(f"{query}: the first text is relevant with a probability of {answer.confidence:.2f} [{low:.2f}, {high:.2f}]")
    if answer.decision == "abstain":  # the risk of a wrong first text can be more than twice 0.3: there are no docids
        print("  no answer is sure enough")
    elif answer.decision == "warn":  # it can be more than 0.3; more judged queries make the interval narrower
        print("  not sure:", ", ".join(answer.docids))
    else:
        print("  answer:", ", ".join(answer.docids))
