"""A collection is recognised whatever its ids, its order and its line breaks."""

from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.digest import content_digest
from zero2ir.data.records import Document

TEXTS = st.lists(st.text(max_size=20), min_size=1, max_size=6)


@given(TEXTS, st.randoms())
def test_ids_order_and_white_space_do_not_count(texts: list[str], random) -> None:
    documents = [Document(str(number), "", text) for number, text in enumerate(texts)]
    changed = [Document(f"d{number}", "", f" {one.text}\n") for number, one in enumerate(documents)]
    assert content_digest(random.sample(changed, len(changed))) == content_digest(documents)


@given(TEXTS, st.text(alphabet="abc", min_size=21, max_size=30))
def test_another_document_is_another_collection(texts: list[str], more: str) -> None:
    documents = [Document(str(number), "", text) for number, text in enumerate(texts)]
    assert content_digest([*documents, Document("more", "", more)]) != content_digest(documents)
    assert content_digest([documents[0]._replace(title=more), *documents[1:]]) != content_digest(documents)


def test_a_title_is_part_of_the_content() -> None:
    assert content_digest([Document("1", "a", "b")]) == content_digest([Document("2", "", "a\nb")])
