"""Staff's own texts: checked when saved, so that nothing breaks when they are sent.

A template may use the variables of its kind and nothing else; a variable or a member that does not exist is
refused by name. `lint` only advises: a message should sound like a person, and care sells nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Invalid, NotFound
from crm.states import Language, MessageClass
from lifecycle import registry
from lifecycle.models import MessageTemplate
from lifecycle.registry import MessageKind, Template
from lifecycle.services import rendering

MAX_BODY = 20_000
LANGUAGES = (Language.ENGLISH.value, Language.CHINESE.value)

# Phrases that no person would say to another; each with its language.
COLD_PHRASES = (
    "dear customer", "dear user", "valued customer", "do not reply", "this is an automated", "hereby",
    "尊敬的用户", "尊敬的客户", "亲爱的用户", "请勿回复", "系统自动发送", "本邮件由系统", "特此通知",
)  # fmt: skip
SELLING_PHRASES = (
    "coupon", "discount", "% off", "buy now", "order now", "sale", "优惠", "折扣", "立减", "抢购", "下单", "促销",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Preview:
    """A template rendered with its samples, and what `lint` has to say about it."""

    subject: str
    body: str
    advice: tuple[str, ...]


def save(
    kind: str, *, language: str, subject: str, body: str, actor: Actor, now: datetime
) -> MessageTemplate:
    """Put a text in place of the built-in one. Raises NotFound (kind), Invalid (syntax, unknown variable…)."""
    found = registry.get(kind)
    check(found, language=language, subject=subject, body=body)
    with transaction.atomic():
        row, _created = MessageTemplate.objects.update_or_create(
            kind=kind,
            language=language,
            defaults={"subject": subject, "body": body, "updated_at": now, "updated_by": str(actor)},
        )
        actionlog.write(actor, "lifecycle.template.saved", row, fields=("subject", "body"), now=now)
    rendering.forget()
    return row


def reset(kind: str, *, language: str, actor: Actor, now: datetime) -> None:
    """Back to the built-in text. Raises NotFound when there is no text of staff's own."""
    with transaction.atomic():
        row = MessageTemplate.objects.filter(kind=kind, language=language).first()
        if row is None:
            raise NotFound(_("The built-in text is in force already."), code="no_such_template")
        actionlog.write(actor, "lifecycle.template.reset", row, now=now)
        row.delete()
    rendering.forget()


def check(kind: MessageKind, *, language: str, subject: str, body: str) -> Preview:
    """What staff would see. Raises Invalid that names what is wrong and what is allowed; writes nothing."""
    if language not in LANGUAGES:
        raise Invalid(
            _("A template is in one of these languages: %(allowed)s.") % {"allowed": ", ".join(LANGUAGES)},
            code="invalid_language",
            field="language",
            allowed=list(LANGUAGES),
        )
    if any(character in subject for character in "\r\n\u2028\u2029\x85"):
        raise Invalid(
            _("A subject is one line: line breaks are not allowed."),
            code="invalid_character",
            field="subject",
        )
    if not subject.strip() or len(subject) > rendering.MAX_SUBJECT:
        raise Invalid(
            _("A subject has 1 to %(n)d characters.") % {"n": rendering.MAX_SUBJECT},
            code="invalid_length",
            field="subject",
        )
    if not body.strip() or len(body) > MAX_BODY:
        raise Invalid(
            _("A text has 1 to %(n)d characters.") % {"n": MAX_BODY}, code="invalid_length", field="body"
        )
    sample = sample_context(kind) | {"reader": {"language": language, "time_zone": "UTC"}}
    rendered = {
        name: _check_source(source, sample, field=name)
        for name, source in (("subject", subject), ("body", body))
    }
    return Preview(
        rendering.one_line(rendered["subject"]),
        rendered["body"].strip() + "\n",
        lint(kind, subject=subject, body=body),
    )


def preview(kind: MessageKind, *, language: str) -> Preview:
    """The text in force in a language, rendered with the samples. Raises NotFound when there is none."""
    template, _own = rendering.effective(kind, language)
    if template is None:
        raise NotFound(_("There is no template in this language."), code="no_such_template")
    return check(kind, language=language, subject=template.subject, body=template.body)


