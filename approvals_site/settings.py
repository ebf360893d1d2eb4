"""Every setting, read once from the environment. An unsafe combination refuses to start."""

import hashlib
import sys
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from approvals_site import database_urls, environment, notices, outbound, secret_key
from approvals_site.environment import env
from proposals.demonstration import ports as demonstration

BASE_DIR = Path(__file__).resolve().parent.parent

TESTING = "pytest" in sys.modules
LOOPBACK = {"127.0.0.1", "localhost", "[::1]", "testserver"}

DATA_DIR = environment.folder("COUNTERSIGN_DATA", default=BASE_DIR / "var")

PORT = environment.whole("PORT", default=8000, most=65_535)
DEBUG = environment.yes_or_no("DEBUG", default=False)
DEMO = environment.yes_or_no("DEMO", default=True)
HTTPS = environment.yes_or_no("HTTPS", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
# Where the demonstration's payment provider and mail server listen, for all of its processes.
with environment.keeping_in(DATA_DIR):
    DEMO_PORTS = demonstration.ports(DATA_DIR) if DEMO else None
ENVIRONMENT_NAME = env.str("COUNTERSIGN_ENVIRONMENT", default="demonstration" if DEMO else "")


def refuse_unsafe_combinations() -> None:
    """Say no at start rather than be sorry in production."""
    outside = sorted(set(ALLOWED_HOSTS) - LOOPBACK)
    if "*" in ALLOWED_HOSTS:
        raise ImproperlyConfigured("ALLOWED_HOSTS=* accepts any host name; list the real ones.")
    if outside and DEBUG:
        raise ImproperlyConfigured(f"DEBUG=1 would show secrets to visitors of {outside}.")
    if outside and not HTTPS:
        raise ImproperlyConfigured(
            f"{outside} are reached over a network: put TLS in front and set HTTPS=1."
        )
    if outside and DEMO:
        raise ImproperlyConfigured(f"DEMO=1 makes known people; set DEMO=0 to serve {outside}.")


refuse_unsafe_combinations()
with environment.keeping_in(DATA_DIR):
    SECRET_KEY = secret_key.given_or_kept(env.str("SECRET_KEY", default=""), DATA_DIR)
# Keys that encrypt other systems' passwords, newest first; without one, a file in the data folder.
SECRETS_KEY = env.str("COUNTERSIGN_SECRETS_KEY", default="")
DEFAULT_EXCEPTION_REPORTER_FILTER = "proposals.redaction.ReportFilter"
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "simple_history",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "ledger",
    "budgets",
    "proposals",
    *environment.apps("COUNTERSIGN_APPS"),
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "proposals.api.flood.FloodGate",  # before everything that costs something
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "approvals_site.probes.HostOrProbe",  # in the place of CommonMiddleware
    "django.middleware.csrf.CsrfViewMiddleware",
    "proposals.console.storable.StorableTextOnly",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "approvals_site.urls"
WSGI_APPLICATION = "approvals_site.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "proposals.console.context.site",
            ],
        },
    }
]

