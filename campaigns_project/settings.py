"""Settings, all from the environment; `.env.example` lists every variable with its unit and default.

While `make up` runs on the same machine nothing has to be set: the addresses of its embedded servers are read from a
file in DATA_DIR. A value that makes no sense stops the start with a message.
"""

import json
import math
import os
import secrets
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from campaigns_project import admin_guard, log_config
from core import services_file

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")  # variables of the real environment win over it, as in `make up`


# 32 characters of 64 kinds are 192 bits.
SHORTEST_SECRET_KEY = 32


def _secret_key(data_dir: Path) -> str:
    """Return SECRET_KEY, or a random key that is made once and stored in data_dir: no two servers share a default."""
    if given := str(env.str("SECRET_KEY", default="")):
        if len(given) < SHORTEST_SECRET_KEY:
            raise ImproperlyConfigured(
                f"SECRET_KEY has {len(given)} characters and must have {SHORTEST_SECRET_KEY} at least: it signs links"
                " and encrypts tokens. Make one with: python -c 'import secrets; print(secrets.token_urlsafe(64))'"
            )
        return given
    stored = data_dir / "secret_key"
    if not stored.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        new = data_dir / f"secret_key.{os.getpid()}"
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(64))
        # A link appears whole or not at all, and the first of two processes wins.
        with suppress(FileExistsError):
            os.link(new, stored)
        new.unlink()
    return stored.read_text()


def _positive(name: str, default: float, most: float = math.inf, least: float = 0) -> float:
    given = env.str(name, default=str(default))
    try:
        value = float(given)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number, not {given!r}") from None
    if not 0 < value <= most:
        limit = f" and at most {most:g}" if most < math.inf else ""
        raise ImproperlyConfigured(f"{name} must be above zero{limit}, not {value:g}")
    if value < least:
        raise ImproperlyConfigured(f"{name} must be at least {least:g}, not {value:g}")
    return value


def _days_or_forever(name: str, given: str) -> float | None:
    """Return a number of days; None where the variable is empty."""
    if not given.strip():
        return None
    try:
        days = float(given)
    except ValueError:
        days = math.nan
    if not 1 <= days <= MOST_DAYS:
        raise ImproperlyConfigured(
            f"{name} must be a number of days from 1 to {MOST_DAYS}, or empty for ever, not {given!r}"
        )
    return days


def _report_storage(backend: str, options: str) -> dict[str, dict[str, Any]]:
    """Return the alias `reports` of STORAGES; nothing where no storage is named."""
    if not backend:
        if options:
            raise ImproperlyConfigured("REPORTS_STORAGE_OPTIONS is set, but REPORTS_STORAGE names no storage")
        return {}
    try:
        is_there = "." in backend and find_spec(backend.rpartition(".")[0]) is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        raise ImproperlyConfigured(
            f"REPORTS_STORAGE must be the path of a storage class, such as"
            f" django.core.files.storage.FileSystemStorage: there is no {backend!r} to import. The classes of"
            " django-storages need that package: pip install 'django-storages[s3]'"
        )
    try:
        parsed = json.loads(options or "{}")
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise ImproperlyConfigured(
            'REPORTS_STORAGE_OPTIONS must be a JSON object, such as {"location": "/srv/reports"}, and is not'
        )
    return {"reports": {"BACKEND": backend, "OPTIONS": parsed}}


# A hundred years.
MOST_DAYS = 36_500

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / ".data"))).resolve()
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = _secret_key(DATA_DIR)

# Addresses -----------------------------------------------------------------------------------------------------------

WEB_PORT = env.int("WEB_PORT", default=8000)
SANDBOX_PORT = env.int("SANDBOX_PORT", default=8010)
FLOWER_PORT = env.int("FLOWER_PORT", default=5555)
# Where a carrier reaches this server: it is part of every callback address that a carrier is given.
_public_url = env.str("PUBLIC_URL", default="")
PUBLIC_URL = (_public_url or f"http://127.0.0.1:{WEB_PORT}").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
# Where carriers send their events: to the events process, or to a proxy that knows the way there. A proxy that does not
# leads them to the web process, which takes them too.
EVENTS_PORT = env.int("EVENTS_PORT", default=8001)
EVENTS_URL = env.str("EVENTS_URL", default=_public_url or f"http://127.0.0.1:{EVENTS_PORT}").rstrip("/")
for _url in (PUBLIC_URL, EVENTS_URL):
    if _host := urlsplit(_url).hostname:
        ALLOWED_HOSTS.append(_host)  # without it every event of a carrier would be refused
