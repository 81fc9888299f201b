"""What the emulated workspace answers: one module for each of Azure's services, each with its table of routes."""
