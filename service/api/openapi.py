"""The description of the API: what FastAPI knows, and what stands before the routes: the key, and repeated POSTs."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.api.guard import PUBLIC

_REPEAT = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Sent again with the same key, the request is answered again and not carried out again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1, made once an application."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"key": []}]
        for path, methods in schema["paths"].items():
            for method, operation in methods.items():
                _complete(operation, method, public=path in PUBLIC)
        app.openapi_schema = schema
    return app.openapi_schema


def _complete(operation: dict[str, Any], method: str, *, public: bool) -> None:
    if public:
        operation["security"] = []
    if method == "post":
        operation.setdefault("parameters", []).append(_REPEAT)
    for status, answer in operation["responses"].items():
        if int(status) >= 400:  # FastAPI adds a media type that no error has
            answer["content"].pop("application/json", None)
            answer["content"]["application/problem+json"] = {"schema": {"$ref": "#/components/schemas/Problem"}}
