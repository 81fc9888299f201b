"""Jobs on their way into the workspace, and what it tells of them from then on."""
