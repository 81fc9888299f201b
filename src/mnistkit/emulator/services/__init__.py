"""Azure's services, a module each, with a table of routes."""
