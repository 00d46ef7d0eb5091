"""What a column of a list may become, and guesses from its header and content, in English and Chinese."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.kernel.errors import Invalid
from crm.states import Channel, ImportKind, Purpose

TYPES = ("text", "number", "date", "boolean")
# Names of traits that mean something else to the door.
RESERVED = frozenset(
    (
        "name", "displayName", "display_name", "firstName", "first_name", "given_name", "lastName", "last_name",
        "family_name", "language", "locale", "timezone", "timeZone", "time_zone", "birthday", "birthday_is_lunar",
        "birthdayIsLunar", "country", "region", "email", "phone", "address", "tie_strength",
    )
)  # fmt: skip
DATE_ORDERS = ("", "dmy", "mdy")
_KEY = re.compile(r"[^\W\d][\w .:/()（）%-]{0,79}")
_ID_KIND = re.compile(r"[a-z][a-z0-9_.-]{0,39}")

IDENTIFIERS: dict[str, Any] = {
    "user_id": gettext_lazy("User ID"),
    "email": gettext_lazy("E-mail"),
    "phone": gettext_lazy("Phone"),
    "wechat_unionid": gettext_lazy("WeChat union ID"),
    "wechat_openid": gettext_lazy("WeChat open ID"),
}
TYPED: dict[str, Any] = {
    "display_name": gettext_lazy("Name"),
    "family_name": gettext_lazy("Family name"),
    "given_name": gettext_lazy("Given name"),
    "language": gettext_lazy("Language"),
    "time_zone": gettext_lazy("Time zone"),
    "birthday": gettext_lazy("Birthday"),
    "country": gettext_lazy("Country"),
    "region": gettext_lazy("Region"),
}
EVENT_PARTS: dict[str, Any] = {
    "kind": gettext_lazy("Kind of event"),
    "occurred_at": gettext_lazy("Time of the event"),
    "message_id": gettext_lazy("Event ID"),
    "channel": gettext_lazy("Channel"),
}
# Header words, folded, without spaces, underscores and hyphens.
_WORDS: dict[str, tuple[str, ...]] = {
    "user_id": ("userid", "uid", "customerid", "memberid", "memberno", "customerno", "accountid", "用户id", "用户编号",
                "会员id", "会员号", "会员编号", "会员卡号", "客户编号", "客户id", "账号", "用户标识"),
    "email": ("email", "emailaddress", "mail", "eaddress", "邮箱", "电子邮箱", "电子邮件", "邮件",
              "邮箱地址", "邮件地址"),
    "phone": ("phone", "phonenumber", "mobile", "mobilephone", "mobilenumber", "cell", "cellphone", "tel", "telephone",
              "手机", "手机号", "手机号码", "电话", "电话号码", "联系电话", "联系方式", "移动电话"),
    "wechat_unionid": ("unionid", "wechatunionid", "微信unionid"),
    "wechat_openid": ("openid", "wechatopenid", "微信openid"),
    "display_name": ("name", "fullname", "displayname", "customername", "contactname", "nickname", "姓名", "名字",
                     "名称", "客户姓名", "会员姓名", "联系人", "昵称", "微信昵称", "用户名称", "客户名称"),
    "family_name": ("lastname", "surname", "familyname", "姓", "姓氏"),
    "given_name": ("firstname", "givenname", "forename", "名"),
    "language": ("language", "lang", "locale", "语言"),
    "time_zone": ("timezone", "tz", "时区"),
    "birthday": ("birthday", "birthdate", "dateofbirth", "dob", "生日", "出生日期", "出生年月日"),
    "country": ("country", "countrycode", "国家", "国家代码"),
    "region": ("region", "province", "state", "省份", "省", "所在省", "地区", "省市", "所属地区"),
    "kind": ("event", "eventname", "kind", "eventtype", "事件", "事件名", "事件名称", "事件类型", "类型"),
    "occurred_at": ("occurredat", "timestamp", "time", "eventtime", "date", "datetime", "createdat", "orderdate",
                    "ordertime", "时间", "事件时间", "发生时间", "日期", "下单时间", "创建时间"),
    "message_id": ("messageid", "eventid", "orderid", "orderno", "ordernumber", "事件id", "消息id", "订单号",
                   "订单编号"),
    "channel": ("channel", "渠道"),
    "consent": ("consent", "optin", "optedin", "subscribed", "marketingconsent", "emailconsent", "acceptsmarketing",
                "是否同意", "同意", "营销同意", "授权", "是否授权", "同意营销", "订阅", "是否订阅", "营销授权"),
    "skip": ("no", "id", "index", "rownum", "序号", "编号"),
}  # fmt: skip
_BY_WORD = {word: target for target, words in _WORDS.items() for word in words}
_PATTERNS = (
    ("email", re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")),
    ("phone", re.compile(r"(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}|\+\d[\d -]{6,16}")),
    ("wechat_openid", re.compile(r"o[A-Za-z0-9_-]{27}")),
    ("birthday", re.compile(r"(?:19|20)\d\d[-/.年]\d{1,2}[-/.月]\d{1,2}日?")),
)


@dataclass(slots=True)
class Column:
    """How one column is read. `target` is `skip`, an identifier, `id:<kind>`, a typed field, `trait:<key>`,
    `consent:<purpose>:<channel>`, or for events a part, or `property:<key>`."""

    index: int
    header: str
    target: str = "skip"
    type: str = "text"
    order: str = ""
    guessed: bool = False


def fingerprint(headers: Sequence[str]) -> str:
    """The same for lists with the same headers in the same order, whatever their case and spaces."""
    return hashlib.sha256("\x1f".join(_fold(header) for header in headers).encode()).hexdigest()


def guess(headers: Sequence[str], sample: Sequence[Sequence[str]], *, kind: str) -> list[Column]:
    """A first mapping: by the words of the header, then by what the cells look like; the rest become traits."""
    events = kind == ImportKind.EVENTS
    taken: set[str] = set()
    columns = [Column(place, header) for place, header in enumerate(headers)]
    for column in columns:
        target = _BY_WORD.get(_fold(column.header), "")
        if target in EVENT_PARTS and not events:
            target = ""
        if target in TYPED and events:
            target = ""
        if target == "consent":
            target = (
                "" if events else f"consent:{Purpose.MARKETING}:{_consent_channel(column.header, headers)}"
            )
        if target and target not in taken:
            column.target, column.guessed = target, True
            taken.add(target)
    for column in columns:
        if column.guessed:
            continue
        cells = [
            row[column.index].strip()
            for row in sample
            if column.index < len(row) and row[column.index].strip()
        ]
        for target, pattern in _PATTERNS:
            if target in taken or (target == "birthday" and (events or not _about_birth(column.header))):
                continue
            if cells and sum(pattern.fullmatch(cell) is not None for cell in cells) >= 0.8 * len(cells):
                column.target, column.guessed = target, True
                taken.add(target)
                break
        else:
            key = re.sub(r"[^\w .:/()（）%-]", " ", column.header).strip()[:80]
            prefix = "property" if events else "trait"
            if key in RESERVED and not events:
                key = f"{key} (2)"
            if _KEY.fullmatch(key) and cells:
                column.target, column.type = f"{prefix}:{key}", _type_of(cells)
    return columns


def _about_birth(header: str) -> bool:
    return any(word in _fold(header) for word in ("birth", "生日", "出生"))


def _consent_channel(header: str, headers: Sequence[str]) -> str:
    folded = _fold(header)
    if "sms" in folded or "短信" in folded:
        return str(Channel.SMS)
    if "mail" in folded or "邮" in folded:
        return str(Channel.EMAIL)
    targets = {_BY_WORD.get(_fold(other)) for other in headers}
    return str(Channel.EMAIL if "email" in targets else Channel.SMS)


def _type_of(cells: Sequence[str]) -> str:
    if all(re.fullmatch(r"-?(0|[1-9]\d{0,14})(\.\d+)?", cell) for cell in cells):
        return "number"
    if all(re.fullmatch(r"(?:19|20)\d\d[-/.年]\d{1,2}[-/.月]\d{1,2}日?", cell) for cell in cells):
        return "date"
    if all(cell.casefold() in ("yes", "no", "true", "false", "是", "否") for cell in cells):
        return "boolean"
    return "text"


def _fold(header: str) -> str:
    return re.sub(r"[\s_\-*:：()（）/.]+", "", header.casefold())


def read(given: Any, headers: Sequence[str], *, kind: str) -> list[Column]:
    """A mapping as it was sent, checked. Raises Invalid `invalid_mapping`, naming the column."""
    if not isinstance(given, list) or len(given) > len(headers):
        raise _wrong("", _("A mapping is a list with one entry per column."))
    columns = [Column(place, header) for place, header in enumerate(headers)]
    taken: dict[str, str] = {}
    for entry in given:
        if not isinstance(entry, dict) or not isinstance(entry.get("index"), int):
            raise _wrong("", _("Each entry of a mapping names its column by index."))
        if unknown := set(entry) - {"index", "header", "target", "type", "order", "guessed"}:
            raise _wrong(sorted(unknown)[0], _("Unknown field of a mapping."))
        if not 0 <= entry["index"] < len(columns):
            raise _wrong(str(entry["index"]), _("There is no such column."))
        column = columns[entry["index"]]
        target = str(entry.get("target", "skip"))
        check_target(target, kind=kind, header=column.header)
        column.target, column.type = target, str(entry.get("type") or "text")
        column.order, column.guessed = str(entry.get("order") or ""), bool(entry.get("guessed", False))
        if column.type not in TYPES:
            raise _wrong(column.header, _("There is no such type."), allowed=list(TYPES))
        if column.order not in DATE_ORDERS:
            raise _wrong(column.header, _("There is no such order of dates."), allowed=list(DATE_ORDERS))
        if target not in ("skip", "email", "phone") and target in taken:
            raise _wrong(column.header, _("Two columns are read as the same thing: “%(first)s” and “%(second)s”.") % {
                "first": taken[target], "second": column.header})  # fmt: skip
        taken[target] = column.header
    return columns


def check_target(target: str, *, kind: str, header: str) -> None:
    """Raises Invalid when there is no such target for this kind of list."""
    if target == "skip" or target in IDENTIFIERS:
        return
    head, _colon, rest = target.partition(":")
    if head == "id" and _ID_KIND.fullmatch(rest) and rest not in IDENTIFIERS and rest != "anonymous_id":
        return
    if kind == ImportKind.EVENTS:
        if target in EVENT_PARTS or (head == "property" and _KEY.fullmatch(rest)):
            return
    elif target in TYPED or (head == "trait" and _KEY.fullmatch(rest) and rest not in RESERVED):
        return
    elif head == "consent":
        purpose, _colon, channel = rest.partition(":")
        if purpose in Purpose.values and channel in Channel.values:
            return
    raise _wrong(
        header, _("A column cannot be read as “%(target)s”.") % {"target": target[:80]}, allowed=targets(kind)
    )


def targets(kind: str) -> list[str]:
    """Everything a column may be read as; `…` stands for a name to choose."""
    if kind == ImportKind.EVENTS:
        return ["skip", *IDENTIFIERS, "id:…", *EVENT_PARTS, "property:…"]
    return ["skip", *IDENTIFIERS, "id:…", *TYPED, "trait:…",
            *(f"consent:{purpose}:{channel}" for purpose in Purpose.values for channel in Channel.values)]  # fmt: skip


def require(columns: Sequence[Column], *, kind: str) -> None:
    """Raises Invalid `no_identifier_column` or `missing_column` when a list so read says nothing of anybody."""
    found = {column.target for column in columns}
    if not any(target in IDENTIFIERS or target.startswith("id:") for target in found):
        raise Invalid(
            _("No column identifies people: choose at least an ID, an e-mail or a phone column."),
            code="no_identifier_column", field="mapping", allowed=[*IDENTIFIERS, "id:…"],
        )  # fmt: skip
    for part in ("kind", "occurred_at") if kind == ImportKind.EVENTS else ():
        if part not in found:
            raise Invalid(
                _("Events need a column for the kind and one for the time."), code="missing_column",
                field="mapping", allowed=["kind", "occurred_at"],
            )  # fmt: skip


def plain(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """As it is stored and sent."""
    return [asdict(column) for column in columns]


def load(stored: Sequence[dict[str, Any]]) -> list[Column]:
    """As it was stored."""
    return [Column(**entry) for entry in stored]


def digest(sha256: str, columns: Sequence[Column], *, kind: str) -> str:
    """What makes two imports the same: the file and what its columns mean."""
    meaning = [(column.index, column.target, column.type, column.order) for column in columns]
    return hashlib.sha256(json.dumps([sha256, kind, meaning]).encode()).hexdigest()


def label(target: str) -> str:
    """What staff read for a target."""
    head, _colon, rest = target.partition(":")
    if target == "skip":
        return _("Leave out")
    if head in ("trait", "property", "id") and rest:
        return rest
    if head == "consent" and rest:
        purpose, _colon, channel = rest.partition(":")
        return _("Consent: %(purpose)s by %(channel)s") % {
            "purpose": Purpose(purpose).label, "channel": Channel(channel).label,
        }  # fmt: skip
    return str(IDENTIFIERS.get(target) or TYPED.get(target) or EVENT_PARTS.get(target) or target)


def _wrong(column: str, text: str, *, allowed: Any = None) -> Invalid:
    return Invalid(
        f"{column}: {text}" if column else text, code="invalid_mapping", field="mapping", allowed=allowed
    )
