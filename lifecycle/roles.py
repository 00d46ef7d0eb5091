"""What the roles may do with messages and journeys."""

from crm.kernel import roles

roles.grant(
    "agent",
    "lifecycle.view_outboundmessage",
    "lifecycle.view_delivery",
    "lifecycle.view_inboxitem",
    "lifecycle.view_journey",
    "lifecycle.view_enrolment",
    "lifecycle.view_messagetemplate",
)
roles.grant(
    "lead",
    "lifecycle.retry_outboundmessage",
    "lifecycle.add_journey",
    "lifecycle.change_journey",
    "lifecycle.activate_journey",
    "lifecycle.change_messagetemplate",
    "lifecycle.delete_messagetemplate",
)
roles.grant(
    "analyst",
    "lifecycle.view_outboundmessage",
    "lifecycle.view_delivery",
    "lifecycle.view_journey",
    "lifecycle.view_enrolment",
    "lifecycle.view_messagetemplate",
)
