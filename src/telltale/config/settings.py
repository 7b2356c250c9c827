"""Django's settings, made from the environment. What can be set, and how, stands in environment.py."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict

from telltale.config.environment import load

ENVIRONMENT = load()

SECRET_KEY = ENVIRONMENT.secret_key
SECRET_KEY_FALLBACKS = list(ENVIRONMENT.earlier_secret_keys)
DEBUG = False

_url = urlsplit(ENVIRONMENT.url)
_secure = _url.scheme == "https"
ALLOWED_HOSTS = [_url.hostname or "localhost", "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = [f"{_url.scheme}://{_url.netloc}"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _secure
SESSION_COOKIE_NAME = "telltale_session"
CSRF_COOKIE_NAME = "telltale_csrf"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _secure else None
SECURE_HSTS_SECONDS = 31_536_000 if _secure else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "telltale.accounts",
    "telltale.events",
    "telltale.conversations",
    "telltale.delivery",
    "telltale.web",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "telltale.config.static_files.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "telltale.web.middleware.content_security_policy",
    "telltale.web.middleware.own_time_zone",
    "telltale.web.middleware.first_run",
]
ROOT_URLCONF = "telltale.config.urls"
ASGI_APPLICATION = "telltale.config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "telltale.web.context.desk",
            ]
        },
    }
]

_database = conninfo_to_dict(ENVIRONMENT.database_url)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.pop("dbname", "telltale"),
        "USER": _database.pop("user", ""),
        "PASSWORD": _database.pop("password", ""),
        "HOST": _database.pop("host", ""),
        "PORT": str(_database.pop("port", "")),
        "OPTIONS": {
            **_database,
            "pool": {"min_size": 1, "max_size": 20, "timeout": 10},
            # PostgreSQL plans a statement once for each connection, not each time that it comes.
            "server_side_binding": True,
            "prepare_threshold": 5,
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.Agent"
# The check looks at the field alone; a constraint keeps addresses unique whatever their case.
SILENCED_SYSTEM_CHECKS = ["auth.E003"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "inbox"
LOGOUT_REDIRECT_URL = "sign-in"

DATA = Path(ENVIRONMENT.data)
MEDIA_ROOT = DATA / "files"
STATIC_URL = "/static/"
STATIC_ROOT = DATA / "static"
STORAGES = {
    "default": {"BACKEND": "telltale.config.storage.DurableStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_ALLOW_ALL_ORIGINS = False  # they are for our own pages
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": ENVIRONMENT.log_level},
    "loggers": {"mail.log": {"level": "WARNING"}},  # aiosmtpd, which tells of every command
}

# Telltale's own
RETRY_FOR = ENVIRONMENT.retry_for
ATTENTION_AFTER = ENVIRONMENT.attention_after
UNDO_SEND = ENVIRONMENT.undo_send
MAX_MESSAGE_SIZE = ENVIRONMENT.max_message_size


def _derived(purpose: bytes) -> list[bytes]:
    """A key for each purpose, out of the one secret; the current one first."""
    secrets = [SECRET_KEY, *SECRET_KEY_FALLBACKS]
    return [hashlib.blake2b(key.encode(), digest_size=32, person=purpose).digest() for key in secrets]


RETURN_PATH_KEYS = _derived(b"telltale:return")
REPLY_ADDRESS_KEYS = _derived(b"telltale:reply")
