"""Azure Resource Manager: one subscription, one resource group, one workspace."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.workspace import Workspace

__all__ = ["ResourceManager"]

_HOST = "management.azure.com"
_FILTER_PATTERN = re.compile(r"(?:resourceGroup eq '(?P<group>[^']+)' and )?resourceType eq '(?P<type>[^']+)'")
_CREATION_TIME = "2026-01-01T00:00:00.0000000Z"
_PROVIDER = "Microsoft.MachineLearningServices"
_RESOURCE_TYPES = ("workspaces", "workspaces/computes", "operations")
_REGIONS = (
    *("East US", "East US 2", "Central US", "North Central US", "South Central US", "West Central US", "West US"),
    *("West US 2", "West US 3", "Canada Central", "Canada East", "Brazil South", "North Europe", "West Europe"),
    *("UK South", "UK West", "France Central", "Germany West Central", "Norway East", "Switzerland North"),
    *("Sweden Central", "South Africa North", "UAE North", "Central India", "East Asia", "Southeast Asia"),
    *("Japan East", "Japan West", "Korea Central", "Australia East", "Australia Southeast"),
)


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
            Route("PATCH|PUT|DELETE", "{scope}", self._refuse_change, host=_HOST),
            Route("PUT", f"{group}/providers/Microsoft.Resources/deployments/{{name}}", self._refuse_new, host=_HOST),
            Route("GET", f"/subscriptions/{{subscription_}}/providers/{_PROVIDER}", self._get_provider, host=_HOST),
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

    def _get_provider(self, request: Request) -> Response:
        types = [
            {"resourceType": each, "locations": _REGIONS, "apiVersions": ["2021-07-01"]} for each in _RESOURCE_TYPES
        ]
        where = f"/subscriptions/{self._workspace.subscription_id}/providers/{_PROVIDER}"
        about = {"id": where, "namespace": _PROVIDER, "registrationState": "Registered"}
        return Response.json(about | {"registrationPolicy": "RegistrationRequired", "resourceTypes": types})

    def _refuse_change(self, request: Request) -> Response:
        name = self._workspace.name
        raise NotEmulated("workspaces", f"The workspace {name!r} can't be changed or deleted: stop its emulator.")

    def _refuse_new(self, request: Request, name: str) -> Response:
        mine = self._workspace.name
        raise NotEmulated(
            "workspaces", f"This emulator has the workspace {mine!r} alone; start another for another one."
        )

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
