"""What is known of the request that this code runs for. It is bound once, for the request log, by RequestLog.

Logs and the audit entries take it from one place, so that the id of an entry finds its lines in the log.
"""

import structlog


def request_id() -> str:
    """Return the id of the request, 32 hexadecimal digits; "" outside one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", "")).replace("-", "")


def client_ip() -> str:
    """Return the address that the request comes from, as `core.client_address` knows it; "" outside a request."""
    return str(structlog.contextvars.get_contextvars().get("ip", ""))
