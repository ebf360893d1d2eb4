"""Small pieces of markup that the console's pages share. Everything foreign goes by agent_text."""

import functools
import re
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django import template
from django.template import Context
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString, mark_safe

from ledger.canonical import canonical
from proposals import text
from proposals.console.budgets import Bar, until
from proposals.console.diff import Missing
from proposals.console.lists import SOON
from proposals.console.personal import hour, moment_of, stamp
from proposals.meanings import Beside, beside, stored
from proposals.story import Link
from proposals.templatetags.agent_text import agent_text

register = template.Library()

SHAPES = {
    "low": '<circle cx="6" cy="6" r="4.75" fill="none" stroke="currentColor" stroke-width="1.5"/>',
    "medium": '<circle cx="6" cy="6" r="4.75" fill="none" stroke="currentColor" '
    'stroke-width="1.5"/><path d="M6 1.25a4.75 4.75 0 0 0 0 9.5z" fill="currentColor"/>',
    "high": '<circle cx="6" cy="6" r="5.5" fill="currentColor"/>',
}
STATE_TAGS = {
    "committed": "tag-added",
    "failed": "tag-removed",
    "unknown": "tag-removed",
    "denied": "tag-removed",
    "pending": "",
}
CURRENCY = re.compile(r"[A-Z]{3}\Z")
LONGEST_VALUE = 20_000
LONGEST_WORD = 200
LONGEST_SHOWN = 2_000  # where the whole is a link away
ALIKE, AROUND = 400, 150  # longer stretches of equal text are shown by their ends


@register.simple_tag
@functools.lru_cache(maxsize=8)
def tier(name: str) -> SafeString:
    """A tier as a word with its shape; the word alone says it all."""
    if name not in SHAPES:
        return format_html('<span class="tier muted">{}</span>', "not yet known")
    shape = mark_safe(SHAPES[name])  # ours, and constant
    return format_html(
        '<span class="tier tier-{}"><svg viewBox="0 0 12 12" aria-hidden="true">{}</svg>{}</span>',
        name,
        shape,
        name.capitalize(),
    )


@register.simple_tag
def bar(lengths: Bar) -> SafeString:
    """How full a budget is, as a picture; the words beside it say it all."""
    return format_html(
        '<svg class="gauge" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="gauge-used" width="{}" height="8"/>'
        '<rect class="gauge-held" x="{}" width="{}" height="8"/></svg>',
        lengths.first,
        lengths.first,
        lengths.second,
    )


@register.simple_tag(takes_context=True)
def slot(context: Context, at: datetime) -> SafeString:
    """When the next slot frees: in 40 s, at 10:42:07 UTC."""
    return format_html(
        '<time datetime="{}">{}</time>', at.isoformat(), until(at, context["page_clock"].now)
    )


@register.filter
def state_tag(status: str) -> str:
    return STATE_TAGS.get(status, "")


@register.simple_tag
def sentence(words: str) -> SafeString:
    """A sentence of the system. It may name what an agent chose, so nothing in it stays hidden."""
    return text.render(words)


@register.simple_tag
def plain_sentence(words: str) -> str:
    """The same for a page's title, where there is no markup."""
    return text.plain(words)


@register.simple_tag
def value(found: Any, limit: int = LONGEST_VALUE) -> SafeString:
    """One typed value. Null, empty, zero and absent are four different words."""
    if isinstance(found, Missing) or found is None or found == "":
        word = found.word if isinstance(found, Missing) else "null" if found is None else "empty"
        return format_html('<span class="word">{}</span>', word)
    if isinstance(found, bool):
        return worded(found, beside(found))
    if isinstance(found, int | float | Decimal):
        return format_html("{}", found)
    if isinstance(found, dict) and set(found) == {"amount", "currency"}:
        return format_html("{}", money(found))
    if isinstance(found, str):
        return format_html('<span class="value">{}</span>', agent_text(found, limit))
    return format_html('<span class="value mono">{}</span>', agent_text(as_json(found), limit))


def worded(found: Any, told: Beside) -> SafeString:
    """A stored value with what is read beside it: "Paid (paid)", or a key with a name."""
    shown = agent_text(stored(found), LONGEST_SHOWN)
    if told.word:
        word = agent_text(told.word, LONGEST_WORD)
        return format_html('{} <span class="mono">({})</span>', word, shown)
    name = agent_text(told.name, LONGEST_WORD)
    return format_html('<span class="value">{}</span> <span class="reading">{}</span>', shown, name)


@register.simple_tag(takes_context=True)
def part(context: Context, found: Any, of: str, **place: Any) -> SafeString:
    """A value by its first 2,000 characters, with a link to the whole as plain text."""
    if length_of(found) <= LONGEST_SHOWN:
        return value(found)
    url = reverse("whole-text", args=[context["page"].proposal.pk])
    link = f"{url}?{urlencode({'of': of, **place})}"
    shown = '{} <a class="whole" href="{}">The whole as plain text</a>'
    return format_html(shown, value(found, LONGEST_SHOWN), link)


@register.simple_tag(takes_context=True)
def cell(context: Context, found: Any, side: str) -> SafeString:
    """One value of a field as people read it: with its label, name or moment, or where all is."""
    field = context["field"]
    if at := moment_of(found) if field.kind in {"", "timestamp"} else None:
        shown = '{} <time class="reading" datetime="{}">{}</time>'
        return format_html(shown, value(found), at.isoformat(), stamp(at))
    told = beside(found, field.labels, field.names)
    if told.is_any:
        return worded(found, told)
    place = (context.get("whole") or {}).get(side)
    if place is None:
        return value(found)
    return part(context, found, **place, object=context["object"].keys[0], field=field.name)


