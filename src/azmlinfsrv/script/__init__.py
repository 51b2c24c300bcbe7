"""The user's entry script, seen from inside the process that runs it. No processes, no sockets."""
