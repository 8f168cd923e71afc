"""How every page is made: templates, which escape what they are given, static files, and the headers with them."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, PackageLoader, StrictUndefined

from service.pages.formats import FILTERS

STATIC_PREFIX = "/static"
STATIC = StaticFiles(directory=Path(__file__).with_name("static"))
_ENVIRONMENT = Environment(
    loader=PackageLoader("service.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(FILTERS)
_TEMPLATES = Jinja2Templates(env=_ENVIRONMENT)
# No script but ours, none inline: what a model wrote cannot run even where an escape were forgotten.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Forms of ours name their origin, so that those of another site are told from them; no other site hears of us.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
router = APIRouter(include_in_schema=False)


def show(request: Request, template: str, context: dict[str, object], *, status: int = 200) -> Response:
    """The template with its context, escaped."""
    return _TEMPLATES.TemplateResponse(request, template, context, status_code=status, headers=HEADERS)
