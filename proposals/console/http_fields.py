"""Fields of the form of a definition, and where in the definition each of them stands."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms

from proposals.console import http_lines
from proposals.console.http_explained import ANSWERS, EXPLAINED
from proposals.console.http_lines import BadLine

LONGEST = 60_000
PIECES = {
    "preview": "What is read before anything is written",
    "probe": "How the provider is asked afterwards",
    "undo": "How it is taken back",
    "example": "Parameters of an example",
}


class Words(forms.CharField):
    """One line of text, as it stands in the definition."""

    def __init__(self, label: str, help_text: str = "", *, mono: bool = False, **more: Any) -> None:
        more.setdefault("max_length", 500)
        super().__init__(required=False, label=label, help_text=help_text, **more)
        self.widget.attrs |= {"autocomplete": "off"}
        if mono:
            self.widget.attrs |= {"spellcheck": "false", "class": "mono"}


class Lines(forms.CharField):
    """Several lines that are read into a value, and shown from one."""

    def __init__(
        self,
        label: str,
        help_text: str = "",
        *,
        read: Callable[[str], Any],
        show: Callable[[Any], str],
        rows: int = 3,
        is_code: bool = True,
    ) -> None:
        code = {"spellcheck": "false", "class": "mono wide" if rows > 3 else "mono"}
        code = code if is_code else {"class": "wide"}
        widget = forms.Textarea(attrs={"rows": rows, **code})
        super().__init__(
            required=False,
            label=label,
            help_text=help_text,
            strip=False,
            max_length=LONGEST,
            widget=widget,
        )
        self.read, self.show = read, show

    def prepare_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else self.show(value)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return self.read(text.replace("\r\n", "\n"))
        except BadLine as error:
            raise forms.ValidationError(str(error)) from None


def pairs(label: str, help_text: str, rows: int = 3) -> Lines:
    return Lines(label, help_text, read=http_lines.pairs, show=http_lines.show_pairs, rows=rows)


def matches(name: str) -> Lines:
    label = name.replace("_", " ").capitalize()
    return Lines(
        label, ANSWERS[name], read=http_lines.matches, show=http_lines.show_matches, rows=2
    )


def fragment(name: str, rows: int = 12) -> Lines:
    return Lines(
        name.capitalize(),
        EXPLAINED[name],
        read=http_lines.fragment,
        show=http_lines.show_fragment,
        rows=rows,
    )


@dataclass(frozen=True)
class At:
    """Where in a definition a field of the form stands, and what it is if nothing is said."""

    path: tuple[str, ...]
    default: Any = None


PLACES = {
    **{
        name: At((name,))
        for name in ("name", "sentence", "description", "origin", "resource", "tier", "money")
    },
    "people": At(("people",), 0),
    "scheme": At(("authentication", "scheme"), "bearer"),
    **{name: At(("authentication", name)) for name in ("secret", "user", "header")},
    "before_secret": At(("authentication", "prefix")),
    **{name: At(("request", name)) for name in ("method", "path", "query", "headers")},
    **{name: At(("answers", name)) for name in ANSWERS},
    "answer_body": At(("answers", "body"), "json"),
    "message": At(("answers", "message")),
    "reference": At(("reference",)),
    "result": At(("result",)),
    "key_header": At(("idempotency", "header")),
    "key_hours": At(("idempotency", "hours")),
    **{name: At((name,)) for name in PIECES},
}
