"""What runs on the node; the job itself needs the standard library alone."""