DATABASES = {
    "default": database_urls.entry(
        env.str("DATABASE_URL", default="") or f"sqlite:///{DATA_DIR / 'countersign.sqlite3'}"
    )
}
POSTGRESQL_OPTIONS = database_urls.POSTGRESQL_OPTIONS
DATABASE_ROUTERS = ["approvals_site.routers.TargetsAreNotOurs"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The databases that agents may write to, through actions only. docs/tables.md describes the files.
TABLE_FILES = env.list("COUNTERSIGN_TABLES", default=[])
if DEMO:
    TABLE_FILES.append(str(BASE_DIR / "proposals" / "demonstration" / "shop.toml"))
    DATABASES["shop"] = database_urls.shop(
        DATABASES["default"], env.str("SHOP_DATABASE_URL", default=""), DATA_DIR
    )

AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "queue"
LOGOUT_REDIRECT_URL = "sign-in"
PASSWORD_RESET_TIMEOUT = 24 * 3600

# Signing in, by allauth: a password, then a second factor where the person has one, or a passkey.
# Nobody signs up; docs/people.md says how people come in.
AUTHENTICATION_BACKENDS = ["proposals.authentication.PeopleOnly"]
ACCOUNT_ADAPTER = "proposals.console.adapters.Accounts"
ACCOUNT_FORMS = {"login": "proposals.console.people_forms.SignIn"}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "optional"
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "django.contrib.auth.tokens.PasswordResetTokenGenerator"
ACCOUNT_SESSION_REMEMBER = True
SIGN_IN_AGAIN_SECONDS = ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
INVITATION_DAYS = 7
MFA_ADAPTER = "proposals.console.adapters.Factors"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_TOTP_ISSUER = "Countersign"
# Without TLS only this machine is served (above); its browsers take passkeys on http://localhost.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
# Whose X-Forwarded-For is believed when attempts to sign in are counted by address.
ALLAUTH_TRUSTED_PROXY_COUNT = environment.whole(
    "TRUSTED_PROXIES", default=1 if HTTPS else 0, least=0
)

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# The browser's side. The admin's own scripts are files, so the policy needs no exception.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
SESSION_COOKIE_NAME = "__Host-countersign" if HTTPS else f"countersign_{PORT}"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else f"csrf_{PORT}"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 8 * 3600
SESSION_SAVE_EVERY_REQUEST = False
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "proposals.console.errors.csrf_failure"
DATA_UPLOAD_MAX_MEMORY_SIZE = 512 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["proposals.api.authentication.BearerToken"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["proposals.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "proposals.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,  # ?format= is no way to choose a representation here
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Countersign",
    "DESCRIPTION": "Agents propose writes here; rules and people decide; workers commit.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["proposals.api.documentation.without_trailing_slashes"],
}

# Redis, where there is one: nothing in it is the truth, and it may be down at any time. So waits
# are short, nothing is retried, and an outage is spared for a while (proposals.outage).
# What shares a database shares a queue; instances on one Redis do not hear each other.
REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL and not REDIS_URL.startswith(("redis://", "rediss://")):
    raise ImproperlyConfigured("REDIS_URL must begin with redis:// or rediss://.")
QUEUE = (
    env.str("COUNTERSIGN_QUEUE", default="")
    or hashlib.sha256(database_urls.place(DATABASES["default"]).encode()).hexdigest()[:12]
)
REDIS_PATIENCE = {"socket_connect_timeout": 0.5, "socket_timeout": 1, "socket_keepalive": True}
if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "approvals_site.cache.Cache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": f"countersign:{QUEUE}:cache",
            "OPTIONS": {
                **REDIS_PATIENCE,
                "socket_timeout": 0.3,
                "serializer": "approvals_site.cache.SignedSerializer",
            },
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# Celery. The row is the queue and the message a doorbell, so early acknowledgement is right: a lost
# message costs seconds, never a write. No message waits longer than a worker is busy, so Redis's
# visibility timeout, which would deliver it again, never comes into play.
BROKER_DIR = DATA_DIR / "broker"
CELERY_BROKER_URL = REDIS_URL or "filesystem://localhost"
if REDIS_URL:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        **REDIS_PATIENCE,
        "health_check_interval": 10,
        "global_keyprefix": f"countersign:{QUEUE}:",
    }
    CELERY_WORKER_DISABLE_PREFETCH = True
else:
    with environment.keeping_in(DATA_DIR):
        for folder in ("queue", "processed", "control"):
            (BROKER_DIR / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    CELERY_BROKER_TRANSPORT = "approvals_site.doorbells:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(BROKER_DIR / "queue"),
        "data_folder_out": str(BROKER_DIR / "queue"),
        "control_folder": str(BROKER_DIR / "control"),
        "processed_folder": str(BROKER_DIR / "processed"),
        "store_processed": True,
        "polling_interval": 0.05,
    }
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # or whoever reaches the broker could stop the workers
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 0}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TASK_TIME_LIMIT = 50
# A process of a pool that has done so much makes room for a new one; it holds no row then.
CELERY_WORKER_MAX_TASKS_PER_CHILD = 10_000
# Connections outlive tasks, and are tried before they are used again (celery.py).
CELERY_DB_REUSE_MAX = 1_000_000
CELERY_TASK_DEFAULT_QUEUE = "countersign"

# Telling people: where links lead, how mail leaves, and which private hosts webhooks may reach.
COUNTERSIGN_URL = notices.public_url(
    env.str("COUNTERSIGN_URL", default=""),
    port=PORT,
    outside=set(ALLOWED_HOSTS) - LOOPBACK,
    https=HTTPS,
)
WEBHOOK_HOSTS = outbound.hosts(
    env.list("COUNTERSIGN_WEBHOOK_HOSTS", default=[]), setting="COUNTERSIGN_WEBHOOK_HOSTS"
)
MAIL_IS_ON, OUTGOING_FROM_EMAIL = False, ""
vars().update(
    notices.mail(
        *demonstration.mail(
            env.ENVIRON.get("EMAIL_URL"),  # given and empty is no mail; absent is the default
            env.str("DEFAULT_FROM_EMAIL", default=""),
            env.str("OUTGOING_FROM_EMAIL", default=""),
            DEMO_PORTS,
        )
    )
)

