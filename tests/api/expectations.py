"""Who may do what: the table the matrix compares the running code with.

Written by hand on purpose. A route that is missing here fails the matrix, so that a new way in is a decision
somebody made, never an accident. `-` means nobody.
"""

READERS = "agent lead analyst admin"
AGENTS = "agent lead admin"
LEADS = "lead admin"
ADMINS = "admin"
NOBODY = "-"

# /api/v1/: method -> (scope an API key needs, roles of staff). "public" asks for nothing.
PUBLIC = ("public", "")
API = {
    "": {"GET": PUBLIC},
    "profiles/": {"GET": ("crm.profile:read", READERS)},
    "profiles/{id}/": {"GET": ("crm.profile:read", READERS), "PATCH": ("crm.profile:write", AGENTS)},
    "profiles/{id}/consents/": {
        "GET": ("crm.profile:read", READERS),
        "POST": ("crm.profile:write", AGENTS),
    },
    "profiles/{id}/erase/": {"POST": ("crm.profile:write", ADMINS)},
    "profiles/{id}/merge/": {"POST": ("crm.profile:write", LEADS)},
    "profiles/{id}/preview-merge/": {"POST": ("crm.profile:write", LEADS)},
    "profiles/{id}/timeline/": {"GET": ("crm.profile:read", READERS)},
    "merges/": {"GET": ("crm.mergerecord:read", READERS)},
    "merges/{pk}/": {"GET": ("crm.mergerecord:read", READERS)},
    "merges/{pk}/undo/": {"POST": ("crm.mergerecord:write", LEADS)},
    "merge-suggestions/": {"GET": ("crm.mergesuggestion:read", READERS)},
    "merge-suggestions/{pk}/": {"GET": ("crm.mergesuggestion:read", READERS)},
    "merge-suggestions/{pk}/accept/": {"POST": ("crm.mergesuggestion:write", LEADS)},
    "merge-suggestions/{pk}/dismiss/": {"POST": ("crm.mergesuggestion:write", LEADS)},
    "sources/": {"GET": ("crm.source:read", READERS), "POST": ("crm.source:write", ADMINS)},
    "sources/{pk}/": {"GET": ("crm.source:read", READERS), "PATCH": ("crm.source:write", ADMINS)},
    "sources/{pk}/activity/": {"GET": ("crm.source:read", READERS)},
    "sources/{pk}/keys/": {"GET": ("crm.source:read", READERS)},
    "sources/{pk}/limits/": {"POST": ("crm.source:write", ADMINS)},
    "sources/{pk}/live/": {"GET": ("crm.source:read", READERS)},
    "sources/{pk}/revoke-key/": {"POST": ("crm.source:write", ADMINS)},
    "sources/{pk}/rotate/": {"POST": ("crm.source:write", ADMINS)},
    "ingestion-warnings/": {"GET": ("crm.ingestionwarning:read", READERS)},
    "ingestion-warnings/{pk}/": {"GET": ("crm.ingestionwarning:read", READERS)},
    "ingestion-warnings/topics/": {"GET": ("crm.ingestionwarning:read", READERS)},
    "ingestion-warnings/{pk}/mute/": {"POST": ("crm.ingestionwarning:write", LEADS)},
    "ingestion-warnings/{pk}/reopen/": {"POST": ("crm.ingestionwarning:write", LEADS)},
    "ingestion-warnings/{pk}/resolve/": {"POST": ("crm.ingestionwarning:write", LEADS)},
    "event-kinds/": {"GET": ("crm.eventkind:read", READERS), "POST": ("crm.eventkind:write", LEADS)},
    "event-kinds/{pk}/": {"GET": ("crm.eventkind:read", READERS), "PATCH": ("crm.eventkind:write", LEADS)},
    "event-kinds/{pk}/json-schema/": {"GET": ("crm.eventkind:read", READERS)},
    "event-kinds/{pk}/properties/": {"POST": ("crm.eventkind:write", LEADS)},
    "event-kinds/{pk}/suggestion/": {"GET": ("crm.eventkind:read", READERS)},
    "knobs/": {"GET": ("kernel.knob:read", LEADS)},
    "knobs/{name}/": {"GET": ("kernel.knob:read", LEADS), "PATCH": ("kernel.knob:write", ADMINS)},
    "feedback/": {"GET": ("voc.feedback:read", READERS), "POST": ("voc.feedback:write", AGENTS)},
    "feedback/similar/": {"GET": ("voc.feedback:read", READERS)},
    "feedback/{pk}/": {"GET": ("voc.feedback:read", READERS)},
    "feedback/{pk}/attach/": {"POST": ("voc.feedback:write", AGENTS)},
    "feedback/{pk}/dismiss/": {"POST": ("voc.feedback:write", AGENTS)},
    "feedback/{pk}/open-ticket/": {"POST": ("voc.feedback:write", AGENTS)},
    "feedback/{pk}/similar/": {"GET": ("voc.feedback:read", READERS)},
    "tickets/": {"GET": ("voc.ticket:read", READERS), "POST": ("voc.ticket:write", AGENTS)},
    "tickets/{pk}/": {"GET": ("voc.ticket:read", READERS), "PATCH": ("voc.ticket:write", AGENTS)},
    "tickets/{pk}/follow/": {"POST": ("voc.ticket:write", AGENTS)},
    "tickets/{pk}/followers/": {"GET": ("voc.ticket:read", READERS)},
    "tickets/{pk}/history/": {"GET": ("voc.ticket:read", READERS)},
    "tickets/{pk}/merge/": {"POST": ("voc.ticket:write", LEADS)},
    "tickets/{pk}/move/": {"POST": ("voc.ticket:write", AGENTS)},
    "tickets/{pk}/unmerge/": {"POST": ("voc.ticket:write", LEADS)},
    "releases/": {"GET": ("voc.release:read", READERS), "POST": ("voc.release:write", LEADS)},
    "releases/{pk}/": {"GET": ("voc.release:read", READERS), "PATCH": ("voc.release:write", LEADS)},
    "releases/{pk}/items/": {"POST": ("voc.release:write", LEADS)},
    "releases/{pk}/progress/": {"GET": ("voc.release:read", READERS)},
    "releases/{pk}/remove-item/": {"POST": ("voc.release:write", LEADS)},
    "releases/{pk}/ship/": {"POST": ("voc.release:write", LEADS)},
    "releases/{pk}/untold/": {"GET": ("voc.release:read", READERS)},
    "releases/{pk}/withdraw/": {"POST": ("voc.release:write", LEADS)},
    "changelog/": {"GET": PUBLIC},
    "messages/": {"GET": ("lifecycle.message:read", READERS)},
    "messages/{pk}/": {"GET": ("lifecycle.message:read", READERS)},
    "messages/{pk}/cancel/": {"POST": ("lifecycle.message:write", LEADS)},
    "messages/{pk}/retry/": {"POST": ("lifecycle.message:write", LEADS)},
    "journeys/": {"GET": ("lifecycle.journey:read", READERS), "POST": ("lifecycle.journey:write", LEADS)},
    "journeys/validate/": {"POST": ("lifecycle.journey:write", READERS)},
    "journeys/{pk}/": {
        "GET": ("lifecycle.journey:read", READERS),
        "PATCH": ("lifecycle.journey:write", LEADS),
    },
    "journeys/{pk}/activate/": {"POST": ("lifecycle.journey:write", LEADS)},
    "journeys/{pk}/pause/": {"POST": ("lifecycle.journey:write", LEADS)},
    "journeys/{pk}/archive/": {"POST": ("lifecycle.journey:write", LEADS)},
    "journeys/{pk}/funnel/": {"GET": ("lifecycle.journey:read", READERS)},
    "enrolments/": {"GET": ("lifecycle.enrolment:read", READERS)},
    "enrolments/{pk}/": {"GET": ("lifecycle.enrolment:read", READERS)},
    "message-kinds/": {"GET": ("lifecycle.messagetemplate:read", READERS)},
    "message-kinds/{code}/": {"GET": ("lifecycle.messagetemplate:read", READERS)},
    "message-templates/": {
        "GET": ("lifecycle.messagetemplate:read", READERS),
        "POST": ("lifecycle.messagetemplate:write", LEADS),
    },
    "message-templates/preview/": {"POST": ("lifecycle.messagetemplate:write", READERS)},
    "message-templates/{pk}/": {
        "GET": ("lifecycle.messagetemplate:read", READERS),
        "DELETE": ("lifecycle.messagetemplate:write", LEADS),
    },
    "points/accounts/": {"GET": ("members.points:read", READERS)},
    "points/accounts/{pk}/": {"GET": ("members.points:read", READERS)},
    "points/accounts/credit/": {"POST": ("members.points:write", LEADS)},
    "points/accounts/debit/": {"POST": ("members.points:write", LEADS)},
    "points/entries/": {"GET": ("members.points:read", READERS)},
}

