"""Azure Resource Manager: one subscription, one resource group, one workspace."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.workspace import Workspace

__all__ = ["ResourceManager"]

_HOST = "management.azure.com"
_FILTER_PATTERN = re.compile(r"(?:resourceGroup eq '(?P<group>[^']+)' and )?resourceType eq '(?P<type>[^']+)'")
_CREATION_TIME = "2026-01-01T00:00:00.0000000Z"


class ResourceManager:
    """The resources of the subscription."""

    def __init__(self, workspace: Workspace, tokens: Tokens) -> None:
        self._workspace = workspace
        self._tokens = tokens

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        workspaces = "/providers/Microsoft.MachineLearningServices/workspaces"
        group = "/subscriptions/{subscription_}/resourceGroups/{group_}"
        return (
            Route("GET", "/subscriptions", self._list_subscriptions, host=_HOST),
            Route("GET", "/tenants", self._list_tenants, host=_HOST),
            Route("GET", "{scope}", self._get_workspace, host=_HOST),
            Route("GET", group, self._get_group, host=_HOST),
            Route("GET", f"{group}{workspaces}", self._list_workspaces, host=_HOST),
            Route("GET", f"/subscriptions/{{subscription_}}{workspaces}", self._list_workspaces, host=_HOST),
            Route("GET", "/subscriptions/{subscription_}/resources", self._list_resources, host=_HOST),
        )

    def _list_subscriptions(self, request: Request) -> Response:
        subscription = self._workspace.subscription_id
        return Response.json(
            {
                "value": [
                    {
                        "id": f"/subscriptions/{subscription}",
                        "subscriptionId": subscription,
                        "displayName": "emulator",
                        "state": "Enabled",
                        "tenantId": self._tokens.identity.tenant_id,
                        "authorizationSource": "RoleBased",
                    }
                ]
            }
        )

    def _list_tenants(self, request: Request) -> Response:
        tenant = self._tokens.identity.tenant_id
        return Response.json({"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant}]})

    def _get_group(self, request: Request) -> Response:
        mine = self._workspace
        return Response.json(
            {
                "id": f"/subscriptions/{mine.subscription_id}/resourceGroups/{mine.resource_group}",
                "name": mine.resource_group,
                "type": "Microsoft.Resources/resourceGroups",
                "location": mine.location,
                "properties": {"provisioningState": "Succeeded"},
            }
        )

    def _get_workspace(self, request: Request) -> Response:
        return Response.json(self._description())

    def _list_workspaces(self, request: Request) -> Response:
        return Response.json({"value": [self._description()]})

    def _list_resources(self, request: Request) -> Response:
        """List the resources of a type and, if it is named, of a resource group."""
        terms = _FILTER_PATTERN.fullmatch(request.query.get("$filter", ""))
        if not terms:
            raise Refusal(400, "The emulator lists resources by resourceType, and resourceGroup before it, alone.")
        mine = self._description()
        is_wanted = terms["type"].lower() == mine["type"].lower() and (
            terms["group"] is None or terms["group"].lower() == self._workspace.resource_group.lower()
        )
        shown = {name: mine[name] for name in ("id", "name", "type", "location", "tags")}
        return Response.json({"value": [shown] if is_wanted else []})

    def _description(self) -> dict[str, Any]:
        mine = self._workspace
        provider = f"/subscriptions/{mine.subscription_id}/resourceGroups/{mine.resource_group}/providers/Microsoft"
        return {
            "id": mine.scope,
            "name": mine.name,
            "type": "Microsoft.MachineLearningServices/workspaces",
            "location": mine.location,
            "tags": {},
            "properties": {
                "workspaceId": mine.id,
                "discoveryUrl": f"{mine.url}/discovery",
                "friendlyName": mine.name,
                "description": "",
                "storageAccount": f"{provider}.Storage/storageAccounts/{mine.storage_account}",
                "keyVault": f"{provider}.KeyVault/vaults/emulator",
                "applicationInsights": f"{provider}.insights/components/emulator",
                "containerRegistry": None,
                "provisioningState": "Succeeded",
                "creationTime": _CREATION_TIME,
                "hbiWorkspace": False,
            },
            "identity": {
                "type": "SystemAssigned",
                "principalId": self._tokens.identity.client_id,
                "tenantId": self._tokens.identity.tenant_id,
            },
            "sku": {"name": "Basic", "tier": "Basic"},
        }
