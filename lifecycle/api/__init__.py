"""REST of lifecycle: decisions, journeys, enrolments, kinds of messages and their texts."""
