"""Strict JSON: what two parsers could read differently is refused before anything is hashed."""

import json
from typing import Any

from django.conf import settings
from rest_framework.exceptions import APIException
from rest_framework.parsers import BaseParser

from ledger.canonical import SAFE_INTEGER

DISCARDED_BYTES, CHUNK_BYTES = 1024 * 1024, 64 * 1024


class MalformedJSON(APIException):
    status_code = 400
    default_detail = "The body is not JSON as this service reads it."
    default_code = "malformed-json"


class PayloadTooLarge(APIException):
    status_code = 413
    default_detail = f"The body is larger than {settings.MAX_BODY_BYTES} bytes."
    default_code = "payload-too-large"


class StrictJSONParser(BaseParser):
    """RFC 8259 in UTF-8, without duplicate names, NaN, numbers beyond 2^53-1 or deep nesting."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        declared = parser_context["request"].META.get("CONTENT_LENGTH") if parser_context else None
        if declared and declared.isdigit() and int(declared) > settings.MAX_BODY_BYTES:
            discard(stream)
            raise PayloadTooLarge
        data = stream.read(settings.MAX_BODY_BYTES + 1)
        if len(data) > settings.MAX_BODY_BYTES:
            discard(stream)
            raise PayloadTooLarge
        if declared and declared.isdigit() and len(data) < int(declared):
            raise MalformedJSON("The body ended before its stated length.")
        return parse(data)


def discard(stream: Any) -> None:
    """Read on for a while: a server that finds too much left unread ends the connection, on which
    the client, having been told what was wrong, sends its next request."""
    for _ in range(DISCARDED_BYTES // CHUNK_BYTES):
        if not stream.read(CHUNK_BYTES):
            return


def parse(data: bytes) -> Any:
    """The value of a JSON text, or MalformedJSON with the reason."""
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=without_duplicates,
            parse_constant=refuse_constant,
            parse_int=safe_integer,
            parse_float=safe_float,
        )
        # Lone surrogates survive parsing, but have no UTF-8 form to hash or store.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError:
        raise MalformedJSON("The body is not UTF-8.") from None
    except UnicodeEncodeError:
        raise MalformedJSON("A string holds a lone surrogate.") from None
    except RecursionError:
        raise MalformedJSON(too_deep()) from None
    except json.JSONDecodeError as error:
        raise MalformedJSON(
            f"Not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    if depth(value) > settings.MAX_JSON_DEPTH:
        raise MalformedJSON(too_deep())
    return value


def too_deep() -> str:
    return f"The body is nested deeper than {settings.MAX_JSON_DEPTH} levels."


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedJSON("An object names the same member twice.")
    return value


def refuse_constant(name: str) -> None:
    raise MalformedJSON(f"{name} is not a JSON number.")


def safe_integer(digits: str) -> int:
    # The length first: turning very long digits into an integer is itself refused by Python.
    if len(digits) > 17 or abs(int(digits)) > SAFE_INTEGER:
        raise MalformedJSON("A number is beyond 2^53-1; send large numbers as strings.")
    return int(digits)


def safe_float(digits: str) -> int | float:
    """The number; 1.0 as 1, for that is how its canonical form is stored and read again."""
    value = float(digits)
    if abs(value) > SAFE_INTEGER:
        raise MalformedJSON("A number is beyond 2^53-1; send large numbers as strings.")
    return int(value) if value.is_integer() else value


def depth(value: Any) -> int:
    """How many levels of objects and arrays a value has."""
    deepest, level = 0, [value]
    while level:
        children: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                children.extend(item.values())
            elif isinstance(item, list):
                children.extend(item)
        deepest += any(isinstance(item, (dict, list)) for item in level)
        level = children
    return deepest
