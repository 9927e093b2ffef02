"""What is the same for everybody: the description of the interface, and the page."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from aiohttp import web

from amiguard import __version__

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
"""Which files of `page/` are served, and as what."""


class Document(NamedTuple):
    """A file as it is served."""

    body: bytes
    kind: str


class DocumentRoutes:
    """`/api/v1/openapi.json`, `/` and `/page/`."""

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/v1/openapi.json", self._description),
            web.get("/", self._page),
            web.get("/page/{name}", self._part),
        ]

    async def _description(self, _: web.Request) -> web.Response:
        return web.Response(text=description(), content_type="application/json")

    async def _page(self, _: web.Request) -> web.Response:
        return served(page()["index.html"])

    async def _part(self, request: web.Request) -> web.Response:
        found = page().get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        return served(found)


def served(document: Document) -> web.Response:
    """Return a document as an answer."""
    return web.Response(body=document.body, content_type=document.kind, charset="utf-8")


@cache
def description() -> str:
    """Return the OpenAPI 3.1 document: https://spec.openapis.org/oas/v3.1.1.html"""
    told = json.loads(files("amiguard.control").joinpath("openapi.json").read_text())
    told["info"]["version"] = __version__
    return json.dumps(told)


@cache
def page() -> dict[str, Document]:
    """Return the files of the page by name; they are read when somebody first looks at it."""
    found = {}
    for file in files("amiguard.control").joinpath("page").iterdir():
        kind = KINDS.get(file.name.rpartition(".")[2])
        if kind is not None:
            found[file.name] = Document(file.read_bytes(), kind)
    return found
