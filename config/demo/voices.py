"""What the customers of the demo company said, and what became of it: tickets, releases, points, consent.

Times are days before the demo is loaded; a ticket's clock starts with its first voice.
"""

# ruff: noqa: E501 (what people say is easier to read in one piece)

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Voice:
    """One piece of feedback; without `who` nobody knows whose. With `may_name` they may be thanked in public."""

    who: str
    days: float
    channel: str
    text: str
    may_name: bool = False
    credit_name: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """A step by hand, by the colleague who looks after the ticket."""

    days: float
    to: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A ticket: the first voice opens it, the others are attached, further people vote or ask."""

    key: str
    title: str
    kind: str
    voices: tuple[Voice, ...]
    description: str = ""
    severity: str = "normal"
    theme: str = ""
    owner: str = ""
    voted: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    moves: tuple[Move, ...] = ()
    merge_into: str = ""
    merge_days: float = 0


@dataclass(frozen=True, slots=True)
class Shipment:
    """A release; without `shipped` it stays a draft. `items` are (case, note for the changelog)."""

    key: str
    title: str
    notes: str
    items: tuple[tuple[str, str], ...]
    drafted: float
    shipped: float = 0
    withdrawn: float = 0
    reason: str = ""


CASES: Final[tuple[Case, ...]] = (
    Case(
        "gift-note",
        "Checkout on phones loses the gift note 手机下单时礼品留言丢失",
        "bug",
        (
            Voice(
                "daisy",
                33,
                "portal",
                "I wrote a gift note for my mother, went back to change the tin, and the note "
                "was gone. The parcel arrived without a word from me.",
                may_name=True,
                credit_name="Demo Daisy",
            ),
            Voice(
                "xiaoman",
                32,
                "chat",
                "送礼下单写了留言，改了一下茶罐规格，留言就没了，朋友收到的时候一个字都没有。",
                may_name=True,
            ),
            Voice(
                "rowan",
                31,
                "email",
                "Gift note disappears on my phone when I go one step back in the checkout.",
            ),
        ),
        description="Going back from payment clears the note field on small screens. 返回上一步会清空留言。",
        severity="high",
        theme="checkout",
        owner="demo-theo",
        voted=("wren", "basil", "clover", "qingming", "guyu", "lixia", "sage", "dahan"),
        asked=("mangzhong", "hazel", "juniper"),
        moves=(Move(31, "planned"), Move(30, "in_progress", "Found: the form forgets its state on phones.")),
    ),
    Case(
        "tracking",
        "物流信息三天不更新 Tracking shows nothing for days",
        "complaint",
        (
            Voice(
                "jingzhe",
                34,
                "hotline",
                "下单三天了，物流一直显示“已揽收”，打电话才知道其实已经到本市了。",
                reference="call 1042",
            ),
            Voice(
                "linden",
                33,
                "review",
                "The tea is lovely. Not knowing for four days where it is, is not.",
                reference="review LT-301-17",
            ),
            Voice(
                "hanlu",
                32,
                "portal",
                "物流能不能实时更新一下？每次都要去问客服，客服也查不到。",
                may_name=True,
            ),
            Voice(
                "aster",
                32,
                "api",
                "Tracking page says 'picked up' for three days and then the parcel is at my door.",
            ),
        ),
        severity="high",
        theme="delivery",
        owner="demo-mei",
        voted=("bailu", "qiufen", "heather", "fern", "ivy", "lidong", "xiaoxue", "jinxuan"),
        asked=("maple", "poppy", "dashu", "olive", "quill"),
        moves=(Move(32, "in_progress"),),
    ),
    Case(
        "tasting-card",
        "每罐茶附中英双语品鉴卡 A tasting card in two languages in every tin",
        "request",
        (
            Voice(
                "guyu",
                33,
                "community",
                "送给外国朋友的茶，他们看不懂包装上的说明，能不能附一张中英双语的冲泡和品鉴卡？",
                may_name=True,
            ),
            Voice(
                "juniper",
                32,
                "portal",
                "My tins come with a beautiful card I cannot read. English on the back would "
                "be enough: water, time, what to taste.",
                may_name=True,
                credit_name="Juniper (demo)",
            ),
        ),
        theme="packaging",
        owner="demo-lan",
        voted=("reed", "sorrel", "tansy", "daxue", "dongzhi", "molihua", "thistle", "birch"),
        asked=("violet", "xiaohan", "baihao"),
        moves=(Move(31, "planned"),),
    ),
    Case(
        "coupon",
        "小程序里优惠券用不了 Coupons are refused in the mini program",
        "bug",
        (
            Voice(
                "xiazhi",
                12,
                "chat",
                "领了优惠券，付款的时候提示“不可用”，换了两台手机都一样。",
                may_name=True,
            ),
            Voice("liqiu", 11.5, "chat", "小程序里的优惠券点了没反应，最后原价买的，有点失望。"),
        ),
        severity="high",
        theme="checkout",
        owner="demo-mei",
        voted=("chushu", "qihong", "maofeng", "yarrow"),
        asked=("zinnia", "lichun"),
        moves=(Move(11, "in_progress"),),
    ),
    Case(
        "pinyin",
        "拼音搜不到茶 Searching in pinyin finds nothing",
        "bug",
        (
            Voice(
                "yushui",
                11,
                "portal",
                "搜索“longjing”什么都没有，必须打汉字才行，父母用拼音习惯了。",
                may_name=True,
            ),
            Voice(
                "cedar",
                10,
                "portal",
                "I cannot type Chinese. Searching for 'oolong' or 'longjing' finds nothing, "
                "although you sell both.",
                may_name=True,
                credit_name="Cedar",
            ),
        ),
        theme="search",
        owner="demo-theo",
        voted=("finch", "chunfen"),
        moves=(Move(9, "in_progress"),),
    ),
    Case(
        "broken-cake",
        "茶饼收到时碎了，包装要加固 Tea cakes arrive broken",
        "complaint",
        (
            Voice(
                "xiaoman",
                10,
                "portal",
                "老街普洱茶饼收到的时候已经碎成好几块，盒子里全是茶渣，包装太薄了。",
                may_name=True,
            ),
            Voice(
                "basil",
                9,
                "email",
                "The pu'er cake came in crumbs. The box was crushed on one corner and there was no "
                "padding inside.",
                may_name=True,
            ),
            Voice(
                "dongzhi", 8, "hotline", "茶饼碎了一半，要求换货，包装盒只有一层纸板。", reference="call 1107"
            ),
        ),
        description="One layer of card is not enough for 357 g. Try corner guards. 357 克的茶饼需要护角。",
        severity="critical",
        theme="packaging",
        owner="demo-lan",
        voted=("linden", "sage", "puer", "lidong"),
        asked=("reed",),
        moves=(Move(9, "in_progress", "Corner guards ordered for a trial. 护角已订，先试一周。"),),
    ),
    Case(
        "crumbled-box",
        "Pu'er cake crumbled in the box",
        "complaint",
        (
            Voice(
                "olive",
                7,
                "review",
                "Second cake in a row that arrives as loose tea. Please pack it better.",
                reference="review LT-401-22",
            ),
        ),
        theme="packaging",
        merge_into="broken-cake",
        merge_days=6,
    ),
    Case(
        "bot",
        "客服机器人答非所问，转不了人工 The chat robot never hands over to a person",
        "complaint",
        (
            Voice("shuangjiang", 12, "chat", "机器人一直让我看常见问题，输入“人工”五次都没有转，太机械了。"),
            Voice(
                "violet",
                11,
                "portal",
                "I asked your chat about a wrong parcel. It sent me the brewing guide. Twice. "
                "There is no way to reach a person.",
            ),
            Voice("dashu", 10, "community", "能不能给个人工客服入口？机器人只会复制粘贴。", may_name=True),
        ),
        severity="high",
        theme="service",
        voted=("ivy", "xiaoshu", "thistle", "bailu", "poppy"),
        asked=("heather", "qingming"),
    ),
    Case(
        "invoice",
        "发票抬头填错后无法修改 The company name on an invoice cannot be corrected",
        "bug",
        (
            Voice("lixia", 6, "email", "发票抬头写错了一个字，页面上没有修改的地方，财务不给报销。"),
            Voice(
                "maple",
                5.5,
                "portal",
                "Wrong company name on the invoice, and no button to correct it. Our accountant refuses it.",
                may_name=True,
            ),
        ),
        theme="invoice",
        owner="demo-theo",
        voted=("mangzhong", "clover"),
        moves=(Move(5, "planned", "Goes out with the packaging release."),),
    ),
    Case(
        "refill",
        "散茶补充装，少一个罐子 Refill pouches instead of another tin",
        "request",
        (
            Voice(
                "fern",
                5,
                "community",
                "I own eleven of your tins by now. Please sell refills in a paper pouch.",
                may_name=True,
                credit_name="Fern with eleven tins",
            ),
            Voice(
                "bailu",
                4,
                "portal",
                "家里已经有十几个茶罐了，能不能出补充装？环保也便宜一点。",
                may_name=True,
            ),
        ),
        theme="packaging",
        owner="demo-lan",
        voted=("wren", "guyu", "hazel", "tansy", "qiufen", "sorrel", "xiaohan"),
        asked=("quill",),
        moves=(Move(3, "planned"), Move(2, "in_progress", "Pouch samples arrived. 样品到了。")),
    ),
    Case(
        "pause",
        "Let me pause the monthly tin 订阅可以暂停吗",
        "request",
        (
            Voice(
                "robin",
                2.2,
                "portal",
                "I travel for two months and cannot pause the monthly tin. Cancelling loses my price.",
            ),
            Voice(
                "chunfen", 1.6, "chat", "出差两个月，每月一罐能不能暂停？不想退订再重新买。", may_name=True
            ),
        ),
        theme="subscription",
        asked=("daxue",),
    ),
    Case(
        "night-mode",
        "夜间模式 A dark mode for the evening cup",
        "request",
        (Voice("xiaoxue", 1.3, "widget", "晚上喝茶的时候打开页面太亮了，希望有夜间模式。", may_name=True),),
        severity="low",
        theme="site",
    ),
    Case(
        "caffeine",
        "茉莉花茶含咖啡因吗 Is Night Jasmine free of caffeine?",
        "question",
        (
            Voice(
                "jasmine",
                9,
                "email",
                "Is Night Jasmine decaffeinated? I am asking for somebody who sleeps badly.",
            ),
            Voice("molihua", 8.4, "chat", "孕妇可以喝夜来茉莉吗？含咖啡因吗？"),
        ),
        theme="product",
        owner="demo-mei",
        moves=(Move(8, "answered", "Not decaffeinated, about 25 mg a cup; the product page says so now."),),
    ),
    Case(
        "delete-phone",
        "请删除我的手机号",
        "privacy",
        (Voice("xiaohan", 18, "email", "我只想保留邮箱，请删除我的手机号，谢谢。"),),
        theme="privacy",
        owner="demo-lan",
        moves=(Move(17, "in_progress"), Move(16, "answered", "Done, and confirmed by letter.")),
    ),
    Case(
        "free-shipping",
        "全场包邮 Free shipping for every order",
        "request",
        (
            Voice("thistle", 22, "portal", "Shipping costs more than the tea if I order one tin."),
            Voice("qihong", 21, "community", "希望全场包邮，一罐也包邮。"),
        ),
        theme="delivery",
        owner="demo-lan",
        voted=("zinnia",),
        moves=(Move(19, "declined", "We cannot pay for it honestly; two tins ship free instead."),),
    ),
)

# Not decided about yet: they wait in the inbox, and most of them resemble an open ticket.
INBOX: Final[tuple[Voice, ...]] = (
    Voice("puer", 1.4, "portal", "我的普洱茶饼也碎了，打开盒子全是茶渣，能补发吗？", may_name=True),
    Voice(
        "yarrow",
        1.1,
        "review",
        "Tea cake arrived broken again, the box was crushed.",
        reference="review LT-401-23",
    ),
    Voice("lichun", 0.9, "chat", "想暂停两个月的订阅，找不到按钮。"),
    Voice("heather", 0.8, "portal", "Please make it possible to talk to a person in the chat."),
    Voice("", 0.6, "hotline", "请问中秋礼盒还有货吗？", reference="call 1130"),
    Voice(
        "wren",
        0.5,
        "email",
        "The Slow River oolong is the best thing in my week. Thank you. Could it come in a larger bag?",
    ),
)

# Decided about without a ticket.
DISMISSED: Final[tuple[tuple[Voice, str], ...]] = (
    (Voice("sage", 15, "portal", "test test 123"), "A try of the form, nothing to do."),
    (
        Voice("daxue", 14, "review", "好喝，会回购。", reference="review LT-201-88"),
        "Praise: passed on to the garden.",
    ),
)

SHIPMENTS: Final[tuple[Shipment, ...]] = (
    Shipment(
        "search",
        "Search in pinyin 拼音搜索",
        "Type longjing and find 龙井.\n输入拼音就能找到茶。",
        (("pinyin", "Names in pinyin are found as well. 支持拼音搜索"),),
        drafted=8,
        shipped=6.5,
        withdrawn=5.5,
        reason="The new search showed sold-out teas first.",
    ),
    Shipment(
        "autumn",
        "Autumn cup 秋日更新",
        "Three things you asked for, in one go: gift notes stay, parcels can be followed, and every tin brings a card "
        "that both of you can read.\n\n您提的三件事，这次一起做好了：礼品留言不再丢失，物流实时更新，每罐茶附双语品鉴卡。",
        (
            ("gift-note", "Gift notes stay, whichever way you walk through the checkout. 留言不再丢失"),
            ("tracking", "Tracking is updated by the hour. 物流每小时更新"),
            ("tasting-card", "Printed on both sides: water, time, what to taste. 中英双语"),
        ),
        drafted=29,
        shipped=27,
    ),
    Shipment(
        "coupons",
        "Coupons that work 优惠券修好了",
        "Coupons are accepted in the mini program again.\n小程序里的优惠券恢复正常。",
        (("coupon", "Accepted again, and those refused since the 1st were paid back. 已恢复并补发"),),
        drafted=9,
        shipped=8,
    ),
    Shipment(
        "packing",
        "Packed with care 用心包装",
        "Tea cakes get corner guards, refills come in paper, invoices can be corrected.\n\n"
        "茶饼加装护角，补充装改用纸袋，发票抬头可以修改。",
        (
            ("broken-cake", "Corner guards on every cake. 每块茶饼加护角"),
            ("refill", "Refill pouches for the five best-loved teas. 五款补充装"),
            ("invoice", "Correct the company name yourself for 30 days. 30 天内可改抬头"),
        ),
        drafted=2,
    ),
)

# Points for other reasons than a fix: (person, points, days ago, why).
POINTS: Final[tuple[tuple[str, int, float, str], ...]] = (
    ("daisy", 120, 30, "Founding tasting circle 首批品鉴会"),
    ("guyu", 120, 30, "Founding tasting circle 首批品鉴会"),
    ("xiaoman", 80, 20, "Photo of the month 本月好图"),
    ("linden", 60, 12, "Helped in the community 社区互助"),
)

# Marketing by e-mail: who said yes when they signed up, and who took it back.
AGREED: Final[tuple[str, ...]] = (
    "lichun", "yushui", "jingzhe", "qingming", "guyu", "lixia", "xiaoman", "mangzhong", "xiazhi", "dashu", "liqiu",
    "bailu", "qiufen", "hanlu", "lidong", "daxue", "dongzhi", "maofeng", "puer", "daisy", "wren", "basil", "clover",
    "sage", "robin", "hazel", "juniper", "olive", "rowan", "aster", "fern", "linden", "maple", "reed", "tansy",
    "violet", "willow", "zinnia",
)  # fmt: skip
TOOK_BACK: Final[tuple[str, ...]] = ("xiazhi", "robin", "reed")
# Does not even want to hear of fixes.
SILENT: Final[tuple[str, ...]] = ("fern",)
# Mail to this address came back.
BOUNCED: Final[tuple[str, ...]] = ("heather",)
