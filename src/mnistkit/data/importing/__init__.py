"""Datasets from files that people have: tables as CSV or parquet, and arrays as ``.npz`` or ``.npy``."""
