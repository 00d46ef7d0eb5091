"""voc: what people tell us, and what we owe them.

Promises: every voice is kept with the channel it came through and gets a decision; a ticket has a date that
its first voice sets; when a fix ships, everyone who asked is told once, whatever was merged, backported or
killed half way; who was not told is listed with the reason.
Vocabulary: feedback, ticket, follower, promise clock, release, fix notice, round, credit, changelog.
Reading order: states.py, models/, services/releases.py, services/telling.py.
"""
