"""Tests of the local pages over HTTP, without a browser."""
