"""The application without a socket: routes, ids, errors. Knows a Pool, no server."""