def sample_context(kind: MessageKind) -> dict[str, Any]:
    """Everything a template of this kind may use, with sample values."""
    return {**registry.COMMON, **kind.variables}


def variable_names(kind: MessageKind) -> list[str]:
    """Dotted names of everything a template of this kind may use; `[]` stands for each item of a list."""
    return sorted(_names(sample_context(kind)))


def lint(kind: MessageKind, *, subject: str, body: str) -> tuple[str, ...]:
    """Advice on tone. Never refuses: staff know their people."""
    advice = []
    text = f"{subject}\n{body}".lower()
    for phrase in COLD_PHRASES:
        if phrase in text:
            advice.append(
                _("“%(phrase)s” sounds like a machine. Speak as one person to another.") % {"phrase": phrase}
            )
    if re.search(r"[!！]{2,}", text):
        advice.append(_("More than one exclamation mark in a row reads as shouting."))
    if re.search(r"\b[A-Z]{5,}\b", f"{subject}\n{body}"):
        advice.append(_("Words in capitals read as shouting."))
    if kind.message_class == MessageClass.CARE:
        sold = [phrase for phrase in SELLING_PHRASES if phrase in text]
        if sold:
            advice.append(_("A message of care sells nothing: “%(phrase)s”.") % {"phrase": sold[0]})
    return tuple(advice)


def built_in_faults(kinds: Iterable[MessageKind]) -> list[str]:
    """What is wrong with the built-in texts themselves; read by a system check."""
    faults = []
    for kind in kinds:
        for language, template in kind.templates.items():
            try:
                check(kind, language=language, subject=template.subject, body=template.body)
            except Invalid as error:
                faults.append(f"{kind.code} ({language}): {error.message}")
    return faults


def template_of(kind: MessageKind, language: str) -> tuple[Template | None, bool]:
    """The text in force, and whether staff wrote it."""
    return rendering.effective(kind, language)


def _check_source(source: str, sample: Mapping[str, Any], *, field: str) -> str:
    from liquid.exceptions import LiquidError, UndefinedError

    try:
        template = rendering.parse(source)
        for variables in template.analyze().globals.values():
            for variable in variables:
                _walk(list(variable.segments), sample, field=field)
        return template.render(sample)
    except UndefinedError as error:
        raise _unknown(str(error.message), sample, field=field) from None
    except (LiquidError, ValueError, TypeError) as error:
        # liquid's messages speak of the template alone, and of the line
        raise Invalid(
            _("This template cannot be read: %(problem)s") % {"problem": str(error).splitlines()[0]},
            code="invalid_template",
            field=field,
        ) from None


def _walk(segments: list[Any], sample: Any, *, field: str) -> None:
    """Follow a path such as person.name through the samples, also where a condition hides it from rendering."""
    value: Any = sample
    seen: list[str] = []
    for segment in segments:
        seen.append(str(segment))
        if isinstance(segment, list):
            return  # a computed name: rendering will tell
        if isinstance(value, Mapping) and segment in value:
            value = value[segment]
        elif isinstance(value, (list, tuple)) and (
            isinstance(segment, int) or segment in ("first", "last", "size")
        ):
            value = len(value) if segment == "size" else (value[0] if value else "")
        elif isinstance(value, (str, Mapping)) and segment == "size":
            value = len(value)
        else:
            raise _unknown(".".join(seen), sample, field=field)


def _unknown(name: str, sample: Mapping[str, Any], *, field: str) -> Invalid:
    allowed = sorted(_names({key: value for key, value in sample.items() if key != "reader"}))
    return Invalid(
        _("Unknown variable: %(name)s. Allowed: %(allowed)s.")
        % {"name": name, "allowed": ", ".join(allowed)},
        code="unknown_variable",
        field=field,
        allowed=allowed,
    )


def _names(value: Any, prefix: str = "") -> Iterable[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _names(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, (list, tuple)) and value:
        yield from _names(value[0], f"{prefix}[]")
    else:
        yield prefix
