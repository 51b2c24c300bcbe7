"""One file a server: how it is configured and started."""
