"""Threads whose texts are encoded in one batch get the same vectors as alone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from zero2ir.encoders.batching import MicroBatcher


class Lengths:
    """Encodes a text as its length, and remembers the batches; the first one waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.let_go = Event()

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.batches.append(list(texts))
        if len(self.batches) == 1:
            assert self.let_go.wait(30)
        if "bad" in texts:
            raise ValueError("a bad text")
        return np.array([[len(text)] for text in texts]).reshape(len(texts), 1)


def asked(lengths: Lengths, *queries: Sequence[str]) -> list[np.ndarray | BaseException]:
    """What each of several threads gets, the others asking while the first one's texts are encoded."""
    together = MicroBatcher(lengths, lambda rows, places: rows[places])

    def call(texts: Sequence[str]) -> np.ndarray | BaseException:
        try:
            return together(texts)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(len(queries)) as pool:
        calls = [pool.submit(call, queries[0])]
        while not lengths.batches:
            pass
        calls += [pool.submit(call, texts) for texts in queries[1:]]
        while len(together._waiting) < len(queries) - 1:
            pass
        lengths.let_go.set()
        return [one.result(30) for one in calls]


def flat(rows: np.ndarray | BaseException) -> list[int]:
    assert isinstance(rows, np.ndarray)
    return rows.ravel().tolist()


def test_waiting_requests_are_encoded_in_one_batch() -> None:
    lengths = Lengths()
    found = asked(lengths, ["a"], ["bb", "ccc"], [], ["dddd"])
    assert [flat(rows) for rows in found] == [[1], [2, 3], [], [4]]
    assert len(lengths.batches) == 2
    assert lengths.batches[0] == ["a"]
    assert sorted(lengths.batches[1]) == ["bb", "ccc", "dddd"]


def test_a_bad_text_fails_alone() -> None:
    first, good, bad, other = asked(Lengths(), ["a"], ["bb"], ["bad"], ["dddd"])
    assert isinstance(bad, ValueError)
    assert [flat(rows) for rows in (first, good, other)] == [[1], [2], [4]]


def test_an_interrupt_wakes_all_waiting_threads() -> None:
    def interrupted(texts: Sequence[str]) -> np.ndarray:
        raise KeyboardInterrupt

    together = MicroBatcher(interrupted, lambda rows, places: rows[places])
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            together(["ab"])


def test_each_thread_gets_its_own_vectors() -> None:
    from zero2ir.config import LibraryConfig, compose
    from zero2ir.encoders.dense import DenseEncoder

    encoder = DenseEncoder(compose("library", LibraryConfig, []).encoder)
    queries = [f"what is number {number}" for number in range(24)]
    alone = encoder.encode_queries(queries)
    with ThreadPoolExecutor(8) as pool:
        found = np.concatenate(list(pool.map(lambda query: encoder.encode_queries([query]), queries)))
    np.testing.assert_allclose(found, alone, atol=1e-5)
