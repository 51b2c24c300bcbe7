"""The folder where other WSGI servers look for the application (R8.5)."""
