"""The shipped consent texts, version 1 of each purpose, until staff write others: (English, Chinese)."""

from __future__ import annotations

TEXTS = {
    "marketing": (
        "You may send me offers: coupons and news about products. I can stop this at any time, with one click.",
        "可以给我发送优惠信息，包括优惠券和新品消息。我随时可以一键退订。",
    ),
    "service": (
        "You may write to me about what I asked or reported, for example when it is fixed.",
        "可以就我提出的问题和反馈给我写信，例如问题修复时通知我。",
    ),
    "care": (
        "You may send me greetings and small kindnesses. They never sell anything.",
        "可以给我发送问候和关怀，内容不含任何推销。",
    ),
    "survey": (
        "You may ask me now and then how it went. Answering is up to me.",
        "可以偶尔问问我的使用感受，是否回答由我决定。",
    ),
}
