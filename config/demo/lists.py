"""An old list of the demo company: fans of its official account of 2023, brought in by a colleague last week."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Final

from config.demo.state import Company
from crm.services import import_work, imports
from crm.states import ImportKind

FAMILIES: Final = "王李张刘陈杨赵黄周吴"
GIVEN: Final = ("小茶", "雨前", "龙井", "采薇", "观音", "毛峰", "银针", "云雾", "碧螺", "普洱")
PROVINCES: Final = ("浙江", "江苏", "福建", "安徽", "云南")
ROWS: Final = 240


def sheet() -> bytes:
    """Some two hundred fictional people, with the faults that such lists have, in GB18030."""
    chance = random.Random(11)
    lines = ["姓名,手机号,邮箱,生日,省份,上次购买,同意营销"]
    for number in range(ROWS):
        name = chance.choice(FAMILIES) + chance.choice(GIVEN)
        mobile = f"1380000{number:04d}" if number % 60 else "1.38E+10"
        email = f"fan{number}@fans.example" if number % 3 else ""
        said = "是" if number % 5 in (1, 2) else "否" if number % 5 == 3 else ""
        lines.append(
            f"{name},{mobile},{email},19{70 + number % 30}-0{number % 9 + 1}-15,{chance.choice(PROVINCES)},"
            f"2023-{number % 12 + 1:02d}-08,{said}"
        )
    lines += ["陈无名,,,,,,", "赵空,null,坏地址,,,,"]
    return "\r\n".join(lines).encode("gb18030")


def bring(company: Company) -> None:
    """The whole way of a list: upload, columns, source and consent, dry run, run."""
    lan, at = company.colleague("demo-lan"), company.now - timedelta(days=6)
    run = imports.upload("公众号粉丝-2023.csv", [sheet()], kind=ImportKind.CONTACTS, actor=lan, now=at)
    imports.set_mapping(run.pk, mapping=run.mapping, actor=lan, now=at)
    imports.describe(
        run.pk, source="Official account 2023 公众号粉丝 2023", tie_strength="weak",
        consent={
            "given": True, "agreed_on": "2023-05-04", "claims": [],
            "evidence": "Column 同意营销 of the account's own export; wording kept in folder 12",
        },
        options={"static_list": "Dormant fans 2023 沉睡粉丝"}, actor=lan, now=at,
    )  # fmt: skip
    imports.check(run.pk, actor=lan, now=at)
    while import_work.work(run.pk, now=at):
        pass
    imports.start(run.pk, actor=lan, now=at)
    while import_work.work(run.pk, now=at):
        pass
