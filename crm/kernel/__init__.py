"""The kernel: what every app of Renxin stands on.

It promises that errors have stable codes, that every write knows its actor, that work is enqueued in one
place only, that a recorded fact reaches every receiver at least once, that an API retry has one effect,
and that the log of actions cannot be changed unseen. It knows no people, messages or tickets.

Vocabulary: actor, fact, receiver, pending reaction, dead letter, knob, slot, idempotency key, action log.
"""
