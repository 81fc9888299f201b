"""The names of the emulated workspace."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Workspace"]


@frozen(kw_only=True)
class Workspace:
    """An Azure ML workspace's names.

    Attributes:
        subscription_id: Of its subscription, a UUID.
        resource_group: Its resource group.
        name: Its name.
        id: Its own id, a UUID. The SDK keeps what it has uploaded under it, so state that is new needs a new one.
        location: Azure's region.
        storage_account: The account of its blobs.
        url: Where its services listen, ``http://127.0.0.1:<port>``.
        is_further: Whether it was created beside the emulator's own.
    """

    subscription_id: str
    resource_group: str
    name: str
    id: str
    location: str
    storage_account: str
    url: str
    is_further: bool = False

    @property
    def scope(self) -> str:
        """Its path in Azure Resource Manager."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"
        )

    @property
    def api_host(self) -> str:
        """The host of its services in Azure, for clients that reach them by TLS alone."""
        return f"{self.location}.api.azureml.ms"

    @property
    def blob_host(self) -> str:
        """The host of its blobs."""
        return f"{self.storage_account}.blob.core.windows.net"
