"""Filters for text that an agent or a target system supplied; templates use no other way."""

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from proposals import text

register = template.Library()


@register.filter
def agent_text(value: Any, limit: int = 2000) -> SafeString:
    """Every hidden character as a token, and the direction kept inside."""
    return format_html('<bdi class="agent-text">{}</bdi>', text.render(value, limit=limit))


@register.filter
def agent_plain(value: Any, limit: int | None = None) -> str:
    """The same as one line of text, for attributes and options; escaped by the template."""
    return text.plain(value, limit)