# Whether trunks may be of the simulated carrier, which calls nobody and says that it did. For tests and benchmarks.
SIMULATED_CARRIER = env.bool("SIMULATED_CARRIER", default=DEBUG)
# An address and port of their own for /admin/ and /metrics, which are then served nowhere else.
ADMIN_ADDRESS = env.str("ADMIN_ADDRESS", default="")
if ADMIN_ADDRESS:
    _admin_host, _admin_port = admin_guard.read_address(ADMIN_ADDRESS)
    ALLOWED_HOSTS.append(_admin_host)
    if _admin_port == WEB_PORT:
        raise ImproperlyConfigured("ADMIN_ADDRESS must have another port than WEB_PORT, or it would separate nothing")
SANDBOX_URL = env.str("SANDBOX_URL", default=f"http://127.0.0.1:{SANDBOX_PORT}").rstrip("/")

# Servers -------------------------------------------------------------------------------------------------------------

_running = services_file.running_services(DATA_DIR)
DATABASE_URL = env.str("DATABASE_URL", default=_running.get("DATABASE_URL", "postgresql:///trunkline"))
REDIS_URL = env.str("REDIS_URL", default=_running.get("REDIS_URL", "redis://127.0.0.1:6379/0"))

DATABASES: dict[str, Any] = {"default": env.db_url_config(DATABASE_URL)}
if DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
    raise ImproperlyConfigured(
        "DATABASE_URL must name a PostgreSQL database: postgresql://user:password@host:5432/name"
    )
