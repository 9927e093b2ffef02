"""The page's files, as they are served."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import aiohttp
import pytest
from typing_extensions import override

from amiguard.control.server import ControlServer

PAGE = files("amiguard.control").joinpath("page")
NAMES = sorted(file.name for file in PAGE.iterdir())


class Markup(HTMLParser):
    """Collects what a strict policy forbids, and what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.references: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.inline += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        self.inline += [tag] * (tag == "style" or (tag == "script" and not given.get("src")))
        self.references += [value for name in ("src", "href") if (value := given.get(name)) and value[0] != "#"]


@pytest.mark.parametrize("name", ["", *(f"page/{name}" for name in NAMES)])
async def test_every_file_of_the_page_is_served_as_what_it_is(server: ControlServer, path: Path, name: str) -> None:
    kinds = {"": "text/html", "html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
        http.get(f"http://amiguard/{name}") as answer,
    ):
        assert (answer.status, answer.content_type) == (200, kinds[name.rpartition(".")[2] if name else ""])
        assert await answer.read()


@pytest.mark.parametrize(
    "name", ["page/", "page/nothing.js", "page/..%2fserver.py", "page/%2e%2e/openapi.json", "page"]
)
async def test_nothing_else_is_served(server: ControlServer, path: Path, name: str) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
        http.get(f"http://amiguard/{name}") as answer,
    ):
        assert answer.status == 404


def test_the_page_refers_to_its_own_files_alone_and_has_nothing_inline() -> None:
    markup = Markup()
    markup.feed(PAGE.joinpath("index.html").read_text())

    assert markup.inline == []
    assert {reference.removeprefix("/page/") for reference in markup.references} <= set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".js")])
def test_a_script_makes_no_markup_of_text_and_loads_nothing_from_elsewhere(name: str) -> None:
    script = PAGE.joinpath(name).read_text()

    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setTimeout\(\"", script
    )
    assert set(re.findall(r'from "([^"]*)"', script)) <= {f"./{other}" for other in NAMES}
    assert re.findall(r"https?://[^\"'\s]*", script) in ([], ["http://www.w3.org/2000/svg"])
