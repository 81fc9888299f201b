"""Pipelines of the SDK's first version: modules, graphs, runs, published pipelines and schedules."""
