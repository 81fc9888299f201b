"""MLflow's REST API over a workspace's own runs, metrics, artifacts and models: tracking, search, model registry."""
