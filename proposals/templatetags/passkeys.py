"""Whether this page is at an address where browsers take passkeys."""

from django import template
from django.template import Context

from proposals.console.adapters import passkeys_work as work

register = template.Library()


@register.simple_tag(takes_context=True)
def passkeys_work(context: Context) -> bool:
    return work(context["request"])
