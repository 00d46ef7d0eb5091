"""What the roles may do with points. Booking by hand is a lead's decision."""

from crm.kernel import roles

roles.grant("agent", "members.view_pointsaccount", "members.view_pointsentry")
roles.grant("lead", "members.add_pointsentry")
roles.grant("analyst", "members.view_pointsaccount", "members.view_pointsentry")
