"""The records."""

from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document


@given(st.text(), st.text())
def test_the_content_is_title_and_text(title: str, text: str) -> None:
    assert Document("1", title, text).content == f"{title}\n{text}".strip()


def test_without_a_title_the_content_takes_no_memory() -> None:
    text = "a text that many documents would hold twice"
    assert Document("1", "", text).content is text
