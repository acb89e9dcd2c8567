"""Compares the model type of this folder with BM25 on judged queries; then trains and saves a program of it.

Run it in a clone of zero2ir, after

    cp examples/own_model/query_likelihood.py .
    cp examples/own_model/query_likelihood.yaml conf/model/
"""

import zero2ir
from zero2ir.data import pydocs

collection = pydocs.read()  # the documentation of Python, with judged questions
texts = {query.query_id: query.text for query in collection.queries if query.split == "train"}
judgments = [(texts[row.query_id], row.doc_id, row.relevance) for row in collection.judgments if row.query_id in texts]

models, strategies = ["sparse", "query_likelihood"], ["zero_shot"]  # sparse is BM25; zero_shot trains nothing
for row in zero2ir.compare(collection.documents, judgments, models=models, strategies=strategies):
    print(f"{row.system}: {row.measure} {row.value.mean:.3f} [{row.value.ci_low:.3f}, {row.value.ci_high:.3f}]")
    if row.difference:
        mean, low, high, _ = row.difference.difference
        print(f"difference: {mean:+.3f} [{low:+.3f}, {high:+.3f}], p = {row.difference.p_value:.3f}")

program = zero2ir.train(collection.documents, judgments, model="query_likelihood")  # tries the other values of mu, too
print(f"chosen: {program.about['chosen']}, because {program.about['reason']}")
program.save("my-program")
print(zero2ir.load("my-program")(query="read a file line by line", k=3).docids)
