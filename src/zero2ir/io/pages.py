"""HTML pages from templates; what is inserted is untrusted, and is escaped."""

from typing import Any

from zero2ir.io.terminal import printable


def render_page(package: str, template: str, **values: Any) -> str:
    """Returns a page.

    Args:
        package: that contains the template.
        template: name of its file.
        values: of the template's variables; a variable without a value raises ``jinja2.UndefinedError``.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
