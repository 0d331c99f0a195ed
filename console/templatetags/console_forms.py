"""Parts of the console's forms: what is wrong is told at its field."""

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag(takes_context=True)
def told(context: Mapping[str, Any], name: str) -> SafeString:
    """Write what is wrong with a field: an empty place where nothing is, which the script of the preview fills."""
    sentence = context["errors"].get(name, "") if "errors" in context else ""
    return format_html('<p class="told" id="told-{}" data-field="{}">{}</p>', name, name, sentence)


@register.filter
def of(form: Any, name: str) -> Any:
    """Return the value of a field of the form."""
    return form.get(name)
