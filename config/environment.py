"""Every environment variable the product reads, in one place.

Each variable is checked when the process starts; a bad value raises BadEnvironment with one
sentence that says what is allowed. Nothing here imports Django's settings, so the supervisor can
use it before Django is loaded. Secrets are generated once per DATA_DIR (mode 0600) and only when
the embedded database is used: with DATABASE_URL set, a missing SECRET_KEY stops the start.
"""

import os
import secrets
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
LANGUAGES = ("en", "zh-hans")
EMAIL_SCHEMES = {
    "smtp": "django.core.mail.backends.smtp.EmailBackend",
    "smtp+tls": "django.core.mail.backends.smtp.EmailBackend",
    "smtp+ssl": "django.core.mail.backends.smtp.EmailBackend",
    "console": "django.core.mail.backends.console.EmailBackend",
    "file": "django.core.mail.backends.filebased.EmailBackend",
    "memory": "django.core.mail.backends.locmem.EmailBackend",
}
MINIMUM_SECRET_LENGTH = 50
MINIMUM_PASSWORD_LENGTH = 8


class BadEnvironment(ImproperlyConfigured):
    """An environment variable has a value that cannot be used; the text says what is allowed."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The checked environment. `database_url` and `redis_url` are empty when the embedded
    servers are to be used."""

    port: int
    data_dir: Path
    database_url: str
    redis_url: str
    email: dict[str, Any]
    email_is_set: bool
    secret_key: str
    allowed_hosts: list[str]
    base_url: str
    admin_password: str
    language_code: str
    time_zone: str
    metrics_token: str
    worker_soft_shutdown: int
    worker_niceness: int

    @property
    def embedded_database(self) -> bool:
        return not self.database_url

    @property
    def embedded_broker(self) -> bool:
        return not self.redis_url

    @property
    def is_https(self) -> bool:
        return self.base_url.startswith("https://")


def load(values: Mapping[str, str] | None = None) -> Environment:
    """Read and check the environment. Raises BadEnvironment; writes nothing."""
    values = os.environ if values is None else values
    port = _port(values.get("PORT", ""))
    base_url = _base_url(values.get("BASE_URL", ""), port)
    data_dir = _data_dir(values.get("DATA_DIR", ""))
    return Environment(
        port=port,
        data_dir=data_dir,
        database_url=_database_url(values.get("DATABASE_URL", "")),
        redis_url=_redis_url(values.get("REDIS_URL", "")),
        email=_email(values.get("EMAIL_URL", ""), data_dir),
        email_is_set=bool(values.get("EMAIL_URL", "")),
        secret_key=_secret_key(values.get("SECRET_KEY", ""), values.get("DATABASE_URL", "")),
        allowed_hosts=_allowed_hosts(values.get("ALLOWED_HOSTS", ""), base_url),
        base_url=base_url,
        admin_password=_admin_password(values.get("ADMIN_PASSWORD", "")),
        language_code=_language(values.get("LANGUAGE_CODE", "")),
        time_zone=_time_zone(values.get("TIME_ZONE", "")),
        metrics_token=_metrics_token(values.get("METRICS_TOKEN", "")),
        worker_soft_shutdown=_seconds("WORKER_SOFT_SHUTDOWN", values.get("WORKER_SOFT_SHUTDOWN", ""), 30),
        worker_niceness=_niceness(values.get("WORKER_NICENESS", "")),
    )


def prepare_data_dir(path: Path) -> None:
    """Make DATA_DIR when it is missing. An existing folder keeps its permissions."""
    try:
        path.mkdir(mode=0o711, parents=True)
    except FileExistsError:
        pass
    except OSError as problem:
        raise BadEnvironment(
            f"DATA_DIR {path} cannot be made ({problem.strerror}): give a folder this user may write"
        ) from None
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        raise BadEnvironment(f"DATA_DIR {path} must be a folder this user may write")


def generated_secret(data_dir: Path, name: str, length: int) -> str:
    """The secret kept in DATA_DIR/<name>, made once with mode 0600; two processes that start
    together agree on one value."""
    prepare_data_dir(data_dir)
    path = data_dir / name
    kept = _read_secret(path)
    if kept:
        return kept
    draft = data_dir / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(secrets.token_urlsafe(length) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(draft, path)  # fails when another process was first: then its value counts
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return _read_secret(path)


def secret_key(environment: Environment) -> str:
    return environment.secret_key or generated_secret(environment.data_dir, "secret_key", 64)


def admin_password(environment: Environment) -> str:
    return environment.admin_password or generated_secret(environment.data_dir, "admin_password", 12)


def _read_secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError):
        raise BadEnvironment(f"{path} cannot be read: it must be a text file this user may read") from None


def _port(text: str) -> int:
    if not text:
        return 8000
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise BadEnvironment(f"PORT must be a whole number from 1 to 65535, not {_shown(text)}")
    return int(text)


def _data_dir(text: str) -> Path:
    if "\0" in text or "\n" in text:
        raise BadEnvironment("DATA_DIR must be the path of a folder, without line breaks")
    return (Path(text).expanduser() if text else BASE_DIR / ".data").absolute()


def _database_url(text: str) -> str:
    if not text:
        return ""
    allowed = "DATABASE_URL must look like postgresql://user:password@host:5432/name"
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise BadEnvironment(allowed) from None
    if parts.scheme not in {"postgres", "postgresql"}:
        raise BadEnvironment(f"{allowed}; PostgreSQL 18 is the only database that is served")
    if not unquote(parts.path.lstrip("/")):
        raise BadEnvironment(f"{allowed}; the name of the database is missing")
    return text


