"""How the address of a SIP trunk is written."""

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Trunk
from sipgateway import trunk_addresses
from sipgateway.trunk_addresses import TrunkAddress


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("sip:trunk.example.com", TrunkAddress("trunk.example.com")),
        (" SIP:Trunk.Example.COM:5080 ", TrunkAddress("trunk.example.com", 5080)),
        ("sip:203.0.113.7;domain=Example.com", TrunkAddress("203.0.113.7", domain="example.com")),
        (
            "sip:203.0.113.7:5060;from=acme01;pai=no;plus=no",
            TrunkAddress("203.0.113.7", user="acme01", asserts_identity=False, keeps_plus=False),
        ),
    ],
)
def test_an_address_is_read_and_written_in_one_spelling(given, address):
    assert trunk_addresses.parse(given) == address
    assert trunk_addresses.parse(trunk_addresses.canonical(given)) == address


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("https://trunk.example.com", "is not the address of a SIP trunk: write it as sip:host:5060"),
        ("sip:", "is not the address"),
        ("sip:user@trunk.example.com", "is not the address"),
        ("sip:trunk_1.example.com", "is not the address"),
        ("sips:trunk.example.com", "is not the address"),
        ("sip:trunk.example.com:0", "has the port 0"),
        ("sip:trunk.example.com:70000", "has the port 70000"),
        ("sip:trunk.example.com;transport=tcp", "has the parameter 'transport'"),
        ("sip:trunk.example.com;pai=maybe", "has pai=maybe: write pai=yes or pai=no"),
        ("sip:trunk.example.com;domain=a b", "has domain=a b"),
        ("sip:trunk.example.com;from=a\r\nX: y", "is not the address|has from="),
        ("sip:trunk.example.com;from=", "has from="),
    ],
)
def test_what_is_no_address_is_refused_with_what_to_write(given, why):
    with pytest.raises(ValueError, match=why):
        trunk_addresses.parse(given)


def test_a_number_is_written_with_its_plus_unless_the_trunk_wants_none():
    assert trunk_addresses.parse("sip:a.example").written("+919810000001") == "+919810000001"
    assert trunk_addresses.parse("sip:a.example;plus=no").written("+919810000001") == "919810000001"


@pytest.mark.parametrize(("address", "why"), [("", "needs a base_url"), ("https://a.example", "is not the address")])
@pytest.mark.django_db
def test_a_trunk_without_an_address_of_its_kind_is_refused(address, why):
    with pytest.raises(ValidationError, match=why):
        Trunk.objects.create(name="main", carrier="sip", base_url=address)


@pytest.mark.django_db
def test_a_trunk_needs_no_credentials_and_keeps_one_spelling():
    trunk = Trunk.objects.create(name="main", carrier="sip", base_url="SIP:A.example")
    assert trunk.base_url == trunk.carrier_account.base_url == "sip:a.example:5060"