# /v1/: status of an empty JSON object by kind of caller. `anyone` is everybody without a write key.
CALLS = ("identify", "track", "page", "screen", "group", "alias", "batch", "i", "t", "p", "s", "g", "a", "b")
DOOR = {
    **{call: {"server_write_key": 200, "browser_write_key": 200, "anyone": 401} for call in CALLS},
    "import": {"server_write_key": 200, "browser_write_key": 403, "anyone": 401},
}

# Staff pages that every admin has: role -> may open. The rest of a model's pages follow from its list.
STAFF_PAGES = {
    "admin:index": {"GET": "everyone"},
    "admin:login": {"GET": "public", "POST": "public"},
    "admin:logout": {"POST": "public"},
    "admin:password_change": {"GET": "everyone", "POST": "everyone"},
    "admin:password_change_done": {"GET": "everyone"},
    "admin:search": {"GET": "everyone"},
    "admin:jsi18n": {"GET": "everyone"},
    "admin:autocomplete": {"GET": NOBODY},  # no page registers an autocomplete field
    "admin:view_on_site": {"GET": "everyone"},
    "admin:app_list": {"GET": READERS},
    "staff-language": {"POST": "everyone"},
}

# Each model with a staff page: roles that may see it, post to a row's page, add to it, delete from it. Where the
# page carries buttons, whoever sees it may post; what each button asks for is in BUTTONS.
MODELS = {
    "auth.group": (ADMINS, NOBODY, NOBODY, NOBODY),
    "crm.apikey": (ADMINS, NOBODY, ADMINS, NOBODY),
    "crm.consentrecord": (READERS, NOBODY, NOBODY, NOBODY),
    "crm.eventkind": (READERS, READERS, LEADS, NOBODY),
    "crm.identityrule": (READERS, ADMINS, ADMINS, NOBODY),
    "crm.ingestionwarning": (READERS, NOBODY, NOBODY, NOBODY),
    "crm.mergerecord": (READERS, NOBODY, NOBODY, NOBODY),
    "crm.mergesuggestion": (READERS, NOBODY, NOBODY, NOBODY),
    "crm.profile": (READERS, READERS, NOBODY, NOBODY),
    "crm.source": (READERS, READERS, ADMINS, NOBODY),
    "crm.staffuser": (ADMINS, ADMINS, ADMINS, NOBODY),
    "crm.suppression": (READERS, NOBODY, NOBODY, NOBODY),
    "kernel.actionlog": (LEADS, NOBODY, NOBODY, NOBODY),
    "kernel.pendingreaction": (LEADS, NOBODY, NOBODY, NOBODY),
    "lifecycle.delivery": (READERS, NOBODY, NOBODY, NOBODY),
    "lifecycle.enrolment": (READERS, READERS, NOBODY, NOBODY),
    "lifecycle.journey": (READERS, READERS, LEADS, NOBODY),
    "lifecycle.messagetemplate": (READERS, READERS, NOBODY, NOBODY),
    "lifecycle.outboundmessage": (READERS, READERS, NOBODY, NOBODY),
    "members.pointsaccount": (READERS, READERS, NOBODY, NOBODY),
    "members.pointsentry": (READERS, NOBODY, NOBODY, NOBODY),
    "voc.feedback": (READERS, READERS, AGENTS, NOBODY),
    "voc.release": (READERS, READERS, LEADS, NOBODY),
    "voc.ticket": (READERS, READERS, AGENTS, NOBODY),
}
# The buttons on a row's page: (model, action) -> roles that may press it.
BUTTONS = {
    ("crm.eventkind", "decide"): LEADS,
    ("crm.eventkind", "schema"): LEADS,
    ("crm.source", "rotate"): ADMINS,
    ("crm.source", "revoke_key"): ADMINS,
    ("crm.source", "limits"): ADMINS,
    ("crm.source", "switch_off"): ADMINS,
    ("crm.source", "switch_on"): ADMINS,
    ("lifecycle.journey", "activate"): LEADS,
    ("lifecycle.journey", "pause"): LEADS,
    ("lifecycle.journey", "archive"): LEADS,
    ("lifecycle.journey", "definition"): LEADS,
    ("lifecycle.journey", "numbers"): LEADS,
    ("lifecycle.outboundmessage", "retry"): LEADS,
    ("lifecycle.outboundmessage", "cancel"): LEADS,
    ("voc.feedback", "open"): AGENTS,
    ("voc.feedback", "attach"): AGENTS,
    ("voc.feedback", "dismiss"): AGENTS,
    ("voc.feedback", "reconsider"): AGENTS,
    ("voc.ticket", "move"): AGENTS,
    ("voc.ticket", "edit"): AGENTS,
    ("voc.ticket", "note"): AGENTS,
    ("voc.ticket", "merge"): LEADS,
    ("voc.ticket", "unmerge"): LEADS,
    ("voc.ticket", "add_to_release"): LEADS,
    ("voc.release", "edit"): LEADS,
    ("voc.release", "add_items"): LEADS,
    ("voc.release", "remove_item"): LEADS,
    ("voc.release", "ship"): LEADS,
    ("voc.release", "withdraw"): LEADS,
}
# Pages with rules of their own: the knobs page, and what the apps add to their admins.
CUSTOM = {
    "admin:kernel_knob_changelist": {"GET": LEADS, "POST": ADMINS},
    "admin:crm_source_live": {"GET": READERS},
    "admin:crm_profile_timeline": {"GET": READERS},
    "admin:crm_profile_merge": {"GET": LEADS, "POST": LEADS},
    "admin:crm_profile_erase": {"POST": ADMINS},
    "admin:auth_user_password_change": {"GET": ADMINS, "POST": ADMINS},
}

