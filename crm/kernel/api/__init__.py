"""Base classes of the REST API: strict input, one error form, scopes, cursors and idempotent POSTs."""
