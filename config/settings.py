"""Django's settings: what the environment says (config.environment), and nothing else.

Only secrets, addresses and wiring live here; every number a business may want to change is a knob,
a row in the database.
"""

from datetime import timedelta
from urllib.parse import urlsplit

import environ
from csp.constants import NONCE, NONE, SELF
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from config import embedded, environment, logs

ENVIRONMENT = environment.load()
BASE_DIR = environment.BASE_DIR
DATA_DIR = ENVIRONMENT.data_dir
BASE_URL = ENVIRONMENT.base_url
EMBEDDED = ENVIRONMENT.embedded_database
METRICS_TOKEN = ENVIRONMENT.metrics_token

SECRET_KEY = environment.secret_key(ENVIRONMENT)
DEBUG = False
ALLOWED_HOSTS = ENVIRONMENT.allowed_hosts
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
AUTH_USER_MODEL = "crm.StaffUser"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "config.site.Theme",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "corsheaders",
    "csp",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_htmx",
    "pghistory",
    "pgtrigger",
    "django_prometheus",
    "django_structlog",
    "config",
    "crm.kernel",
    "crm",
    "lifecycle",
    "voc",
    "members",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.RequestLog",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "config.middleware.StaffPreferences",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.middleware.ContentSecurityPolicy",
    "django_htmx.middleware.HtmxMiddleware",
    "config.error_pages.DomainErrors",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Before the apps: what the staff pages change in the theme, and the pages for errors.
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.template.context_processors.tz",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    },
]

# -- database and broker: the URLs of the environment, or the embedded servers of DATA_DIR

_embedded_database_url, _embedded_redis_url = embedded.urls(DATA_DIR)
_database = environ.Env.db_url_config(ENVIRONMENT.database_url or _embedded_database_url)
DATABASES = {
    "default": {
        **_database,
        "ENGINE": "django.db.backends.postgresql",
        "ATOMIC_REQUESTS": False,
        # Threads of gunicorn are re-used, so each keeps its connection; a dead one is noticed.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5, **_database.get("OPTIONS", {})},
    }
}
REDIS_URL = ENVIRONMENT.redis_url or _embedded_redis_url
# The cache is the process's own: no page may fail because the broker is away.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# -- Celery: reasons in docs/decisions; the messages are wake-ups, the rows are the queue

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 900, "socket_keepalive": True}
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"visibility_timeout": 900}
CELERY_VISIBILITY_TIMEOUT = 900
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = ENVIRONMENT.worker_soft_shutdown
WORKER_NICENESS = ENVIRONMENT.worker_niceness
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TASK_SEND_SENT_EVENT = False
CELERY_TIMEZONE = "UTC"

# -- languages and time

USE_I18N = True
USE_TZ = True
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = ENVIRONMENT.time_zone
LANGUAGE_CODE = ENVIRONMENT.language_code
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
# Ours, which `make messages` keeps up; and the words of the theme and other packages that ship no Chinese.
LOCALE_PATHS = [BASE_DIR / "locale", BASE_DIR / "locale" / "theme"]
# Where the compiled words go when the installation itself cannot be written.
COMPILED_LOCALE_DIR = DATA_DIR / "locale"
LOCALE_PATHS += [COMPILED_LOCALE_DIR / path.name for path in LOCALE_PATHS]

# -- static files and mail

STATIC_URL = "/static/"
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "config.static.Storage"},
}
MEDIA_ROOT = DATA_DIR / "media"
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = f"renxin@{urlsplit(BASE_URL).hostname}"
globals().update(ENVIRONMENT.email)
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# -- who may come in

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
# Ten wrong passwords for one name from one address lock that pair for a quarter of an hour.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "config.error_pages.locked_out"
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False
AXES_ENABLE_ACCESS_FAILURE_LOG = False
AXES_DISABLE_ACCESS_LOG = True

# -- browsers: https follows BASE_URL; SDKs must never be redirected, probes come without TLS

