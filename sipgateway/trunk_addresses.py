"""The address of a SIP trunk: `sip:host:port`, and as parameters what the trunk wants to be told.

| parameter | meaning |
|---|---|
| `domain=example.com` | the host in From, To and the request's address, where it is not the trunk's own |
| `from=user` | the user in From; the caller ID is then in P-Asserted-Identity alone |
| `pai=no` | leave P-Asserted-Identity out |
| `plus=no` | write numbers without the `+` |
"""

import re
from dataclasses import dataclass

DEFAULT_PORT = 5060
FORM = "sip:host:5060"
_ADDRESS = re.compile(r"(?i:sip):(?P<host>[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?(?P<parameters>(?:;[^;]+)*)")
_USER = re.compile(r"[A-Za-z0-9._+-]{1,64}")
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*")
_FLAGS = {"yes": True, "no": False}


@dataclass(frozen=True)
class TrunkAddress:
    """Where INVITEs go, and how they name both ends."""

    host: str
    port: int = DEFAULT_PORT
    domain: str = ""
    user: str = ""
    asserts_identity: bool = True
    keeps_plus: bool = True

    def written(self, number: str) -> str:
        """Return a number as the trunk wants it."""
        return number if self.keeps_plus else number.removeprefix("+")


def parse(given: str) -> TrunkAddress:
    """Read an address. Raises ValueError with a sentence for the operator."""
    found = _ADDRESS.fullmatch(given.strip())
    if found is None or not _HOST.fullmatch(found["host"]):
        raise ValueError(f"is not the address of a SIP trunk: write it as {FORM}")
    port = int(found["port"] or DEFAULT_PORT)
    if not 0 < port < 65536:
        raise ValueError(f"has the port {port}, which does not exist: write it as {FORM}")
    parameters = dict(_parameter(text) for text in found["parameters"].split(";")[1:])
    return TrunkAddress(
        host=found["host"].lower(),
        port=port,
        domain=_checked(parameters, "domain", _HOST).lower(),
        user=_checked(parameters, "from", _USER),
        asserts_identity=_flag(parameters, "pai"),
        keeps_plus=_flag(parameters, "plus"),
    )


def canonical(given: str) -> str:
    """Return the address in one spelling. Raises ValueError with a sentence for the operator."""
    address = parse(given)
    parameters = {
        "domain": address.domain,
        "from": address.user,
        "pai": "" if address.asserts_identity else "no",
        "plus": "" if address.keeps_plus else "no",
    }
    written = "".join(f";{name}={value}" for name, value in parameters.items() if value)
    return f"sip:{address.host}:{address.port}{written}"


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if name not in {"domain", "from", "pai", "plus"}:
        raise ValueError(f"has the parameter {name!r}: it may have domain, from, pai and plus")
    return name, value


def _checked(parameters: dict[str, str], name: str, allowed: re.Pattern[str]) -> str:
    value = parameters.get(name)
    if value is not None and not allowed.fullmatch(value):
        raise ValueError(f"has {name}={value}, which makes no sense there")
    return value or ""


def _flag(parameters: dict[str, str], name: str) -> bool:
    value = parameters.get(name, "yes")
    if value not in _FLAGS:
        raise ValueError(f"has {name}={value}: write {name}=yes or {name}=no")
    return _FLAGS[value]
