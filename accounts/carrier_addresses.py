"""Addresses of carriers' APIs, in one spelling: the same account at a carrier is one row."""

import re
from urllib.parse import SplitResult, urlsplit


def canonical(url: str) -> str:
    """Return an HTTP address in one spelling: `HTTPS://Host:443/` becomes `https://host`."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return url  # the check says so
    user, at, _ = parts.netloc.rpartition("@")
    host = parts.netloc[len(user + at) :].lower()
    if port == {"http": 80, "https": 443}.get(parts.scheme):
        host = host.removesuffix(f":{port}")
    return SplitResult(parts.scheme, user + at + host, parts.path, parts.query, parts.fragment).geturl().rstrip("/")


def read_http(url: str) -> str:
    """Return an HTTP address in one spelling. Raises ValueError."""
    written = canonical(url)
    try:
        parts = urlsplit(written)
        is_web = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_web = False
    if not is_web or re.search(r"[\s<>\"\\]", written):
        raise ValueError("is not a valid URL: write it as https://host")
    return written
