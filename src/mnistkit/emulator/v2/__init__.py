"""The workspace as the SDK's second version (azure-ai-ml) sees it: resources of Azure Resource Manager."""
