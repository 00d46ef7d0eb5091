"""The shipped identity rules, pure Python: what each kind of identifier may do until staff change its row.

One user ID per person for ever, so a shared tablet cannot fuse a family; five of everything else. Values such as
`null`, `guest` or `0` belong to nobody. The numbers are those that the field settled on.
"""

from __future__ import annotations

from dataclasses import dataclass

NOBODY = (
    "null", "nil", "none", "undefined", "nan", "[object object]", "true", "false", "anonymous", "anon", "guest",
    "unknown", "n/a", "na", "userid", "user_id", "not set", "(not set)", "distinct_id",
    "anonymous_id", "email", "phone", "-1", "-", "_", "空", "无", "匿名", "游客", "未知",
)  # fmt: skip
ZEROS = r"[0\-]*"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one kind of identifier may do. `priority` 1 is the strongest."""

    kind: str
    priority: int
    limit: int
    blocked_values: tuple[str, ...] = NOBODY
    blocked_patterns: tuple[str, ...] = (ZEROS,)
    names_person: bool = True


DEFAULTS = (
    Rule("user_id", 1, 1),
    Rule("email", 2, 5),
    Rule("phone", 3, 5),
    Rule("wechat_unionid", 4, 1),
    Rule("wechat_openid", 5, 5),
    Rule("anonymous_id", 100, 100, names_person=False),
)
# External identifiers of any other kind.
OTHER = Rule("*", 50, 5)

# Warnings by which the rules speak when they refuse something.
BY_IDENTIFIER = ("illegal_identifier", "identity_limit", "merge_not_allowed")
# Domains whose addresses say nothing about where somebody works.
FREE_MAIL = (
    "gmail.com", "googlemail.com", "qq.com", "foxmail.com", "163.com", "126.com", "yeah.net", "sina.com",
    "sina.cn", "sohu.com", "139.com", "189.cn", "aliyun.com", "outlook.com", "hotmail.com", "live.com",
    "msn.com", "yahoo.com", "yahoo.cn", "yahoo.co.jp", "icloud.com", "me.com", "mac.com", "aol.com",
    "proton.me", "protonmail.com", "gmx.de", "gmx.net", "web.de", "mail.ru", "yandex.ru", "naver.com",
    "daum.net", "zoho.com", "tom.com", "21cn.com", "vip.qq.com", "vip.163.com", "wo.cn",
)  # fmt: skip
