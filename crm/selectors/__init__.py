"""Every read of crm that is not trivial."""
