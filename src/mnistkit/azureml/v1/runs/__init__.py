"""Submitting jobs and reading runs through the SDK v1."""
