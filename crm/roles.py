"""What each role of staff may do with people."""

from crm.kernel import roles

_VIEW = tuple(
    f"crm.view_{noun}"
    for noun in (
        "profile", "identity", "contactpoint", "consentrecord", "suppression", "mergerecord", "mergesuggestion",
        "computedtrait", "purchasesummary", "purchasereport",
        "ingestionwarning", "source", "eventkind", "touchpoint", "identityrule", "account", "profilenote",
        "profilelink",
    )
)  # fmt: skip

roles.grant("agent", *_VIEW, "crm.change_profile", "crm.add_consentrecord")
roles.grant(
    "lead",
    *_VIEW,
    "crm.change_profile",
    "crm.add_consentrecord",
    "crm.merge_profile",
    "crm.add_mergerecord",
    "crm.change_mergerecord",
    "crm.change_mergesuggestion",
)
roles.grant("analyst", *_VIEW)
roles.grant(
    "admin", *_VIEW, "crm.change_profile", "crm.add_consentrecord", "crm.merge_profile", "crm.erase_profile",
    "crm.add_mergerecord", "crm.change_mergerecord", "crm.change_mergesuggestion", "crm.add_source",
    "crm.change_source", "crm.view_write_key", "crm.view_apikey", "crm.add_apikey", "crm.change_apikey",
    "crm.change_identityrule", "crm.add_identityrule", "crm.view_staffuser", "crm.add_staffuser",
    "crm.change_staffuser", "auth.view_group",
)  # fmt: skip

# Computed traits: leads make them; whoever reads people reads their values.
for _role in ("lead", "admin"):
    roles.grant(
        _role, "crm.add_computedtrait", "crm.change_computedtrait", "crm.activate_computedtrait",
        "crm.recompute_purchases",
    )  # fmt: skip

# The door: leads look after what arrives.
for _role in ("lead", "admin"):
    roles.grant(_role, "crm.add_eventkind", "crm.change_eventkind", "crm.change_ingestionwarning")

# Lists: everybody sees what came in; who lets them in answers for the consent they claim.
for _role in ("agent", "analyst"):
    roles.grant(_role, "crm.view_importrun")
for _role in ("lead", "admin"):
    roles.grant(_role, "crm.view_importrun", "crm.import_profile", "crm.undo_importrun")

# Segments: everybody sees them; leads and analysts make them; leaving the house with a list is a right of its own.
for _role in ("agent", "lead", "analyst", "admin"):
    roles.grant(_role, "crm.view_segment")
for _role in ("lead", "analyst", "admin"):
    roles.grant(_role, "crm.add_segment", "crm.change_segment", "crm.activate_segment")
for _role in ("lead", "admin"):
    roles.grant(_role, "crm.export_segment")

# Privacy: everybody sees texts and erasures, agents ask for one; leads are the second pair of eyes and may export one
# person; the texts themselves, erasing at once and retention are the admin's.
for _role in ("agent", "lead", "analyst", "admin"):
    roles.grant(_role, "crm.view_consenttext", "crm.view_erasure", "crm.view_retentionrun")
for _role in ("agent", "lead", "admin"):
    roles.grant(_role, "crm.add_erasure")
for _role in ("lead", "admin"):
    roles.grant(_role, "crm.approve_erasure", "crm.view_personexport", "crm.export_person")
roles.grant("admin", "crm.add_consenttext", "crm.run_retention")

# Notes, links and accounts: whoever talks to people keeps them; deleting another's note is for leads.
for _role in ("agent", "lead", "admin"):
    roles.grant(
        _role, "crm.add_profilenote", "crm.change_profilenote", "crm.add_profilelink", "crm.add_account",
        "crm.change_account",
    )  # fmt: skip
for _role in ("lead", "admin"):
    roles.grant(_role, "crm.delete_profilenote")