# Ten minutes: a connection serves many requests and tasks. The health check notices a restarted server.
DATABASES["default"] |= {
    "ENGINE": "campaigns_project.postgresql",
    "CONN_MAX_AGE": 600,
    "CONN_HEALTH_CHECKS": True,
}
# A process that hangs, or died with its machine, must not hold a lock that all others wait for: an idle transaction is
# ended after 30 s, a dead connection is noticed within a minute, and a wait for a lock is given up and tried again.
DATABASES["default"]["OPTIONS"] = DATABASES["default"].get("OPTIONS", {}) | {
    "connect_timeout": 10,
    "options": "-c idle_in_transaction_session_timeout=30s -c lock_timeout=10s",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Dialing -------------------------------------------------------------------------------------------------------------

# How long a phone rings before the carrier gives up, in seconds. Ofcom asks for at least 15.
RING_TIMEOUT_SECONDS = int(_positive("RING_TIMEOUT_SECONDS", 45, most=600))
# The longest conversation, in seconds. It is sent to the carrier, leases last longer, and an attempt whose fate the
# carrier can't tell is given up after it. Exotel allows at most four hours.
MAX_CALL_SECONDS = int(_positive("MAX_CALL_SECONDS", 3600, most=14_400))
# How long the carrier may take to accept a call, in seconds, before its reply counts as lost.
CARRIER_TIMEOUT_SECONDS = _positive("CARRIER_TIMEOUT_SECONDS", 10, most=20)
# How far a carrier's list of calls may lag behind its calls, in seconds. A call that is missing in the list counts as
# never placed only so long after the last moment at which the carrier could have accepted it.
CARRIER_LIST_LAG_SECONDS = _positive("CARRIER_LIST_LAG_SECONDS", 15)
# How long a call that is up may go without news, in seconds, before the carrier is asked about it.
CARRIER_POLL_AFTER_SECONDS = _positive("CARRIER_POLL_AFTER_SECONDS", 60)
# Look-ups a minute that an account at a carrier is asked for: what became of lost replies, and of calls without news.
# They count against the carrier's limit of requests beside the calls themselves, so leave most of it to those.
CARRIER_LOOK_UPS_PER_MINUTE = _positive("CARRIER_LOOK_UPS_PER_MINUTE", 60, most=100_000)
# SIP trunks: where the gateway listens, and what it tells trunks of its address where that is another one (NAT).
SIP_HOST = env.str("SIP_HOST", default="127.0.0.1")
SIP_PORT = env.int("SIP_PORT", default=5060)
SIP_PUBLIC_HOST = env.str("SIP_PUBLIC_HOST", default="")
# Calls that one gateway has up at once. Beyond it another gateway is needed.
SIP_CHANNELS = int(_positive("SIP_CHANNELS", 200, most=2000))
# How long a SIP trunk may take to respond to an INVITE at all, in seconds, before it rests. Below the carrier's own.
SIP_SILENCE_SECONDS = _positive("SIP_SILENCE_SECONDS", 8, most=20)
# The program that reads a text from its input and writes a WAV file of it, and the language of texts that name none.
SIP_SPEECH_COMMAND = env.str("SIP_SPEECH_COMMAND", default="espeak-ng -v {voice} --stdin --stdout")
SIP_SPEECH_LANGUAGE = env.str("SIP_SPEECH_LANGUAGE", default="en")
# Refusals in a row that may be about our side of the carrier, of different numbers and without a call taken in between,
# after which the caller ID rests. Fewer, and a few wrong numbers in a row slow a campaign down for a second.
REFUSALS_BEFORE_REST = int(_positive("REFUSALS_BEFORE_REST", 3, most=100))
# After how many such refusals of its own a call fails, where it is not one of a run of refusals.
REFUSALS_OF_A_CALL = int(_positive("REFUSALS_OF_A_CALL", 3, most=10))
# A call that ends as failed within so many seconds, without an answer, has failed at once.
INSTANT_FAILURE_SECONDS = _positive("INSTANT_FAILURE_SECONDS", 2, most=10)
# Calls in a row that fail at once, of different numbers, after which the caller ID rests. So many attempts are lost to
# a carrier that fails every call. Fewer, and a few dead numbers in a row slow a campaign down.
INSTANT_FAILURES_BEFORE_REST = int(_positive("INSTANT_FAILURES_BEFORE_REST", 10, most=1000))
# The length of a minute in `interval_mins`, in seconds. Only a demo or a test sets less than sixty.
RETRY_MINUTE_SECONDS = _positive("RETRY_MINUTE_SECONDS", 60)
# How long a link to a report works, in seconds. A week, because links in webhooks are often opened late.
REPORT_LINK_SECONDS = int(_positive("REPORT_LINK_SECONDS", 7 * 24 * 3600))
# How long the receiver of a webhook may take to respond, in seconds, from connecting to the response. Exotel's limit.
WEBHOOK_TIMEOUT_SECONDS = _positive("WEBHOOK_TIMEOUT_SECONDS", 15, most=60)
# How long one API request may look up the names in its webhooks' addresses, in seconds. It may run out: a name that is
# not resolved by then is accepted, and judged at delivery.
WEBHOOK_LOOK_UP_SECONDS = _positive("WEBHOOK_LOOK_UP_SECONDS", 2, most=10)
# How long a webhook is tried, in seconds. A day, so that a receiver that fails at night can be repaired in the morning.
WEBHOOK_GIVE_UP_SECONDS = _positive("WEBHOOK_GIVE_UP_SECONDS", 24 * 3600, most=30 * 24 * 3600)
# Webhooks that may be on their way at once to one receiver (host and port) of an account: one that takes a second gets
# sixty a second. And to all receivers of an account, so that one account with slow ones leaves room for the others.
WEBHOOKS_AT_ONCE_PER_RECEIVER = int(_positive("WEBHOOKS_AT_ONCE_PER_RECEIVER", 60, most=1000))
WEBHOOKS_AT_ONCE_PER_ACCOUNT = int(_positive("WEBHOOKS_AT_ONCE_PER_ACCOUNT", 90, most=1000))
# Whether webhooks may go to private, loopback and link-local addresses. Never where customers choose the addresses.
WEBHOOK_ALLOW_PRIVATE_ADDRESSES = env.bool("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", default=False)
# The largest API request, in bytes: 5,000 numbers take about 100 kB.
MAX_REQUEST_BYTES = int(_positive("MAX_REQUEST_BYTES", 2_000_000))
# Calls that have not ended which an account may have, all its campaigns together.
MAX_OPEN_CALLS_PER_ACCOUNT = int(_positive("MAX_OPEN_CALLS_PER_ACCOUNT", 5_000_000))
# Requests for lists, diagnoses and rejected rows of an account that are at work at once, and reports that are being
# read: each keeps a web thread, and the first ones a core of the database.
READS_AT_ONCE_PER_ACCOUNT = int(_positive("READS_AT_ONCE_PER_ACCOUNT", 2, most=1000))
REPORTS_AT_ONCE_PER_ACCOUNT = int(_positive("REPORTS_AT_ONCE_PER_ACCOUNT", 3, most=1000))
# The longest statement of a web request, in seconds, but for reports, which last as long as a client reads them.
WEB_STATEMENT_SECONDS = int(_positive("WEB_STATEMENT_SECONDS", 20, most=300))
# Wrong credentials that one address may send in any minute. A person who mistypes needs only a few.
FAILED_SIGN_INS_PER_MINUTE = int(_positive("FAILED_SIGN_INS_PER_MINUTE", 20))

# Retention -----------------------------------------------------------------------------------------------------------

# How long carriers' events keep their payloads after they were handled, in days: longer than any call. The rows are
# deleted after thirty.
EVENT_PAYLOADS_KEPT_DAYS = _positive("EVENT_PAYLOADS_KEPT_DAYS", 3, most=30, least=1)
# How long campaigns and all below them are kept after their end, in days; None: for ever.
CAMPAIGNS_KEPT_DAYS = _days_or_forever("CAMPAIGNS_KEPT_DAYS", env.str("CAMPAIGNS_KEPT_DAYS", default=""))
# Where the reports of campaigns that are deleted are kept. Without the alias `reports` they are not.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
} | _report_storage(env.str("REPORTS_STORAGE", default=""), env.str("REPORTS_STORAGE_OPTIONS", default=""))

