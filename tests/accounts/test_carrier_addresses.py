"""Addresses of carriers' APIs."""

import pytest

from accounts import carrier_addresses


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("HTTPS://Host.example:443/", "https://host.example"),
        ("http://carrier:8010/path/", "http://carrier:8010/path"),
        ("https://127.0.0.1:9", "https://127.0.0.1:9"),
    ],
)
def test_an_address_has_one_spelling(given, written):
    assert carrier_addresses.read_http(given) == written


@pytest.mark.parametrize(
    "given",
    ["host.example", "sip:host.example:5060", "ftp://a", "https://", "https://a b", "https://a:x", "https://[a"],
)
def test_what_is_no_address_is_refused_with_what_to_write(given):
    with pytest.raises(ValueError, match="is not a valid URL: write it as https://host"):
        carrier_addresses.read_http(given)
