"""What stands around every page of the console and of the admin."""

from typing import Any

from django import template
from django.urls import reverse

from accounts.admin_kit import reach
from console import navigation

register = template.Library()


@register.inclusion_tag("console/frame.html", takes_context=True)
def console_frame(context: dict[str, Any]) -> dict[str, Any]:
    """Draw the menu of the person, with the present page marked, and the box that finds a number."""
    request = context["request"]
    match = request.resolver_match
    name = (match.url_name if match else None) or ""
    entries = [
        {
            "text": entry.text,
            "address": reverse(f"admin:{entry.page}"),
            "is_current": "page" if name == entry.page else "true" if entry.contains(name) else "",
        }
        for entry in navigation.entries_for(reach(request))
    ]
    text = request.GET.get("q", "") if name == "find_number" else ""
    current = next((entry["text"] for entry in entries if entry["is_current"]), "")
    return {"entries": entries, "current": current, "text": text}
