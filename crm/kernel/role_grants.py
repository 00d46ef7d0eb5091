"""What the roles may do with the kernel's own tables."""

from crm.kernel import roles

roles.grant("lead", "kernel.view_pendingreaction", "kernel.view_knob", "kernel.view_actionlog")
roles.grant(
    "admin",
    "kernel.change_pendingreaction",
    "kernel.change_knob",
)