# The bearer token that a scraper of /metrics must send. Without one, only this machine may read them.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# Django --------------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "campaigns_project",  # first, so that its templates override the admin's
    "campaigns_project.admin_config.TrunklineAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_otp",
    "rest_framework",
    "django_celery_beat",
    "django_structlog",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts",
    "contacts",
    "campaigns",
    "dialer",
    "sipgateway",
    "reports",
    "webhooks",
    "retention",
    "console",
    "api",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "campaigns_project.admin_guard.AdminGuard",
    "django.middleware.common.CommonMiddleware",
    "campaigns_project.middleware.BodyLimit",
    "campaigns_project.middleware.CarriersFirst",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "campaigns_project.middleware.RequestLog",
]

ROOT_URLCONF = "campaigns_project.urls"
WSGI_APPLICATION = "campaigns_project.wsgi.application"
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_REQUEST_BYTES

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = ["campaigns_project.formats"]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"

# Where PUBLIC_URL is https://, cookies and redirects require TLS.
SECURE = PUBLIC_URL.startswith("https://")
# A working day, in seconds: a browser that is left open is signed out by the next morning.
SESSION_COOKIE_AGE = 12 * 3600
# Messages show new tokens and secrets once. A cookie would carry them, readable, into the browser's storage and logs.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# Roles whose people must set up a second factor: viewer, operator, administrator. Others may.
SECOND_FACTOR_ROLES = env.list("SECOND_FACTOR_ROLES", default=[])
if _unknown := set(SECOND_FACTOR_ROLES) - {"viewer", "operator", "administrator"}:
    raise ImproperlyConfigured(f"SECOND_FACTOR_ROLES has {', '.join(sorted(_unknown))}, which is no role")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
