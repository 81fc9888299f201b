"""What a registry in the workspace is made of: records, files, and the history of each model."""
