"""lifecycle: what we do about it — messages, and the journeys that decide when one is due.

Promises: a message goes at most once per (kind, person, subject key), and its one decision record says sent,
held, dropped or failed and why; consent, quiet hours and contact pressure are read when it is claimed; a journey
takes a person in once per entry key and lets go of them the moment its goal is met.
Vocabulary: message kind, template, decision, delivery, gap, inbox, journey, enrolment, entry key, arm, holdout.
Reading order: states.py, registry.py, services/messages.py, services/deciding.py, services/sending.py,
services/enrolments.py, services/walking.py.
"""
