"""What is inserted into pages."""

from zero2ir.io.pages import render_page


def test_a_page_has_no_control_characters_from_what_is_inserted() -> None:
    page = render_page(
        "zero2ir.labelling", "page/label.html.j2", token="a\x00\x1b[31m\u202e<b>", grades={}, saves=False, exports=[]
    )
    assert "a��[31m�&lt;b&gt;" in page