SECURE_SSL_REDIRECT = ENVIRONMENT.is_https
SECURE_REDIRECT_EXEMPT = [r"^v1/", r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENVIRONMENT.is_https else None
SECURE_HSTS_SECONDS = 31_536_000 if ENVIRONMENT.is_https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = ENVIRONMENT.is_https
SECURE_HSTS_PRELOAD = ENVIRONMENT.is_https
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = ENVIRONMENT.is_https
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_SECURE = ENVIRONMENT.is_https
LANGUAGE_COOKIE_SECURE = ENVIRONMENT.is_https
LANGUAGE_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = [BASE_URL]
CSRF_FAILURE_VIEW = "config.error_pages.csrf_failure"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
# The door is open to every page that carries a write key; no cookie is read there.
CORS_URLS_REGEX = r"^/v1/.*$"
CORS_ALLOW_ALL_ORIGINS = True
CORS_ALLOW_CREDENTIALS = False
CORS_PREFLIGHT_MAX_AGE = 7200
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "content-encoding", "x-retry-count"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

# -- API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "crm.api.authentication.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["crm.kernel.api.permissions.ScopedPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["crm.kernel.api.parsers.StrictJSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["crm.kernel.api.filters.StrictFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "crm.kernel.api.pagination.CursorPagination",
    "DEFAULT_SCHEMA_CLASS": "crm.kernel.api.problems.ProblemSchema",
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Renxin",
    "DESCRIPTION": "People, what happened to them, what they asked for, and what they were told.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    # One name per vocabulary, wherever it is used.
    "ENUM_NAME_OVERRIDES": {
        "ArmEnum": "lifecycle.states.Arm",
        "ChannelEnum": "crm.states.Channel",
        "ConsentWayEnum": "crm.states.ConsentWay",
        "DecisionEnum": "lifecycle.states.Decision",
        "DeliveryStatusEnum": "lifecycle.states.DeliveryStatus",
        "EnrolmentEventKindEnum": "lifecycle.states.EnrolmentEventKind",
        "EnrolmentStatusEnum": "lifecycle.states.EnrolmentStatus",
        "EntryKindEnum": "members.states.EntryKind",
        "ExitCauseEnum": "lifecycle.states.ExitCause",
        "FeedbackChannelEnum": "voc.states.FeedbackChannel",
        "FeedbackStatusEnum": "voc.states.FeedbackStatus",
        "FollowerRoleEnum": "voc.states.FollowerRole",
        "ImportKindEnum": "crm.states.ImportKind",
        "ImportColumnTypeEnum": "crm.imports.columns.TYPES",
        "PropertyTypeEnum": "crm.states.PropertyType",
        "ComputedTypeEnum": "crm.states.ComputedType",
        "IdentifierKindEnum": "crm.states.IdentifierKind",
        "JourneyStatusEnum": "lifecycle.states.JourneyStatus",
        "LanguageEnum": "crm.states.Language",
        "LinkKindEnum": "crm.states.LinkKind",
        "NoteCategoryEnum": "crm.states.NoteCategory",
        "MergeCauseEnum": "crm.states.MergeCause",
        "MessageClassEnum": "crm.states.MessageClass",
        "OriginEnum": "crm.states.Origin",
        "PurposeEnum": "crm.states.Purpose",
        "ReasonEnum": "lifecycle.states.Reason",
        "ReleaseStatusEnum": "voc.states.ReleaseStatus",
        "FileStatusEnum": "crm.states.FileStatus",
        "RunStatusEnum": "crm.states.RunStatus",
        "SegmentEventKindEnum": "crm.states.SegmentEventKind",
        "SegmentKindEnum": "crm.states.SegmentKind",
        "SegmentRunCauseEnum": "crm.states.SegmentRunCause",
        "SeverityEnum": "voc.states.Severity",
        "StageEnum": "crm.states.Stage",
        "SuggestionStatusEnum": "crm.states.SuggestionStatus",
        "SuppressionReasonEnum": "crm.states.SuppressionReason",
        "TicketEventKindEnum": "voc.states.TicketEventKind",
        "TicketKindEnum": "voc.states.TicketKind",
        "TicketStatusEnum": "voc.states.TicketStatus",
        "TrustEnum": "crm.states.Trust",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
DRF_STANDARDIZED_ERRORS = {
    "EXCEPTION_HANDLER_CLASS": "crm.kernel.api.problems.ProblemHandler",
    "EXCEPTION_FORMATTER_CLASS": "crm.kernel.api.problems.ProblemFormatter",
    "ENABLE_IN_DEBUG_FOR_UNHANDLED_EXCEPTIONS": True,
}

# -- what we tell operators

LOGGING = logs.LOGGING
logs.configure()
DJANGO_STRUCTLOG_CELERY_ENABLED = False
PROMETHEUS_EXPORT_MIGRATIONS = False
UNFOLD = {
    "SITE_TITLE": "Renxin",
    "SITE_HEADER": "Renxin",
    "SITE_SUBHEADER": _("People, promises, and keeping them"),
    "SITE_URL": "/",
    "SITE_SYMBOL": "favorite",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("config/icon.svg")}
    ],
    "SHOW_HISTORY": True,
    "SHOW_LANGUAGES": True,
    "LANGUAGES": {
        "action": reverse_lazy("staff-language"),
        "navigation": [
            {"code": "en", "name_local": "English"},
            {"code": "zh-hans", "name_local": "简体中文"},
        ],
    },
    "ENVIRONMENT": "config.navigation.environment_label",
    "DASHBOARD_CALLBACK": "config.home.dashboard",
    "SIDEBAR": {"show_search": False, "navigation": "config.navigation.sidebar"},
    "STYLES": [lambda request: static("config/staff.css")],
    "SCRIPTS": [lambda request: static("config/focus.js"), lambda request: static("crm/search-key.js")],
    # Jade on near-white and near-black: each pair used for text has a contrast of 4.5 or more.
    "COLORS": {
        "primary": {
            "50": "#f0fdfa",
            "100": "#ccfbf1",
            "200": "#99f6e4",
            "300": "#5eead4",
            "400": "#2dd4bf",
            "500": "#2dd4bf",
            "600": "#0f766e",
            "700": "#115e59",
            "800": "#134e4a",
            "900": "#0b3b38",
            "950": "#042f2e",
        },
        "font": {
            "subtle-light": "var(--color-base-600)",
            "subtle-dark": "var(--color-base-300)",
            "default-light": "var(--color-base-700)",
            "default-dark": "var(--color-base-200)",
            "important-light": "var(--color-base-900)",
            "important-dark": "var(--color-base-50)",
        },
    },
}