BEHIND_TLS_PROXY = env.bool("BEHIND_TLS_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS_PROXY else None
SECURE_SSL_REDIRECT = SECURE
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
# HSTS for subdomains and the preload list: the operator's other hosts may have no TLS, and this server can't know.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["api.http.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["api.http.parsers.BoundedJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "api.http.errors.to_envelope",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Trunkline",
    "DESCRIPTION": "Outbound call campaigns over Exotel's Campaigns API v2.",
    "VERSION": "2",
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_INCLUDE_SCHEMA": False,
    "PREPROCESSING_HOOKS": ["api.http.openapi.without_aliases"],
    "GET_LIB_DOC_EXCLUDES": "api.http.openapi.undocumented_bases",
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    # The pages come from the installed package, so that a browser asks no other host.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# Celery --------------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "control"
# Outcomes, starts and ends stay in the default queue. Dispatches have one of their own, because there is one for each
# account with calls to dial, and they come again each second: however many there are, nothing else waits behind them.
# So have tasks that wait for a carrier, those that wait for customers' receivers, and the loading of CSV files, which
# takes up to a minute each. What deletes old rows stands between those files, a second at a time. Each queue's name is
# also that of its process in the Procfile, and of its worker.
CELERY_TASK_ROUTES = {
    "dialer.dispatch": {"queue": "dispatch"},
    "dialer.dispatch_due": {"queue": "dispatch"},
    "dialer.dial": {"queue": "dial"},
    "dialer.recover": {"queue": "dial"},
    "contacts.load_csv": {"queue": "load"},
    "contacts.loader_tick": {"queue": "load"},
    "campaigns.load_audiences": {"queue": "load"},
    "retention.purge": {"queue": "load"},
    "dialer.purge_inbox": {"queue": "load"},
    "webhooks.purge": {"queue": "load"},
    "api.purge_idempotency_keys": {"queue": "load"},
    "webhooks.deliver": {"queue": "webhooks"},
}
# How long beat may send no task, and the workers of each queue take none, in seconds, before they count as stopped.
# Beat ticks the control and dispatch queues once a second, so ten missed ticks are no accident. A batch of calls takes
# as long as a silent carrier, webhooks take as long as their receivers, and the largest CSV file takes a minute.
# The events process notes its progress each second.
MAX_SILENCE_SECONDS = {
    "beat": 10, "events": 10, "control": 10, "dispatch": 10, "dial": 60, "webhooks": 120, "load": 180
}  # fmt: skip
# Acknowledge before running: a lost message costs the time until the next tick, and dialing late is better than twice.
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# After how many tasks Celery closes a database connection: never. CONN_MAX_AGE limits its age, and
# campaigns_project.celery checks it before each task.
CELERY_DB_REUSE_MAX = 1_000_000
# A process of the control or dispatch worker that has taken more memory is replaced after its task, in kB. Celery has
# this for processes alone: the threads of the other workers share the memory of one.
CELERY_WORKER_MAX_MEMORY_PER_CHILD = int(_positive("WORKER_MAX_MEMORY_MB", 512) * 1024)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = env.bool("CELERY_TASK_EVENTS", default=True)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Workers try for ever to connect, every half a minute at the least. By default they give up after 48 minutes.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# Enqueueing must not take longer than waiting for the next tick would: requests and outcomes wait for it.
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, float] = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
if CELERY_BROKER_URL.startswith(("redis", "valkey")):
    CELERY_BROKER_TRANSPORT_OPTIONS |= {"socket_connect_timeout": 2, "socket_timeout": 5}
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
# How often the database scheduler reads its table at the least, in seconds, so that an edit in the admin takes effect.
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
DJANGO_CELERY_BEAT_TZ_AWARE = True

# Logs ----------------------------------------------------------------------------------------------------------------

LOG_FORMAT = env.str("LOG_FORMAT", default="console" if DEBUG else "json")
if LOG_FORMAT not in {"json", "console"}:
    raise ImproperlyConfigured(f"LOG_FORMAT must be json or console, not {LOG_FORMAT}")
LOGGING = log_config.configure(LOG_FORMAT, env.str("LOG_LEVEL", default="INFO"))