# Pages without sign-in: status of GET and of an empty POST, the same for everybody.
OPEN = {
    "healthz": {"GET": 200, "POST": 405},
    "readyz": {"GET": 200, "POST": 405},
    "metrics": {"GET": 200, "POST": 405},
    "schema": {"GET": 200, "POST": 405},
    "docs": {"GET": 200, "POST": 405},
    "set_language": {"GET": 302, "POST": 302},
    "ingest-settings": {"GET": 200, "POST": 405},
    "portal-home": {"GET": 200, "POST": 405},
    "portal-feedback": {"GET": 200, "POST": 400},
    "portal-thanks": {"GET": 404, "POST": 405},
    "portal-ticket": {"GET": 404, "POST": 404},
    "portal-changelog": {"GET": 200, "POST": 405},
    "portal-inbox": {"GET": 404, "POST": 405},
    "portal-inbox-read": {"GET": 405, "POST": 404},
    "portal-unsubscribe": {"GET": 404, "POST": 404},
    "portal-preferences": {"GET": 405, "POST": 404},
    "portal-confirm": {"GET": 404, "POST": 404},
}

# Bodies that name a row which nobody has: always 404, and nothing is written. `{…}` are ids that exist.
NOWHERE = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"
FOREIGN_BODIES = (
    ("POST", "feedback/{feedback}/attach/", {"ticket": 987_654_321}),
    ("POST", "feedback/{feedback}/open-ticket/", {"title": "A", "assignee": 987_654_321}),
    ("POST", "tickets/", {"title": "A", "assignee": 987_654_321}),
    ("PATCH", "tickets/{ticket}/", {"assignee": 987_654_321}),
    ("POST", "tickets/{ticket}/merge/", {"into": 987_654_321}),
    ("POST", "tickets/{ticket}/follow/", {"profile": NOWHERE}),
    ("POST", "releases/{release}/items/", {"tickets": [987_654_321]}),
    ("POST", "releases/{release}/remove-item/", {"ticket": 987_654_321}),
    ("POST", "profiles/{profile_public}/merge/", {"other": NOWHERE}),
    ("POST", "profiles/{profile_public}/preview-merge/", {"other": NOWHERE}),
    ("POST", "points/accounts/credit/", {"profile": NOWHERE, "amount": 5, "key": "a"}),
    ("POST", "points/accounts/debit/", {"profile": NOWHERE, "amount": 5, "key": "b"}),
)
