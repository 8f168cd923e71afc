"""A guideline's Markdown as HTML: its own HTML is shown as text, and what is left is cleaned once more."""

import functools

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

from service.pages.written import visible

_READER = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
_HEADINGS = {"h2", "h3", "h4", "h5", "h6"}
_TABLES = {"table", "thead", "tbody", "tr", "th", "td"}
_TAGS = _HEADINGS | _TABLES | {"p", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "a", "hr", "br"}
# A page has one heading of its own above the guideline's.
_LOWER_BY, _LOWEST = 2, 6


@functools.lru_cache(maxsize=64)
def markdown(text: str) -> Markup:
    """HTML that a template may show as it is. Pictures are left out: no page of ours asks another host for one."""
    tokens = _READER.parse(visible(text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + _LOWER_BY, _LOWEST)}"
    html = _READER.renderer.render(tokens, _READER.options, {})
    return Markup(nh3.clean(html, tags=_TAGS, attributes={"a": {"href"}}, link_rel="noopener noreferrer nofollow"))  # noqa: S704
