"""Staff pages of lifecycle: outbox, deliveries, journeys, people on a journey, message texts."""

from lifecycle.admin import enrolments, journeys, messages, templates

__all__ = ["enrolments", "journeys", "messages", "templates"]
