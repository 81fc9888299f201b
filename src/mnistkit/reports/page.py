"""The pages of reports: Jinja templates that escape whatever they are given.

A page stands alone: its style and its images are in it, there is no script but that of the page of many runs, and a
content security policy forbids whatever else there might be.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from markupsafe import Markup

from mnistkit.errors import MissingExtraError
from mnistkit.jobs.environment import library_versions
from mnistkit.reports.data import Missing
from mnistkit.utils.clock import utc_now
from mnistkit.utils.markup import escape, link, state, timeline
from mnistkit.utils.text import local_time, shown

if TYPE_CHECKING:  # an optional dependency
    import jinja2

__all__ = ["Figure", "PageImage", "Section", "Tile", "render_page", "render_template"]

_STYLE = "style.css"
_PACKAGE = "mnistkit.reports"


@frozen
class Section:
    """A part of a report with a heading.

    Attributes:
        title: The heading.
        template: The file in ``templates`` that shows it.
        values: What the template calls ``v``.
    """

    title: str
    template: str
    values: Mapping[str, Any] = field(factory=dict)


@frozen
class Tile:
    """A number to be seen first.

    Attributes:
        label: What it counts or measures.
        value: The number, with its unit.
        detail: In small letters, below it.
    """

    label: str
    value: str
    detail: str = ""


@frozen(kw_only=True)
class Figure:
    """A drawn figure.

    Attributes:
        png: The file.
        width: In CSS pixels.
        height: In CSS pixels.
        alt: What is seen on it, for screen readers.
        caption: Below it.
    """

    png: bytes
    width: int
    height: int
    alt: str
    caption: str


@frozen(kw_only=True)
class PageImage:
    """A small image of a dataset.

    Attributes:
        png: The file.
        alt: What is seen on it, for screen readers.
        name: The class to name below it.
        truth: The true class, of one that was misclassified.
        confidence: The probability of the prediction, as text; empty if it isn't known.
    """

    png: bytes
    alt: str
    name: str
    truth: str = ""
    confidence: str = ""


def render_page(title: str, lead: str, sections: Sequence[Section], values: Mapping[str, Any]) -> str:
    """Return the whole page as HTML.

    Args:
        title: The page's only ``h1``, and its name in the browser.
        lead: The template of what is below the title.
        sections: Each with an ``h2``, and an entry in the list of contents.
        values: What the template of the lead calls ``v``.

    Raises:
        MissingExtraError: Jinja isn't installed.
    """
    style = Markup(files(_PACKAGE).joinpath(_STYLE).read_text(encoding="utf-8"))  # noqa: S704 - a file of ours
    return render_template("page.html", title=title, lead=lead, v=values, sections=sections, style=style)


def render_template(template: str, package: str = _PACKAGE, **values: Any) -> str:
    """Return a page of another template, which escapes all values that aren't markup.

    Args:
        template: The file in ``templates``.
        package: Whose templates they are; they may include those of the reports.
        values: What the template calls by these names; ``footer`` is given besides.

    Raises:
        MissingExtraError: Jinja isn't installed.
    """
    version = library_versions().get("mnistkit", "")
    footer = f"Written by mnistkit {version} on {local_time(utc_now())}. It loads nothing."
    return _environment(package).get_template(template).render(footer=footer, **values)


@cache
def _environment(package: str) -> jinja2.Environment:
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("Reports need Jinja: python -m pip install 'mnistkit[plot]'.") from error
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in dict.fromkeys((package, _PACKAGE))]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=escape,  # besides what Jinja escapes, control characters and those that reorder text
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"link": lambda value: link(shown(value)), "png": _data_url}
    environment.filters |= {"state": state, "timeline": timeline}
    environment.tests["missing"] = lambda value: isinstance(value, Missing)
    return environment


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
