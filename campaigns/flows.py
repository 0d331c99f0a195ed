"""Find the flow that a campaign's flow address names."""

from urllib.parse import urlsplit

from accounts.models import Account
from campaigns.models import Flow


def flow_id_of(url: str) -> str:
    """Return the last segment of the address's path: `…/exoml/start_voice/29281` names flow 29281."""
    return urlsplit(url).path.rstrip("/").rpartition("/")[2]


def find_flow(account: Account, url: str) -> Flow | None:
    """Return the account's flow that the address names, or None. Raises ValueError for a malformed address."""
    return Flow.objects.filter(account=account, flow_id=flow_id_of(url)).first()