def _redis_url(text: str) -> str:
    if not text:
        return ""
    allowed = "REDIS_URL must look like redis://host:6379/0, rediss://host:6379/0 or unix:///path/to.sock"
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise BadEnvironment(allowed) from None
    if parts.scheme in {"redis", "rediss"} and parts.hostname:
        if not (parts.path in {"", "/"} or parts.path[1:].isdigit()):
            raise BadEnvironment(f"{allowed}; the part after the last / is the number of the database")
        return text
    if parts.scheme == "unix" and parts.path:
        return text
    raise BadEnvironment(allowed)


def _email(text: str, data_dir: Path) -> dict[str, Any]:
    """EMAIL_URL as Django's EMAIL_* settings; without it, mail is written to DATA_DIR/mail."""
    if not text:
        return {
            "EMAIL_BACKEND": EMAIL_SCHEMES["file"],
            "EMAIL_FILE_PATH": str(data_dir / "mail"),
        }
    allowed = (
        "EMAIL_URL must look like smtp+tls://user:password@host:587/?from=crm@example.com "
        f"with one of the schemes {', '.join(sorted(EMAIL_SCHEMES))}"
    )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadEnvironment(allowed) from None
    if parts.scheme not in EMAIL_SCHEMES:
        raise BadEnvironment(allowed)
    result: dict[str, Any] = {"EMAIL_BACKEND": EMAIL_SCHEMES[parts.scheme]}
    if parts.scheme == "file":
        if not parts.path.strip("/"):
            raise BadEnvironment(f"{allowed}; file: needs a folder, as in file:///var/mail/renxin")
        result["EMAIL_FILE_PATH"] = unquote(parts.path)
    elif parts.scheme.startswith("smtp"):
        if not parts.hostname:
            raise BadEnvironment(f"{allowed}; the host is missing")
        usual_port = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465}[parts.scheme]
        result |= {
            "EMAIL_HOST": parts.hostname,
            "EMAIL_PORT": port or usual_port,
            "EMAIL_HOST_USER": unquote(parts.username or ""),
            "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
            "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
            "EMAIL_USE_SSL": parts.scheme == "smtp+ssl",
        }
    sender = parse_qs(parts.query).get("from", [""])[0]
    if sender:
        if "@" not in sender or any(character in sender for character in "\r\n"):
            raise BadEnvironment(f"{allowed}; from= must be one e-mail address")
        result["DEFAULT_FROM_EMAIL"] = sender
    return result


def _secret_key(text: str, database_url: str) -> str:
    if text:
        if len(text) < MINIMUM_SECRET_LENGTH or len(set(text)) < 5:
            raise BadEnvironment(
                f"SECRET_KEY must have at least {MINIMUM_SECRET_LENGTH} characters, 5 of them different"
            )
        return text
    if database_url:
        raise BadEnvironment(
            "SECRET_KEY must be set when DATABASE_URL is set: a random text of at least "
            f"{MINIMUM_SECRET_LENGTH} characters, the same for every process"
        )
    return ""


def _allowed_hosts(text: str, base_url: str) -> list[str]:
    host = urlsplit(base_url).hostname or ""
    own = f"[{host}]" if ":" in host else host
    if not text:
        return list(dict.fromkeys([own, "localhost", "127.0.0.1", "[::1]"]))
    hosts = [part.strip() for part in text.split(",") if part.strip()]
    for name in hosts:
        if "/" in name or " " in name or (":" in name and not name.startswith("[")):
            raise BadEnvironment(
                "ALLOWED_HOSTS must be host names with commas between them, without scheme and port, "
                f"as in crm.example.com,.example.org; {_shown(name)} is not one"
            )
    return list(dict.fromkeys([*hosts, own]))


def _base_url(text: str, port: int) -> str:
    if not text:
        return f"http://localhost:{port}"
    allowed = "BASE_URL must look like https://crm.example.com, without a path"
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise BadEnvironment(allowed) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise BadEnvironment(allowed)
    if parts.path not in {"", "/"} or parts.query or parts.fragment or text != text.strip():
        raise BadEnvironment(allowed)
    return f"{parts.scheme}://{parts.netloc}"


def _admin_password(text: str) -> str:
    if text and len(text) < MINIMUM_PASSWORD_LENGTH:
        raise BadEnvironment(f"ADMIN_PASSWORD must have at least {MINIMUM_PASSWORD_LENGTH} characters")
    return text


def _language(text: str) -> str:
    if text and text not in LANGUAGES:
        raise BadEnvironment(f"LANGUAGE_CODE must be one of {', '.join(LANGUAGES)}, not {_shown(text)}")
    return text or "en"


def _time_zone(text: str) -> str:
    if not text:
        return "UTC"
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise BadEnvironment(
            f"TIME_ZONE must be an IANA name such as Asia/Shanghai or Europe/Berlin, not {_shown(text)}"
        ) from None
    return text


def _metrics_token(text: str) -> str:
    if text and (len(text) < 16 or not text.isascii() or not text.isprintable()):
        raise BadEnvironment("METRICS_TOKEN must have at least 16 printable ASCII characters")
    return text


def _seconds(name: str, text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= 3600):
        raise BadEnvironment(f"{name} must be a whole number of seconds from 0 to 3600, not {_shown(text)}")
    return int(text)


def _niceness(text: str) -> int:
    if not text:
        return 10
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and int(text) <= 19):
        raise BadEnvironment(f"WORKER_NICENESS must be a whole number from 0 to 19, not {_shown(text)}")
    return int(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
