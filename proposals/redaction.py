"""Secrets that this process has held, and taking them out of whatever is about to be shown.

A password reaches drivers as text, and a driver may repeat it in an error or keep it in a frame
that a debug page prints. So every secret that is decrypted or typed is remembered here, and log
lines, sentences and error reports go through `redact`. Knows neither models nor settings: logging
is set up before either.
"""

import logging
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

HIDDEN = "[hidden]"
SHORTEST = 4  # what is shorter would be found in every other word

_known: set[str] = set()


def remember(secret: str) -> None:
    """Hide this text wherever `redact` is used, for as long as this process lives."""
    if len(secret) >= SHORTEST:
        _known.add(secret)
        _known.add(repr(secret)[1:-1])


def redact(text: str) -> str:
    """The text without any secret that this process has held, the longest first."""
    for secret in sorted(_known, key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


class Formatter(logging.Formatter):
    """Formats as its parent does, and hides secrets, those in tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class ReportFilter(SafeExceptionReporterFilter):
    """Error reports, also the debug page, without secrets in forms and frames."""

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        found = super().get_post_parameters(request).copy() if request is not None else {}
        for name in found:
            if self.hidden_settings.search(name):
                found[name] = self.cleansed_substitute
        return found

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> Any:
        found = super().get_traceback_frame_variables(request, tb_frame)
        return [(name, self.without_secrets(name, value)) for name, value in found]

    def without_secrets(self, name: str, value: Any) -> Any:
        if self.hidden_settings.search(name):
            return self.cleansed_substitute
        try:
            shown = repr(value)
        except Exception:  # whatever an object's own repr does; it is not shown then
            return self.cleansed_substitute
        return self.cleansed_substitute if redact(shown) != shown else value
