"""The suite. Its servers are started once per run by the plugin tests.servers."""
