"""Where settings stand: the environment, a dotenv file, a secrets directory; the first that names a variable wins.

Read here and not by pydantic-settings' own sources, because those replace `${...}` in a dotenv file (and so in a
password), skip its broken lines, ignore misspelt variables, and strip blanks off secrets."""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import parse_stream

from amiguard.errors import SettingsError
from amiguard.settings import PREFIX
from amiguard.settings.model import Settings

ENV_FILE = f"{PREFIX}ENV_FILE"
SECRETS_DIR = f"{PREFIX}SECRETS_DIR"
DEFAULT_SECRETS_DIR = Path("/run/secrets")
LARGEST_FILE = 1 << 20

VARIABLES = tuple(f"{PREFIX}{field.upper()}" for field in Settings.model_fields)
"""The variables that are settings; `ENV_FILE` and `SECRETS_DIR` say where further ones stand."""

_SERVICE_LINK = re.compile(rf"{PREFIX}(?:SERVICE_HOST|SERVICE_PORT|SERVICE_PORT_\w+|PORT|PORT_\d+_(?:TCP|UDP|SCTP)\w*)")
"""What Kubernetes adds to every pod's environment where a Service is named `amiguard`; no settings, and no mistakes."""


class Given(NamedTuple):
    """A value as the operator wrote it, and where: "" is the environment."""

    text: str
    place: str


def gather(env_file: Path | None, environ: Mapping[str, str]) -> tuple[dict[str, Given], list[str]]:
    """Return every variable that is given, by name, and one line for each that does not exist.

    An empty value counts as not given, as Compose files write `${VARIABLE:-}`.

    Raises:
        SettingsError: a file or folder that was asked for can't be read.
    """
    given: dict[str, Given] = {}
    problems: list[str] = []
    files = (variable for read in (_dotenv(env_file, environ), _secrets(environ)) for variable in read)
    for name, value in (*_environment(environ), *files):
        if name in VARIABLES:
            if value.text:
                given.setdefault(name, value)
        elif name not in {ENV_FILE, SECRETS_DIR}:
            problems.append(f"{_shown(name)}{value.place}: does not exist; the nearest is {_nearest(name)}")
        elif value.place:
            problems.append(f"{name}{value.place}: must be set in the environment")
    return given, problems


def given_outside_secrets(variable: str, env_file: Path | None, environ: Mapping[str, str]) -> Given | None:
    """Return one variable from the environment or the dotenv file, whatever else they hold; None = not given.

    Raises:
        SettingsError: the dotenv file can't be read.
    """
    for name, value in (*_environment(environ), *_dotenv(env_file, environ)):
        if name == variable and value.text:
            return value
    return None


def _environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Given]]:
    for name, text in environ.items():
        if name.upper().startswith(PREFIX) and not (_SERVICE_LINK.fullmatch(name) and name not in VARIABLES):
            yield name, Given(text, "")


def _dotenv(env_file: Path | None, environ: Mapping[str, str]) -> Iterator[tuple[str, Given]]:
    path = env_file or (Path(environ[ENV_FILE]) if environ.get(ENV_FILE) else None)
    if path is None:
        return
    last: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(_text(path))):
        if binding.error or (binding.key and binding.value is None):
            raise SettingsError([f"{path}: line {binding.original.line} is not of the form NAME=value"])
        if binding.key and binding.key.upper().startswith(PREFIX):
            last[binding.key] = binding.value or ""
    for name, text in last.items():
        yield name, Given(text, f" (in {path})")


def _secrets(environ: Mapping[str, str]) -> Iterator[tuple[str, Given]]:
    folder = Path(environ.get(SECRETS_DIR) or DEFAULT_SECRETS_DIR)
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.upper().startswith(PREFIX))
    except OSError as error:
        if not environ.get(SECRETS_DIR) and isinstance(error, FileNotFoundError):
            return
        raise SettingsError([f"{SECRETS_DIR}: can't read the folder {folder}: {error.strerror}"]) from None
    for path in paths:
        name = path.name.upper() if path.name.upper() in VARIABLES else path.name
        yield name, Given(_text(path).removesuffix("\n").removesuffix("\r"), f" (in {folder})")


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise SettingsError([f"can't read {path}: it is no regular file"])
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise SettingsError([f"can't read {path}: {error.strerror}"]) from None
    if len(content) > LARGEST_FILE:
        raise SettingsError([f"can't read {path}: it is larger than {LARGEST_FILE} bytes"])
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SettingsError([f"can't read {path}: it is not UTF-8"]) from None


def _nearest(name: str) -> str:
    return difflib.get_close_matches(name.upper(), (*VARIABLES, ENV_FILE, SECRETS_DIR), n=1, cutoff=0)[0]


def _shown(name: str) -> str:
    return name[:64] if name.isprintable() else repr(name[:64])
