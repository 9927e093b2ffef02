"""Holds an answer of the control interface against its description."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs

from amiguard.control.routes.documents import description


def described(name: str, answer: object) -> None:
    """Raise ValidationError unless `answer` is as the schema `name` says, and has nothing that it does not tell of."""
    schemas = json.loads(description())["components"]["schemas"]
    whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": closed(schemas)}}
    jsonschema_rs.validator_for(whole).validate(answer)


def closed(schema: Any) -> Any:
    """Return a schema in which objects have no other properties than those that are described."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    return inner | {"additionalProperties": False} if "properties" in schema and "type" in schema else inner
