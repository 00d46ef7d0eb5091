"""A bad value stops the start with one line that says what is allowed."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config import environment
from tests.servers import BASE_DIR, clean_environment

KEY = "k3y-for-tests-" * 5
URL = "postgresql://renxin:secret@db:5432/renxin"


def test_defaults_need_nothing() -> None:
    values = environment.load({})
    assert values.port == 8000
    assert values.base_url == "http://localhost:8000"
    assert values.data_dir == BASE_DIR / ".data"
    assert values.embedded_database and values.embedded_broker
    assert values.allowed_hosts == ["localhost", "127.0.0.1", "[::1]"]
    assert (values.language_code, values.time_zone) == ("en", "UTC")
    assert values.email["EMAIL_BACKEND"].endswith("filebased.EmailBackend")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "0", "from 1 to 65535"),
        ("PORT", "65536", "from 1 to 65535"),
        ("PORT", "80x", "from 1 to 65535"),
        ("PORT", "８０００", "from 1 to 65535"),
        ("PORT", "-1", "from 1 to 65535"),
        ("DATABASE_URL", "mysql://root@db/renxin", "PostgreSQL 18"),
        ("DATABASE_URL", "postgresql://db", "name of the database is missing"),
        ("DATABASE_URL", "postgresql://db:port/renxin", "postgresql://user:password@host:5432/name"),
        ("REDIS_URL", "http://redis:6379", "redis://host:6379/0"),
        ("REDIS_URL", "redis://redis/first", "number of the database"),
        ("REDIS_URL", "redis://redis:port/0", "redis://host:6379/0"),
        ("EMAIL_URL", "sendmail://localhost", "smtp+tls"),
        ("EMAIL_URL", "smtp:///", "the host is missing"),
        ("EMAIL_URL", "smtp://mail/?from=nobody", "one e-mail address"),
        ("SECRET_KEY", "short", "at least 50 characters"),
        ("SECRET_KEY", "a" * 80, "5 of them different"),
        ("ALLOWED_HOSTS", "https://crm.example.com", "without scheme and port"),
        ("ALLOWED_HOSTS", "crm.example.com:8000", "without scheme and port"),
        ("BASE_URL", "crm.example.com", "https://crm.example.com"),
        ("BASE_URL", "https://crm.example.com/crm", "without a path"),
        ("BASE_URL", "ftp://crm.example.com", "https://crm.example.com"),
        ("ADMIN_PASSWORD", "short", "at least 8 characters"),
        ("LANGUAGE_CODE", "de", "en, zh-hans"),
        ("TIME_ZONE", "Mars/Olympus", "Asia/Shanghai"),
        ("TIME_ZONE", "../../etc/passwd", "Asia/Shanghai"),
        ("METRICS_TOKEN", "short", "at least 16"),
        ("WORKER_SOFT_SHUTDOWN", "soon", "from 0 to 3600"),
        ("WORKER_NICENESS", "-5", "from 0 to 19"),
        ("WORKER_NICENESS", "20", "from 0 to 19"),
        ("DATA_DIR", "a\nb", "without line breaks"),
    ],
)
def test_a_bad_value_says_what_is_allowed(name: str, value: str, said: str) -> None:
    with pytest.raises(environment.BadEnvironment) as refused:
        environment.load({name: value})
    assert said in str(refused.value)
    assert str(refused.value).startswith(name)
    assert "\n" not in str(refused.value)


def test_an_own_database_needs_an_own_secret_key() -> None:
    with pytest.raises(environment.BadEnvironment, match="SECRET_KEY must be set when DATABASE_URL is set"):
        environment.load({"DATABASE_URL": URL})
    assert environment.load({"DATABASE_URL": URL, "SECRET_KEY": KEY}).secret_key == KEY


def test_the_host_of_base_url_is_always_allowed() -> None:
    values = environment.load({"BASE_URL": "https://crm.example.com/", "ALLOWED_HOSTS": ".example.org"})
    assert values.allowed_hosts == [".example.org", "crm.example.com"]
    assert values.base_url == "https://crm.example.com"
    assert values.is_https


def test_email_url_is_read_whole() -> None:
    email = environment.load(
        {"EMAIL_URL": "smtp+tls://us%40er:p%2Fw@mail.example.com/?from=a@b.example"}
    ).email
    assert email == {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": "mail.example.com",
        "EMAIL_PORT": 587,
        "EMAIL_HOST_USER": "us@er",
        "EMAIL_HOST_PASSWORD": "p/w",
        "EMAIL_USE_TLS": True,
        "EMAIL_USE_SSL": False,
        "DEFAULT_FROM_EMAIL": "a@b.example",
    }


def test_a_generated_secret_is_kept_and_private(tmp_path: Path) -> None:
    first = environment.generated_secret(tmp_path / "data", "secret_key", 64)
    assert len(first) >= environment.MINIMUM_SECRET_LENGTH
    assert environment.generated_secret(tmp_path / "data", "secret_key", 64) == first
    assert stat.S_IMODE((tmp_path / "data" / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret_key"]


@pytest.mark.parametrize("command", ["up", "check"])
def test_commands_end_in_one_line(tmp_path: Path, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=BASE_DIR,
        env=clean_environment(tmp_path / "data", 8000, TIME_ZONE="Mars/Olympus"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "manage.py: TIME_ZONE must be an IANA name such as Asia/Shanghai or Europe/Berlin, "
        "not 'Mars/Olympus'\n"
    )
    assert not (tmp_path / "data").exists()


def test_without_a_database_the_line_says_how_to_start_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "showmigrations"],
        cwd=BASE_DIR,
        env=clean_environment(tmp_path / "data", 8000),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"manage.py: no database is running on {tmp_path / 'data'}: "
        "start it with `make up`, or set DATABASE_URL\n"
    )


def test_commands_without_a_database_still_work(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=BASE_DIR,
        env=clean_environment(tmp_path / "data", 8000),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "System check identified no issues (0 silenced).\n")


def test_production_settings_pass_the_deployment_checks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=BASE_DIR,
        env=clean_environment(
            tmp_path / "data",
            8000,
            DATABASE_URL=URL,
            REDIS_URL="redis://redis:6379/0",
            SECRET_KEY="a-secret-only-of-this-test-0123456789-abcdefghijklmnop",
            BASE_URL="https://crm.example.com",
        ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "System check identified no issues (0 silenced).\n"), (
        done.stderr
    )


def test_data_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(environment.BadEnvironment, match="DATA_DIR"):
        environment.prepare_data_dir(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_data_dir_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(environment.BadEnvironment, match="DATA_DIR"):
        environment.prepare_data_dir(tmp_path / "locked" / "data")
