"""Models in a workspace, for both SDKs: versions with manifests, and the event log of each model."""
