"""One text for one JSON value (RFC 8785), so that equal data has equal bytes and one digest."""

import hashlib
import json
from typing import Any

import rfc8785
from django import forms
from django.core.exceptions import ValidationError
from django.db import models

SAFE_INTEGER = 2**53 - 1


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value. Raises ValueError for anything that has none."""
    try:
        return rfc8785.dumps(value)
    except RecursionError:
        raise ValueError("The value is nested too deeply.") from None


def parse(text: str | bytes) -> Any:
    """The value of canonical text; `canonical(parse(text))` is that text again.

    RFC 8785 writes floats up to 1e21 without point or exponent, so an integer beyond the safe
    range was a float and becomes one again.
    """
    return json.loads(text, parse_int=_number)


def digest(value: Any, domain: str = "") -> str:
    """`sha256:<hex>` of the canonical bytes.

    A domain keeps digests of one purpose from being passed off as those of another.
    """
    prefix = domain.encode() + b"\0" if domain else b""
    return "sha256:" + hashlib.sha256(prefix + canonical(value)).hexdigest()


def _number(digits: str) -> int | float:
    value = int(digits)
    return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else float(digits)


class CanonicalJSONField(models.TextField):
    """JSON kept as RFC 8785 text: what is hashed is what is stored.

    A JSON column would rewrite numbers and drop duplicate keys. None is NULL, never JSON null.
    """

    description = "JSON in canonical form (RFC 8785)"
    # What type checkers should take the attribute for: any JSON, not the column's text.
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any
    _pyi_lookup_exact_type: Any

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else parse(value)

    def to_python(self, value: Any) -> Any:
        """The value as it is: a string here is a JSON string and not text to be parsed."""
        return value

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else canonical(value).decode()

    def value_to_string(self, obj: models.Model) -> Any:
        return self.value_from_object(obj)

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        super().validate(value, model_instance)
        try:
            canonical(value)
        except ValueError as error:
            raise ValidationError("%(why)s", code="invalid", params={"why": str(error)}) from error

    def formfield(self, **kwargs: Any) -> Any:
        return models.Field.formfield(self, **{"form_class": forms.JSONField, **kwargs})