def length_of(found: Any) -> int:
    """How long a value is as it would be shown; only of texts and of JSON that holds others."""
    if isinstance(found, str):
        return len(found)
    return len(as_json(found)) if isinstance(found, dict | list) else 0


@register.simple_tag(takes_context=True)
def look_alike(context: Context, found: Any) -> SafeString | str:
    """Why a name on a review page could be taken for another; nothing for any other value."""
    page = getattr(context.get("page"), "look_alikes", None)
    mark = page.by_value.get(found) if page and isinstance(found, str) else None
    if mark is None:
        return ""
    tag = ' <span class="tag tag-warning">{}</span>'
    shown = format_html_join("", tag, [(reason,) for reason in mark.reasons])
    if not mark.known:
        return shown
    known = format_html("looks like {}, is not", agent_text(mark.known))
    return shown + format_html(tag, known)


@register.filter
def as_json(found: Any) -> str:
    """The canonical text of a JSON value: the very bytes that are hashed."""
    return canonical(found).decode()


@register.filter
def money(found: dict[str, Any]) -> str:
    """An amount with its currency, grouped: 1,204.00 EUR. Anything odd is shown as it came."""
    try:
        amount = f"{Decimal(str(found['amount'])):,f}"
    except (InvalidOperation, KeyError):
        return agent_text(as_json(found))
    currency = str(found["currency"])
    return f"{amount} {currency if CURRENCY.match(currency) else agent_text(currency)}"


@register.simple_tag
def word_by_word(words: tuple[tuple[str, str], ...]) -> SafeString:
    """Long text with what was taken out and put in, said in words as well as marked."""
    parts: list[tuple[SafeString]] = []
    for verb, piece in words:
        shown = text.render(piece, limit=LONGEST_VALUE) if verb != "equal" else in_short(piece)
        if verb == "removed":
            shown = format_html('<del><span class="hidden-text">was </span>{}</del>', shown)
        elif verb == "added":
            shown = format_html('<ins><span class="hidden-text">becomes </span>{}</ins>', shown)
        parts.append((shown,))
    marked = format_html_join("", "<bdi>{}</bdi>", parts)
    return format_html('<span class="value">{}</span>', marked)


def in_short(piece: str) -> SafeString:
    """Text that stays as it is, by its ends if there is much of it, and how much is between."""
    if len(piece) <= ALIKE:
        return text.render(piece, limit=LONGEST_VALUE)
    left_out = len(piece) - 2 * AROUND
    return format_html(
        '{}<span class="mark mark-cut">… {} characters that stay …</span>{}',
        text.render(piece[:AROUND]),
        f"{left_out:,}",
        text.render(piece[-AROUND:]),
    )


@register.filter
def short_digest(digest: str) -> str:
    """The first eight and last four digits, which is what people compare."""
    plain = digest.removeprefix("sha256:")
    return f"{plain[:8]}…{plain[-4:]}"


@register.simple_tag(takes_context=True)
def moment(context: Context, at: datetime | None, form: str = "near") -> SafeString | str:
    """A time element: how far away it is, the moment itself, both, or the time of day."""
    if at is None:
        return ""
    away = distance(at - context["page_clock"].now)
    at, exact = timezone.localtime(at), stamp(at)
    shown = {
        "near": away,
        "exact": exact,
        "both": f"{away}, {exact}",
        "hour": hour(at),
    }[form]
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, shown)


@register.simple_tag
def instant(at: datetime | None) -> SafeString | str:
    """A moment to the second, to be compared with what another system noted."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    shown = f"{local:%d %b %Y, %H:%M:%S} {local.tzname()}"
    return format_html('<time datetime="{}">{}</time>', local.isoformat(), shown)


@register.simple_tag(takes_context=True)
def due(context: Context, at: datetime) -> SafeString:
    """When something expires, with a word if that is soon."""
    shown = moment(context, at)
    if at - context["page_clock"].now > SOON:
        return format_html("{}", shown)
    return format_html('{} <span class="tag tag-warning">soon</span>', shown)


@register.simple_tag(takes_context=True)
def age(context: Context, at: datetime) -> SafeString:
    """How old something is, without "ago"."""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        timezone.localtime(at).isoformat(),
        stamp(at),
        span(context["page_clock"].now - at),
    )


def distance(delta: timedelta) -> str:
    """In 3 h; 12 min ago."""
    if abs(delta) < timedelta(minutes=1):
        return "now"
    return f"in {span(delta)}" if delta > timedelta() else f"{span(-delta)} ago"


@register.simple_tag
def span(delta: timedelta) -> str:
    """A length of time in its largest sensible unit."""
    minutes = max(int(delta.total_seconds() // 60), 0)
    if minutes < 1:
        return "under 1 min"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // (24 * 60)} days"


@register.simple_tag
def story_cell(cell: str | Link) -> SafeString:
    """One cell of a story: everything in it is made visible, whoever wrote it."""
    words = cell.text if isinstance(cell, Link) else cell
    shown = format_html("<bdi>{}</bdi>", text.render(words, limit=LONGEST_VALUE))
    return format_html('<a href="{}">{}</a>', cell.url, shown) if isinstance(cell, Link) else shown


@register.filter
def headed(row: tuple[Any, ...], head: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Each cell of a row with the head of its column."""
    return list(zip(head, row, strict=True))
