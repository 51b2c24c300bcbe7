"""Tools around a script: they use the same doors as everyone."""
