"""Form controls that are on many pages, written without a template for each option."""

from typing import Any

from django import forms
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString


class Choice(forms.Select):
    """A select of what may be left open. Django's own runs two templates for every option."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        widget = self.get_context(name, value, attrs)["widget"]
        options = format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            (
                (str(option["value"]), flatatt(option["attrs"]), option["label"])
                for _, group, _ in widget["optgroups"]
                for option in group
            ),
        )
        shown = flatatt(widget["attrs"])
        return format_html('<select name="{}"{}>{}</select>', widget["name"], shown, options)

    def use_required_attribute(self, initial: Any) -> bool:
        """Never, and so the choices need not be asked for to know it."""
        return False
