"""Logs are events, a name and fields: JSON in production, text at a desk. Numbers and secrets in them are masked."""

from typing import Any

import structlog

from campaigns_project import masking

_SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    masking.mask_event,
]


def configure(log_format: str, level: str) -> dict[str, Any]:
    """Configure structlog; return Django's LOGGING, which renders the events of other loggers like those of structlog.

    log_format: "json" or "console".
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED_PROCESSORS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: Any = structlog.dev.ConsoleRenderer(colors=False)
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processor": renderer,
        "foreign_pre_chain": _SHARED_PROCESSORS,
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"events": formatter},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "events"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            # One line per request or task is the business of a tracer; what matters has events of its own.
            name: {"level": "WARNING"}
            for name in (
                "django_structlog",
                "celery.app.trace",
                "celery.worker.strategy",
                "celery.beat",
                "django_celery_beat",
            )
        },
    }
