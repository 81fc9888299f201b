"""Azure Machine Learning through the SDK v2 (azure-ai-ml). Extra ``azure``."""
