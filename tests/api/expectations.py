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
    "sources/{pk}/rotate/": {"POST": ("crm.source:write", ADMINS)},
    "ingestion-warnings/": {"GET": ("crm.ingestionwarning:read", READERS)},
    "ingestion-warnings/{pk}/": {"GET": ("crm.ingestionwarning:read", READERS)},
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

# Each model with a staff page: roles that may see it, change it, add to it, delete from it.
MODELS = {
    "auth.group": (ADMINS, ADMINS, ADMINS, NOBODY),
    "kernel.actionlog": (LEADS, NOBODY, NOBODY, NOBODY),
    "kernel.pendingreaction": (LEADS, NOBODY, NOBODY, NOBODY),
}
# Pages with rules of their own: the knobs page, and what the apps add to their admins.
CUSTOM = {
    "admin:kernel_knob_changelist": {"GET": LEADS, "POST": ADMINS},
}

# Pages without sign-in: status of GET and of an empty POST, the same for everybody.
OPEN = {
    "healthz": {"GET": 200, "POST": 405},
    "readyz": {"GET": 200, "POST": 405},
    "metrics": {"GET": 200, "POST": 405},
    "schema": {"GET": 200, "POST": 405},
    "docs": {"GET": 200, "POST": 405},
    "set_language": {"GET": 302, "POST": 302},
}
