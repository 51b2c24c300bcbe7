"""Parse, call, print; the work is elsewhere."""
