"""The door: /v1/, the wire format of the Segment SDKs."""
