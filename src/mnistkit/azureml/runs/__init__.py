"""Jobs on their way into a workspace and runs in it, for both SDKs."""
