"""What voc writes on timelines and what it sends: touchpoint kinds and the message about shipped fixes."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm.registry import register_channels, register_properties, register_property_values
from crm.services import touchpoints
from lifecycle import registry
from voc.states import FeedbackChannel, FollowerRole

FIX_TOLD = "voc.fix_told"

register_channels(dict(FeedbackChannel.choices))

touchpoints.register_kind("voc.feedback.given", label=_("Gave feedback"), payload={"feedback_id": int})
touchpoints.register_kind(
    "voc.ticket.opened",
    label=_("Feedback became a ticket"),
    payload={"ticket_id": int, "ticket_number": int},
)
touchpoints.register_kind(
    "voc.ticket.followed",
    label=_("Follows a ticket"),
    payload={"ticket_id": int, "ticket_number": int, "role": str},
)
touchpoints.register_kind(
    "voc.fix.told",
    label=_("Told of a fix"),
    payload={"ticket_id": int, "ticket_number": int, "release_id": int, "role": str, "round": int},
)

registry.register(
    registry.MessageKind(
        code=FIX_TOLD,
        label=_("What you asked for is done"),
        message_class="service",
        purpose="service",
        channels=("in_app", "email"),
        variables={
            "release": {"title": "Spring update", "url": "https://example.com/changelog/#r1"},
            "tickets": [
                {
                    "title": "The invoice shows the wrong date",
                    "url": "https://example.com/t/abc/",
                    "note": "Fixed",
                }
            ],
        },
        templates={
            "en": registry.Template(
                subject="{% if tickets.size == 1 %}Done: {{ tickets[0].title }}{% else %}"
                "{{ tickets.size }} things you told us about are done{% endif %}",
                body=(
                    "{% if person.name != '' %}Hello {{ person.name }},{% else %}Hello,{% endif %}\n\n"
                    "you told us, and we have done it. With “{{ release.title }}” we shipped:\n\n"
                    "{% for ticket in tickets %}- {{ ticket.title }}\n"
                    "{% if ticket.note != '' %}  {{ ticket.note }}\n{% endif %}"
                    "  {{ ticket.url }}\n{% endfor %}\n"
                    "Is it still not right? The page of each ticket has a way to tell us.\n"
                    "Everything in this release: {{ release.url }}\n\n"
                    "Thank you for speaking up."
                ),
            ),
            "zh-hans": registry.Template(
                subject="{% if tickets.size == 1 %}您提的问题已解决：{{ tickets[0].title }}{% else %}"
                "您提的 {{ tickets.size }} 个问题已解决{% endif %}",
                body=(
                    "{% if person.name != '' %}{{ person.name }}，您好！{% else %}您好！{% endif %}\n\n"
                    "您告诉了我们，我们做到了。在“{{ release.title }}”中，以下内容已经上线：\n\n"
                    "{% for ticket in tickets %}- {{ ticket.title }}\n"
                    "{% if ticket.note != '' %}  {{ ticket.note }}\n{% endif %}"
                    "  {{ ticket.url }}\n{% endfor %}\n"
                    "如果还是不对，请打开相应页面告诉我们。\n"
                    "本次更新的全部内容：\n{{ release.url }}\n\n"
                    "谢谢您的直言。"
                ),
            ),
        },
    )
)

register_properties(
    {
        "feedback_id": pgettext_lazy("property", "feedback"),
        "ticket_id": pgettext_lazy("property", "ticket"),
        "ticket_number": pgettext_lazy("property", "ticket number"),
        "release_id": pgettext_lazy("property", "release"),
        "role": pgettext_lazy("property", "role"),
        "round": pgettext_lazy("property", "round"),
    }
)
register_property_values("role", dict(FollowerRole.choices).get)
