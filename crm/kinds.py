"""The touchpoint kinds that crm itself records or gives a stage to."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm.registry import register_channels, register_kind, register_properties
from crm.states import Channel, Stage

register_channels(
    {**dict(Channel.choices), "web": _("Website"), "server": _("Own system"), "mobile": _("App")}
)

register_kind("identify", label=_("Identified"))
register_kind("page", label=_("Page viewed"), stage=Stage.AWARENESS)
register_kind("screen", label=_("Screen viewed"), stage=Stage.AWARENESS)
register_kind("group", label=_("Joined a group"))
register_kind("alias", label=_("Known under another ID"))
register_kind(
    "crm.profile.merged", label=_("Profiles merged"), payload={"winner": int, "loser": int, "merge_id": int}
)
register_kind(
    "crm.profile.unmerged", label=_("Merge undone"), payload={"winner": int, "loser": int, "merge_id": int}
)
register_kind("crm.profile.imported", label=_("Came with a list"), payload={"import": int, "source": str})
register_kind("crm.contact.shown", label=_("Shown by another system"), payload={"class": str, "label": str})
register_kind("crm.consent.given", label=_("Consent given"), payload={"purpose": str, "channel": str})
register_kind("crm.consent.withdrawn", label=_("Consent withdrawn"), payload={"purpose": str, "channel": str})

for _kind, _label in (
    ("crm.segment.entered", _("Entered a segment")),
    ("crm.segment.left", _("Left a segment")),
):
    register_kind(_kind, label=_label, payload={"segment": str, "segment_id": int})

# The names of the Segment e-commerce specification, so that timelines read well in both languages.
for _kind, _label, _stage in (
    ("Products Searched", _("Products searched"), Stage.CONSIDERATION),
    ("Product List Viewed", _("Product list viewed"), Stage.CONSIDERATION),
    ("Product Viewed", _("Product viewed"), Stage.CONSIDERATION),
    ("Product Added", _("Product added to the cart"), Stage.DECISION),
    ("Product Removed", _("Product removed from the cart"), Stage.DECISION),
    ("Cart Viewed", _("Cart viewed"), Stage.DECISION),
    ("Checkout Started", _("Checkout started"), Stage.DECISION),
    ("Order Completed", _("Order completed"), Stage.DECISION),
    ("Order Refunded", _("Order refunded"), Stage.RETENTION),
    ("Order Cancelled", _("Order cancelled"), Stage.RETENTION),
    ("Coupon Entered", _("Coupon entered"), Stage.DECISION),
    ("Coupon Applied", _("Coupon applied"), Stage.DECISION),
    ("Coupon Denied", _("Coupon denied"), Stage.DECISION),
    ("Product Reviewed", _("Product reviewed"), Stage.ADVOCACY),
    ("Product Shared", _("Product shared"), Stage.ADVOCACY),
):
    register_kind(_kind, label=_label, stage=_stage)

register_properties(
    {
        "brand": pgettext_lazy("property", "brand"),
        "category": pgettext_lazy("property", "category"),
        "coupon": pgettext_lazy("property", "coupon"),
        "currency": pgettext_lazy("property", "currency"),
        "discount": pgettext_lazy("property", "discount"),
        "name": pgettext_lazy("property", "name"),
        "order_id": pgettext_lazy("property", "order"),
        "path": pgettext_lazy("property", "path"),
        "price": pgettext_lazy("property", "price"),
        "product_id": pgettext_lazy("property", "product"),
        "products": pgettext_lazy("property", "products"),
        "quantity": pgettext_lazy("property", "quantity"),
        "query": pgettext_lazy("property", "query"),
        "rating": pgettext_lazy("property", "rating"),
        "revenue": pgettext_lazy("property", "revenue"),
        "title": pgettext_lazy("property", "title"),
        "total": pgettext_lazy("property", "total"),
        "url": pgettext_lazy("property", "address"),
        "channel": pgettext_lazy("property", "channel"),
        "purpose": pgettext_lazy("property", "purpose"),
        "class": pgettext_lazy("property", "class"),
        "label": pgettext_lazy("property", "what was shown"),
        "import": pgettext_lazy("property", "import"),
        "source": pgettext_lazy("property", "source"),
        "winner": pgettext_lazy("property", "kept profile"),
        "loser": pgettext_lazy("property", "merged profile"),
        "merge_id": pgettext_lazy("property", "merge"),
        "segment": pgettext_lazy("property", "segment"),
        "segment_id": pgettext_lazy("property", "segment number"),
    }
)
