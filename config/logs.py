"""One line per event on stderr, `key=value`, with ids and never with people.

CR and LF are escaped, so nobody can write a line of their own. Texts that come from exceptions and
from libraries are stripped of e-mail addresses, long numbers, tokens and query strings, and a
database error loses its DETAIL, because those quote what people typed.
"""

import logging
import re
import sys
import traceback
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

_EMAIL = re.compile(r"[^\s@<>\"'=(]+@[^\s@<>\"',;)]+\.[^\s@<>\"',;)]+")
_NUMBER = re.compile(r"(?<![\w-])\+?\d[\d ()-]{7,}\d(?![\w-])")
_TOKEN = re.compile(r"(?<![\w-])(?=[\w:-]*\d)(?=[\w:-]*[a-zA-Z])[\w:-]{40,}")
_QUERY = re.compile(r"\?[^\s\"']+")
_DETAIL = re.compile(r"\n(?:DETAIL|CONTEXT|LINE \d+|HINT):.*", re.S)
_ESCAPES = str.maketrans({"\r": "\\r", "\n": "\\n", "\x1b": "\\e", "\0": "\\0", "\u2028": "\\u2028"})


def redact(text: str) -> str:
    """A text of unknown origin without what may identify a person or open a door."""
    text = _DETAIL.sub("", text)
    text = _EMAIL.sub("[email]", text)
    text = _QUERY.sub("?[query]", text)
    text = _TOKEN.sub("[token]", text)
    return _NUMBER.sub("[number]", text)


def escape(text: str) -> str:
    return text.translate(_ESCAPES)


def _redact_foreign(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["event"] = redact(str(event.get("event", "")))
    return event


def _exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """exc_info as one line: the class, the redacted text, and where it was, innermost last."""
    given = event.pop("exc_info", None)
    if not given:
        return event
    if given is True:
        given = sys.exc_info()
    error = given if isinstance(given, BaseException) else given[1]
    if error is None:
        return event
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    event["error"] = type(error).__name__
    event["error_text"] = redact(str(error))[:500]
    event["error_at"] = " > ".join(
        f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno}:{frame.name}" for frame in frames
    )
    return event


def _render(_: WrappedLogger, __: str, event: EventDict) -> str:
    time, level = event.pop("timestamp", ""), event.pop("level", "info")
    name, text = event.pop("logger", ""), event.pop("event", "")
    event.pop("_record", None), event.pop("_from_structlog", None)
    pairs = "".join(f" {key}={_value(value)}" for key, value in event.items())
    return f"{time} {level.upper():<7} {name}: {escape(str(text))}{pairs}"


def _value(value: Any) -> str:
    text = escape(str(value))
    return f'"{text}"' if " " in text or not text else text


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=True),
]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": [*_SHARED, structlog.stdlib.ExtraAdder(allow=()), _redact_foreign],
            "processors": [_exception, _render],
        }
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "line"}
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # Django's request and server loggers print paths (they carry tokens): RequestLog says it better.
        "django.request": {"level": "CRITICAL"},
        "django.server": {"level": "CRITICAL"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django_structlog": {"level": "WARNING"},
        "axes": {"level": "ERROR"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
        "py.warnings": {"level": "ERROR"},  # of libraries, to developers: pytest shows them
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
    },
}


def configure() -> None:
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
