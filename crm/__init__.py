"""crm: who people are, and what happened between them and us.

Promises: every event is stored once, on the timeline of the right person; an identifier belongs to one
person; a merge moves pointers and never history, so it can be undone exactly; consent, suppression and
contact pressure are read where a message is claimed, over everything one person ever was.
Vocabulary: profile, identity, contact point, touchpoint, source, merge, consent, suppression, pressure.
Reading order: states.py, models/, services/touchpoints.py, services/identity.py, ingest/.
"""
