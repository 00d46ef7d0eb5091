"""The customers of the demo company: sixty people who do not exist, with names that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Customer:
    """One made-up person; an empty `email` means that we have no address of theirs."""

    key: str
    name: str
    language: str
    time_zone: str
    country: str
    email: str
    phone: str = ""

    @property
    def user_id(self) -> str:
        """How the shop's server calls them."""
        return f"demo-{self.key}"

    @property
    def traits(self) -> dict[str, Any]:
        """What the shop's server tells about them."""
        values = {
            "name": self.name,
            "email": self.email,
            "phone": self.phone,
            "language": self.language,
            "timezone": self.time_zone,
            "country": self.country,
        }
        return {name: value for name, value in values.items() if value}


# Pinyin and name: the solar terms and a few teas.
_CHINESE: Final = (
    ("lichun", "立春"), ("yushui", "雨水"), ("jingzhe", "惊蛰"), ("chunfen", "春分"), ("qingming", "清明"),
    ("guyu", "谷雨"), ("lixia", "立夏"), ("xiaoman", "小满"), ("mangzhong", "芒种"), ("xiazhi", "夏至"),
    ("xiaoshu", "小暑"), ("dashu", "大暑"), ("liqiu", "立秋"), ("chushu", "处暑"), ("bailu", "白露"),
    ("qiufen", "秋分"), ("hanlu", "寒露"), ("shuangjiang", "霜降"), ("lidong", "立冬"), ("xiaoxue", "小雪"),
    ("daxue", "大雪"), ("dongzhi", "冬至"), ("xiaohan", "小寒"), ("dahan", "大寒"), ("maofeng", "毛峰"),
    ("puer", "普洱"), ("baihao", "白毫"), ("qihong", "祁红"), ("molihua", "茉莉"), ("jinxuan", "金萱"),
)  # fmt: skip
_ENGLISH: Final = (
    "Daisy", "Wren", "Basil", "Clover", "Sage", "Robin", "Hazel", "Juniper", "Olive", "Rowan",
    "Jasmine", "Heather", "Aster", "Fern", "Ivy", "Linden", "Maple", "Poppy", "Quill", "Reed",
    "Sorrel", "Tansy", "Thistle", "Violet", "Willow", "Yarrow", "Zinnia", "Birch", "Cedar", "Finch",
)  # fmt: skip
_CHINESE_PLACES: Final = (
    ("Asia/Shanghai", "CN"), ("Asia/Shanghai", "CN"), ("Asia/Shanghai", "CN"), ("Asia/Hong_Kong", "HK"),
    ("Asia/Shanghai", "CN"), ("Asia/Singapore", "SG"), ("Asia/Shanghai", "CN"), ("Asia/Urumqi", "CN"),
)  # fmt: skip
_ENGLISH_PLACES: Final = (
    ("Europe/London", "GB"), ("America/New_York", "US"), ("Europe/Berlin", "DE"), ("Australia/Sydney", "AU"),
    ("America/Los_Angeles", "US"), ("Asia/Singapore", "SG"), ("Europe/Dublin", "IE"), ("Asia/Tokyo", "JP"),
)  # fmt: skip
# People who came through WeChat or the counter and never left an e-mail address.
WITHOUT_ADDRESS: Final = frozenset({"dahan", "jinxuan", "birch"})


def _chinese() -> list[Customer]:
    found = []
    for number, (key, name) in enumerate(_CHINESE):
        zone, country = _CHINESE_PLACES[number % len(_CHINESE_PLACES)]
        email = "" if key in WITHOUT_ADDRESS else f"{key}.ceshi@example.org"
        found.append(Customer(key, f"测试·{name}", "zh-hans", zone, country, email))
    return found


def _english() -> list[Customer]:
    found = []
    for number, name in enumerate(_ENGLISH):
        key = name.lower()
        zone, country = _ENGLISH_PLACES[number % len(_ENGLISH_PLACES)]
        # 555-01xx is the range of telephone numbers that films may show.
        phone = f"+1202555{100 + number:04d}" if country == "US" else ""
        email = "" if key in WITHOUT_ADDRESS else f"{key}.demo@example.com"
        found.append(Customer(key, f"Demo {name}", "en", zone, country, email, phone))
    return found


CUSTOMERS: Final[tuple[Customer, ...]] = (*_chinese(), *_english())
BY_KEY: Final[dict[str, Customer]] = {customer.key: customer for customer in CUSTOMERS}


@dataclass(frozen=True, slots=True)
class Colleague:
    """A made-up member of staff. They cannot sign in until an admin gives them a password."""

    username: str
    first_name: str
    last_name: str
    role: str
    language: str
    time_zone: str
    team: str


COLLEAGUES: Final[tuple[Colleague, ...]] = (
    Colleague("demo-mei", "梅", "测试", "agent", "zh-hans", "Asia/Shanghai", "客户成功 Customer success"),
    Colleague("demo-theo", "Theo", "Demo", "agent", "en", "Europe/London", "客户成功 Customer success"),
    Colleague("demo-lan", "兰", "测试", "lead", "zh-hans", "Asia/Shanghai", "产品 Product"),
    Colleague("demo-ada", "Ada", "Demo", "analyst", "en", "Europe/Berlin", "数据 Data"),
)
