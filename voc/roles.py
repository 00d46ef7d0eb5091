"""What the roles may do with voices, tickets and releases. Shipping tells people, so it is a lead's decision."""

from crm.kernel import roles

roles.grant(
    "agent",
    "voc.view_feedback",
    "voc.add_feedback",
    "voc.change_feedback",
    "voc.view_ticket",
    "voc.add_ticket",
    "voc.change_ticket",
    "voc.view_release",
)
roles.grant(
    "lead",
    "voc.merge_ticket",
    "voc.add_release",
    "voc.change_release",
    "voc.ship_release",
    "voc.withdraw_release",
)
roles.grant("analyst", "voc.view_feedback", "voc.view_ticket", "voc.view_release")
