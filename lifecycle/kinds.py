"""What lifecycle itself can send, and the touchpoints it records."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm import registry as touchpoint_registry
from crm.states import Channel, MessageClass
from lifecycle import letters_of_privacy, registry
from lifecycle.registry import MessageKind, Template
from lifecycle.states import Arm

touchpoint_registry.register_kind(
    "lifecycle.message.sent", label=_("Message sent"), payload={"message_id": int, "message_kind": str}
)
touchpoint_registry.register_kind(
    "lifecycle.message.read", label=_("Message read"), payload={"message_id": int}
)
touchpoint_registry.register_kind(
    "lifecycle.journey.entered", label=_("Entered a journey"), payload={"journey_id": int}
)
touchpoint_registry.register_kind(
    "lifecycle.journey.converted", label=_("Goal of a journey met"), payload={"journey_id": int, "arm": str}
)

registry.register(
    MessageKind(
        code="lifecycle.confirm_address",
        label=_("Confirm an address"),
        message_class=MessageClass.TRANSACTIONAL,
        channels=(Channel.EMAIL,),
        to="contact",
        # Nothing here was typed by the person who asked: a stranger's address must not become our letterbox.
        variables={"contact_id": 1, "confirm_url": "https://example.com/confirm/abc/"},
        templates={
            "en": Template(
                "Is this your address?",
                "Hello,\n\n"
                "somebody, we hope you, gave us this address so that we can tell you what became of a request.\n\n"
                "If it was you, please open this page and press the button:\n{{ confirm_url }}\n\n"
                "If it was not you, there is nothing to do: we will not write to you again.\n\n"
                "{{ organisation.name }}\n",
            ),
            "zh-hans": Template(
                "请确认一下，这是您的邮箱吗？",
                "您好！\n\n"
                "有人（希望就是您）把这个邮箱留给了我们，方便后续把处理进展告诉您。\n\n"
                "如果是您本人，请打开下面的页面，点一下“确认”：\n{{ confirm_url }}\n\n"
                "如果不是您，不用做任何事，我们不会再给您写信。\n\n"
                "{{ organisation.name }}\n",
            ),
        },
    )
)
registry.register(
    MessageKind(
        code="lifecycle.browsed_not_bought",
        label=_("Coupon for a product that was looked at"),
        message_class=MessageClass.MARKETING,
        variables={
            "product_name": "Walnut desk lamp",
            "product_url": "https://example.com/lamp",
            "coupon_code": "COMEBACK10",
            "percent": 10,
        },
        templates={
            "en": Template(
                "{{ percent }}% off, if you are still thinking about "
                "{% if product_name != '' %}{{ product_name }}{% else %}it{% endif %}",
                "Hi{% if person.given_name != '' %} {{ person.given_name }}{% endif %},\n\n"
                "you had a look at {% if product_name != '' %}{{ product_name }}{% else %}something in our shop"
                "{% endif %} and left it there. Perhaps it was the price, perhaps the moment.\n\n"
                "If it was the price: {{ coupon_code }} takes {{ percent }}% off your order."
                "{% if product_url != '' %}\n{{ product_url }}{% endif %}\n\n"
                "If it was something else, just answer this mail. A real person reads it.\n\n"
                "{{ organisation.name }}\n",
            ),
            "zh-hans": Template(
                "{% if product_name != '' %}“{{ product_name }}”{% else %}您看过的那件{% endif %}，"
                "给您留了 {{ percent }}% 的优惠",
                "{% if person.name != '' %}{{ person.name }}，您好！{% else %}您好！{% endif %}\n\n"
                "前阵子您看了{% if product_name != '' %}“{{ product_name }}”{% else %}我们店里的一件商品{% endif %}，"
                "后来没有带走。也许是价格，也许只是还没到时候。\n\n"
                "如果是价格的缘故，下单时填上 {{ coupon_code }}，可以便宜 {{ percent }}%。"
                "{% if product_url != '' %}\n{{ product_url }}{% endif %}\n\n"
                "如果是别的原因，直接回信告诉我们就好，会有同事认真看。\n\n"
                "{{ organisation.name }}\n",
            ),
        },
    )
)
registry.register(
    MessageKind(
        code="lifecycle.is_all_well",
        label=_("Asking whether all is well after a first order"),
        message_class=MessageClass.CARE,
        templates={
            "en": Template(
                "Is everything as you hoped?",
                "Hi{% if person.given_name != '' %} {{ person.given_name }}{% endif %},\n\n"
                "your first order has been with you for a few days. Is everything as you hoped?\n\n"
                "If anything is not right, answer this mail and we will put it right. If all is well, there is "
                "nothing to do; we only wanted to ask.\n\n"
                "{{ organisation.name }}\n",
            ),
            "zh-hans": Template(
                "用了几天，一切都还满意吗？",
                "{% if person.name != '' %}{{ person.name }}，您好！{% else %}您好！{% endif %}\n\n"
                "您第一次在我们这里买的东西，已经到手几天了。用起来都还顺心吗？\n\n"
                "有哪里不对，直接回信告诉我们，我们来处理。要是一切都好，就不用理会这封信，我们只是想问一声。\n\n"
                "{{ organisation.name }}\n",
            ),
        },
    )
)

for _kind in letters_of_privacy.KINDS:
    registry.register(_kind)

touchpoint_registry.register_properties(
    {
        "message_id": pgettext_lazy("property", "message"),
        "message_kind": pgettext_lazy("property", "kind of message"),
        "subject_key": pgettext_lazy("property", "about"),
        "journey_id": pgettext_lazy("property", "journey"),
        "enrolment_id": pgettext_lazy("property", "enrolment"),
        "arm": pgettext_lazy("property", "group"),
    }
)
touchpoint_registry.register_property_values("arm", dict(Arm.choices).get)
touchpoint_registry.register_property_values("message_kind", lambda code: registry.labels().get(code))
