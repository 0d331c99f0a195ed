"""Settings, all from the environment; `.env.example` lists every variable with its unit and default.

While `make up` runs on the same machine nothing has to be set: the addresses of its embedded servers are read from a
file in DATA_DIR. Values that make no sense stop the start with a sentence for each (`core/environment.py`).
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from psycopg import IsolationLevel

from campaigns_project import log_config
from core import dotenv, server_urls, services_file, setting_rules
from core.environment import Environment, WrongSettings, in_url

BASE_DIR = Path(__file__).resolve().parent.parent
try:
    _in_file = dotenv.load(BASE_DIR / ".env", os.environ)  # variables of the real environment win over it
except dotenv.DotenvError as error:
    raise ImproperlyConfigured(str(WrongSettings([f"{error}."]))) from None
env = Environment(os.environ)

# A hundred years.
MOST_DAYS = 36_500

DATA_DIR = env.path("DATA_DIR", BASE_DIR / ".data", default_text=".data")
DEBUG = env.flag("DEBUG", default=False)
SECRET_KEY, SECRET_KEY_FALLBACKS = setting_rules.secret_key_and_those_before(env, DATA_DIR)

# Addresses -----------------------------------------------------------------------------------------------------------

WEB_HOST = env.host("WEB_HOST", "127.0.0.1")
WEB_PORT = env.port("WEB_PORT", 8000)
WEB_WORKERS = env.whole("WEB_WORKERS", 2, most=1000)
WEB_THREADS = env.whole("WEB_THREADS", 8, most=1000)
SANDBOX_PORT = env.port("SANDBOX_PORT", 8010)
FLOWER_PORT = env.port("FLOWER_PORT", 5555)
_given_url = setting_rules.public_url(env)
# The path below which this server is reached, where it is not the only one at its host; no client's header sets it.
SCRIPT_NAME = urlsplit(_given_url).path or env.url_prefix("SCRIPT_NAME")
FORCE_SCRIPT_NAME = SCRIPT_NAME or None
# Where a carrier reaches this server: it is part of every callback address that a carrier is given.
PUBLIC_URL = _given_url or f"http://127.0.0.1:{WEB_PORT}{SCRIPT_NAME}"
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
# Where carriers send their events: to the events process, or to a proxy that knows the way there. A proxy that does not
# leads them to the web process, which takes them too.
EVENTS_HOST = env.host("EVENTS_HOST", "127.0.0.1")
EVENTS_PORT = env.port("EVENTS_PORT", 8001)
EVENTS_URL = (
    env.web_url("EVENTS_URL", default_text="http://127.0.0.1:8001") or _given_url or f"http://127.0.0.1:{EVENTS_PORT}"
)
for _url in (PUBLIC_URL, EVENTS_URL):
    if _host := urlsplit(_url).hostname:
        ALLOWED_HOSTS.append(in_url(_host))  # without it every event of a carrier would be refused
# Whether trunks may be of the simulated carrier, which calls nobody and says that it did. For tests and benchmarks.
SIMULATED_CARRIER = env.flag("SIMULATED_CARRIER", default=DEBUG, default_text="")
# An address and port of their own for /admin/ and /metrics, which are then served nowhere else.
ADMIN_ADDRESS = env.address("ADMIN_ADDRESS")
if ADMIN_ADDRESS:
    ALLOWED_HOSTS.append(in_url(ADMIN_ADDRESS[0]))
    if ADMIN_ADDRESS[1] == WEB_PORT:
        env.refuse("ADMIN_ADDRESS", "of another port than WEB_PORT, or it would separate nothing")
SANDBOX_URL = env.web_url("SANDBOX_URL", default_text="http://127.0.0.1:8010") or f"http://127.0.0.1:{SANDBOX_PORT}"

# Servers -------------------------------------------------------------------------------------------------------------

_running = services_file.running_services(DATA_DIR)
_database_url = _running.get("DATABASE_URL", "postgresql:///trunkline")
_redis_url = _running.get("REDIS_URL", "redis://127.0.0.1:6379/0")
# Certificates of the authorities that may have signed those of Redis and the broker; "": those of the system.
TLS_CA_FILE = env.file("TLS_CA_FILE")
DATABASE_URL = env.server("DATABASE_URL", _database_url, server_urls.DATABASE)
REDIS_URL = server_urls.with_tls(env.server("REDIS_URL", _redis_url, server_urls.REDIS), TLS_CA_FILE)
# What every key of ours in Redis begins with, and the queues there, so that two systems share one.
REDIS_PREFIX = env.text("REDIS_PREFIX")

DATABASES: dict[str, Any] = {"default": server_urls.database(DATABASE_URL)}
# What a role or a server has as its default is not what the code was written for. In each BEGIN, as a pooler keeps no
# parameter of a session.
DATABASES["default"]["OPTIONS"]["isolation_level"] = IsolationLevel.READ_COMMITTED
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Dialing -------------------------------------------------------------------------------------------------------------

# How long a phone rings before the carrier gives up, in seconds. Ofcom asks for at least 15.
RING_TIMEOUT_SECONDS = env.whole("RING_TIMEOUT_SECONDS", 45, most=600)
# The longest conversation, in seconds. It is sent to the carrier, leases last longer, and an attempt whose fate the
# carrier can't tell is given up after it. Exotel allows at most four hours.
MAX_CALL_SECONDS = env.whole("MAX_CALL_SECONDS", 3600, most=14_400)
# How long the carrier may take to accept a call, in seconds, before its reply counts as lost.
CARRIER_TIMEOUT_SECONDS = env.number("CARRIER_TIMEOUT_SECONDS", 10, most=20)
# How far a carrier's list of calls may lag behind its calls, in seconds. A call that is missing in the list counts as
# never placed only so long after the last moment at which the carrier could have accepted it.
CARRIER_LIST_LAG_SECONDS = env.number("CARRIER_LIST_LAG_SECONDS", 15, most=3600)
# How long a call that is up may go without news, in seconds, before the carrier is asked about it.
CARRIER_POLL_AFTER_SECONDS = env.number("CARRIER_POLL_AFTER_SECONDS", 60, most=24 * 3600)
# Look-ups a minute that an account at a carrier is asked for: what became of lost replies, and of calls without news.
# They count against the carrier's limit of requests beside the calls themselves, so leave most of it to those.
CARRIER_LOOK_UPS_PER_MINUTE = env.number("CARRIER_LOOK_UPS_PER_MINUTE", 60, most=100_000)
# SIP trunks: where the gateway listens, and what it tells trunks of its address where that is another one (NAT).
SIP_HOST = env.host("SIP_HOST", "127.0.0.1", only_ipv4=True)
SIP_PORT = env.port("SIP_PORT", 5060)
SIP_PUBLIC_HOST = env.host("SIP_PUBLIC_HOST")
# Calls that one gateway has up at once. Beyond it another gateway is needed.
SIP_CHANNELS = env.whole("SIP_CHANNELS", 200, most=2000)
# How long a SIP trunk may take to respond to an INVITE at all, in seconds, before it rests. Below the carrier's own.
SIP_SILENCE_SECONDS = env.number("SIP_SILENCE_SECONDS", 8, most=20)
if env.is_given("SIP_SILENCE_SECONDS") and SIP_SILENCE_SECONDS >= CARRIER_TIMEOUT_SECONDS:
    env.refuse("SIP_SILENCE_SECONDS", f"below CARRIER_TIMEOUT_SECONDS, which is {CARRIER_TIMEOUT_SECONDS:g}")
# The program that reads a text from its input and writes a WAV file of it, and the language of texts that name none.
SIP_SPEECH_COMMAND = env.command("SIP_SPEECH_COMMAND", "espeak-ng -v {voice} --stdin --stdout", ["voice", "language"])
SIP_SPEECH_LANGUAGE = env.text("SIP_SPEECH_LANGUAGE", "en")
# Refusals in a row that may be about our side of the carrier, of different numbers and without a call taken in between,
# after which the caller ID rests. Fewer, and a few wrong numbers in a row slow a campaign down for a second.
REFUSALS_BEFORE_REST = env.whole("REFUSALS_BEFORE_REST", 3, most=100)
# After how many such refusals of its own a call fails, where it is not one of a run of refusals.
REFUSALS_OF_A_CALL = env.whole("REFUSALS_OF_A_CALL", 3, most=10)
# A call that ends as failed within so many seconds, without an answer, has failed at once.
INSTANT_FAILURE_SECONDS = env.number("INSTANT_FAILURE_SECONDS", 2, most=10)
# Calls in a row that fail at once, of different numbers, after which the caller ID rests. So many attempts are lost to
# a carrier that fails every call. Fewer, and a few dead numbers in a row slow a campaign down.
INSTANT_FAILURES_BEFORE_REST = env.whole("INSTANT_FAILURES_BEFORE_REST", 10, most=1000)
# The length of a minute in `interval_mins`, in seconds. Only a demo or a test sets less than sixty.
RETRY_MINUTE_SECONDS = env.number("RETRY_MINUTE_SECONDS", 60, most=3600)
# How long a link to a report works, in seconds. A week, because links in webhooks are often opened late.
REPORT_LINK_SECONDS = env.whole("REPORT_LINK_SECONDS", 7 * 24 * 3600, most=MOST_DAYS * 24 * 3600)
# How long the receiver of a webhook may take to respond, in seconds, from connecting to the response. Exotel's limit.
WEBHOOK_TIMEOUT_SECONDS = env.number("WEBHOOK_TIMEOUT_SECONDS", 15, most=60)
# How long one API request may look up the names in its webhooks' addresses, in seconds. It may run out: a name that is
# not resolved by then is accepted, and judged at delivery.
WEBHOOK_LOOK_UP_SECONDS = env.number("WEBHOOK_LOOK_UP_SECONDS", 2, most=10)
# How long a webhook is tried, in seconds. A day, so that a receiver that fails at night can be repaired in the morning.
WEBHOOK_GIVE_UP_SECONDS = env.number("WEBHOOK_GIVE_UP_SECONDS", 24 * 3600, most=30 * 24 * 3600)
# Webhooks that may be on their way at once to one receiver (host and port) of an account: one that takes a second gets
# sixty a second. And to all receivers of an account, so that one account with slow ones leaves room for the others.
WEBHOOKS_AT_ONCE_PER_RECEIVER = env.whole("WEBHOOKS_AT_ONCE_PER_RECEIVER", 60, most=1000)
WEBHOOKS_AT_ONCE_PER_ACCOUNT = env.whole("WEBHOOKS_AT_ONCE_PER_ACCOUNT", 90, most=1000)
# Whether webhooks may go to private, loopback and link-local addresses. Never where customers choose the addresses.
WEBHOOK_ALLOW_PRIVATE_ADDRESSES = env.flag("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", default=False)
# The largest API request, in bytes: 5,000 numbers take about 100 kB.
MAX_REQUEST_BYTES = env.whole("MAX_REQUEST_BYTES", 2_000_000, most=1_000_000_000)
# Calls that have not ended which an account may have, all its campaigns together.
MAX_OPEN_CALLS_PER_ACCOUNT = env.whole("MAX_OPEN_CALLS_PER_ACCOUNT", 5_000_000, most=10**12)
# Requests for lists, diagnoses and rejected rows of an account that are at work at once, and reports that are being
# read: each keeps a web thread, and the first ones a core of the database. Of searches among the first, half as many.
READS_AT_ONCE_PER_ACCOUNT = env.whole("READS_AT_ONCE_PER_ACCOUNT", 2, most=1000)
REPORTS_AT_ONCE_PER_ACCOUNT = env.whole("REPORTS_AT_ONCE_PER_ACCOUNT", 3, most=1000)
# The longest statement of a web request, in seconds, but for reports, which last as long as a client reads them.
WEB_STATEMENT_SECONDS = env.whole("WEB_STATEMENT_SECONDS", 20, most=300)
# Wrong credentials that one address may send in any minute. A person who mistypes needs only a few.
FAILED_SIGN_INS_PER_MINUTE = env.whole("FAILED_SIGN_INS_PER_MINUTE", 20, most=1_000_000)

# Retention -----------------------------------------------------------------------------------------------------------

# How long carriers' events keep their payloads after they were handled, in days: longer than any call. The rows are
# deleted after thirty.
EVENT_PAYLOADS_KEPT_DAYS = env.number("EVENT_PAYLOADS_KEPT_DAYS", 3, most=30, least=1)
# How long campaigns and all below them are kept after their end, in days; None: for ever.
CAMPAIGNS_KEPT_DAYS = env.number_or_none("CAMPAIGNS_KEPT_DAYS", most=MOST_DAYS, least=1, none="ever")
# How long recordings that this server has made are kept, in days.
RECORDINGS_KEPT_DAYS = env.number("RECORDINGS_KEPT_DAYS", 30, most=MOST_DAYS, least=1)
# Where the reports of campaigns that are deleted are kept. Without the alias `reports` they are not.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "recordings": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(DATA_DIR / "recordings")},
    },
}
STORAGES |= setting_rules.storage(env, "reports")
STORAGES |= setting_rules.storage(env, "recordings")

# The bearer token that a scraper of /metrics must send. Without one, only this machine may read them.
METRICS_TOKEN = env.text("METRICS_TOKEN", is_secret=True)

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
    "campaigns_project.admin_guard.AdminGuard",
    "campaigns_project.middleware.ProbesFirst",
    "django.middleware.security.SecurityMiddleware",
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
STATIC_URL = f"{SCRIPT_NAME}/static/"
STATIC_ROOT = DATA_DIR / "static"

# Where PUBLIC_URL is https://, cookies and redirects require TLS.
SECURE = PUBLIC_URL.startswith("https://")
# A working day, in seconds: a browser that is left open is signed out by the next morning.
SESSION_COOKIE_AGE = 12 * 3600
# Messages show new tokens and secrets once. A cookie would carry them, readable, into the browser's storage and logs.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# Roles whose people must set up a second factor: viewer, operator, administrator. Others may.
SECOND_FACTOR_ROLES = env.choices("SECOND_FACTOR_ROLES", ["viewer", "operator", "administrator"])
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
# Another program at the same host and another path gets neither.
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{SCRIPT_NAME}/"
BEHIND_TLS_PROXY = env.flag("BEHIND_TLS_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS_PROXY else None
SECURE_SSL_REDIRECT = SECURE
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
# HSTS for subdomains and the preload list: the operator's other hosts may have no TLS, and this server can't know.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL.removesuffix(SCRIPT_NAME)]
CSRF_FAILURE_VIEW = "campaigns_project.error_pages.forged"

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

CELERY_BROKER_URL = server_urls.broker(env.server("CELERY_BROKER_URL", REDIS_URL, server_urls.BROKER), TLS_CA_FILE)
CELERY_BROKER_USE_SSL = server_urls.broker_tls(CELERY_BROKER_URL, TLS_CA_FILE)
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
# The events process notes its progress each second, and a sweep of recovery each of its steps.
MAX_SILENCE_SECONDS = {
    "beat": 10, "events": 10, "control": 10, "dispatch": 10, "dial": 60, "recovery": 60, "webhooks": 120, "load": 180
}  # fmt: skip
# Acknowledge before running: a lost message costs the time until the next tick, and dialing late is better than twice.
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# After how many tasks Celery closes a database connection: never. CONN_MAX_AGE limits its age, and
# campaigns_project.celery checks it before each task.
CELERY_DB_REUSE_MAX = 1_000_000
# A process of the control or dispatch worker that has taken more memory is replaced after its task, in kB. Celery has
# this for processes alone: the threads of the other workers share the memory of one.
CELERY_WORKER_MAX_MEMORY_PER_CHILD = int(env.number("WORKER_MAX_MEMORY_MB", 512, most=1_000_000) * 1024)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = env.flag("CELERY_TASK_EVENTS", default=True)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Workers try for ever to connect, every half a minute at the least. By default they give up after 48 minutes.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# Enqueueing must not take longer than waiting for the next tick would: requests and outcomes wait for it.
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, float | str] = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
if CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS |= {"socket_connect_timeout": 2, "socket_timeout": 5}
    CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"] = REDIS_PREFIX
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
# How often the database scheduler reads its table at the least, in seconds, so that an edit in the admin takes effect.
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
DJANGO_CELERY_BEAT_TZ_AWARE = True

# Logs ----------------------------------------------------------------------------------------------------------------

LOG_FORMAT = env.choice("LOG_FORMAT", "console" if DEBUG else "json", ["json", "console"], default_text="json")
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR"])
LOGGING = log_config.configure(LOG_FORMAT, LOG_LEVEL)

# What the Procfile and the SIP gateway read, judged with all else ----------------------------------------------------

CONTROL_CONCURRENCY = env.whole("CONTROL_CONCURRENCY", 2, most=1000)
env.whole("DISPATCH_CONCURRENCY", 2, most=1000)
DIAL_CONCURRENCY = env.whole("DIAL_CONCURRENCY", 8, most=1000)
env.whole("WEBHOOK_CONCURRENCY", 8, most=1000)
# Where the SIP gateway says whether it is at work; None: nowhere.
SIP_HEALTH_ADDRESS = env.address("SIP_HEALTH_ADDRESS")

DECLARED = env.settings
env.refuse_misspelt(_in_file, ".env")
# Variables of other programs that are nearly settings; asked once a process, as it takes a moment.
NEARLY_SETTINGS = env.misspelt
try:
    env.require_good()
except WrongSettings as error:
    raise ImproperlyConfigured(str(error)) from None