# Hosts that HTTP actions may reach wherever they are, without TLS and at the port that is named.
HTTP_HOSTS = outbound.hosts(
    env.list("COUNTERSIGN_HTTP_HOSTS", default=[])
    + ([DEMO_PORTS.provider_host] if DEMO_PORTS else []),
    setting="COUNTERSIGN_HTTP_HOSTS",
    with_ports=True,
)

# What Prometheus says to be told from another machine; without one it has to be on this one.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured("METRICS_TOKEN must be at least 16 random characters.")

# How many processes `make run` starts where there is a Redis; the embedded default has one each.
WEB_PROCESSES = environment.whole("WEB_PROCESSES", default=2)
WORKER_PROCESSES = environment.whole("WORKER_PROCESSES", default=2)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "class": "proposals.redaction.Formatter",  # no password in any line
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": environment.level("LOG_LEVEL", default="INFO")},
    # A refusal is an answer; a flood of them must not become a flood of lines.
    "loggers": {"django.request": {"level": "ERROR"}},
}

# The product's own numbers.
MAX_BODY_BYTES = 256 * 1024
MAX_JSON_DEPTH = 32
PROPOSAL_LIFETIME_HOURS = {"low": 7 * 24, "medium": 72, "high": 24}
EXECUTION_MAX_ATTEMPTS = 10
# A call to a target outside begins so soon after its intent, or not at all; the longest that ship
# take so long; and its answer has so long to be stored. A lease that ended before would have a call
# that is under way taken for dead, and its outcome for unknown.
SEND_WITHIN_SECONDS, LONGEST_CALL_SECONDS, SETTLE_WITHIN_SECONDS = 10, 20, 10
EXECUTION_LEASE_SECONDS = environment.whole(
    "EXECUTION_LEASE_SECONDS",
    default=60,
    least=SEND_WITHIN_SECONDS + LONGEST_CALL_SECONDS + SETTLE_WITHIN_SECONDS,
)
RECHECKS_BEFORE_PEOPLE = 3
# Targets outside: how often an unsent call is tried, when an unknown outcome is asked about (after
# its settling time), and when a target is left alone. docs/outcomes.md says how they play together.
UNSENT_MAX_TRIES = 5
PROBE_SECONDS = (0, 60, 5 * 60, 30 * 60)
RESEND_LONGEST_SECONDS = 15 * 60
BREAKER_UNCLEAR = 5
BREAKER_CALLS = 10
BREAKER_WINDOW_SECONDS = 60
BREAKER_PAUSE_SECONDS = 60
BREAKER_LONGEST_PAUSE_SECONDS = 15 * 60
# Above this amount, in whatever currency, two people must find the same about an unknown outcome.
SECOND_PERSON_ABOVE = environment.whole(
    "COUNTERSIGN_SECOND_PERSON_ABOVE", default=100, least=0, most=10**18
)
BELL_ANSWER_SECONDS = 5
DUPLICATE_WINDOW_HOURS = 24
MAX_OPEN_PROPOSALS_PER_AGENT = environment.whole(
    "MAX_OPEN_PROPOSALS_PER_AGENT", default=1000, least=0
)
HELD_RETRY_SECONDS = 5
# How much of what takes its time is done at once for one agent: all workers but one, if they are
# as many as `make run` starts.
SLOW_WORK_PER_AGENT = environment.whole("SLOW_WORK_PER_AGENT", default=max(1, WORKER_PROCESSES - 1))
DRY_RUNS_PER_MINUTE = environment.whole("DRY_RUNS_PER_MINUTE", default=120, least=0)
# How long entries may wait for their seal: until it is said aloud, and until high-tier writes stop.
UNSEALED_LIMIT_SECONDS = environment.whole("UNSEALED_LIMIT_SECONDS", default=30)
UNSEALED_STOP_SECONDS = environment.whole("UNSEALED_STOP_SECONDS", default=600)
CLOCK_LIMIT_SECONDS = environment.whole("CLOCK_LIMIT_SECONDS", default=30)
