#!/usr/bin/env bash
# Makes an Azure Event Grid namespace ask ticketgate who may connect. It holds the secret, so this file
# is one: mode 0700, nobody else's. README.md in this folder says what the variables are.
set -euo pipefail

: "${RESOURCE_GROUP:?the resource group of the namespace}"
: "${NAMESPACE:?the name of the Event Grid namespace}"
: "${IDENTITY:?the resource id of the user-assigned identity that Event Grid shows to ticketgate}"
: "${AUDIENCE:?the application id URI that its token is for, such as api://.../.default}"
: "${ENTRA_TENANT:?the Microsoft Entra tenant id}"

version=2025-04-01-preview
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

id=$(az eventgrid namespace show --resource-group "$RESOURCE_GROUP" --name "$NAMESPACE" \
    --query id --output tsv)
url="https://management.azure.com$id?api-version=$version"
az rest --method get --url "$url" >"$work/before.json"

# The URL comes from a file: on a command line everybody on the machine could read it.
cat >"$work/hook.json" <<'JSON'
{"url": "@HOOK_URL@/auth"}
JSON

# Event Grid knows no anonymous clients, and refuses when it gets no answer within about five seconds.
# Nothing is cached: it asks at every CONNECT.
jq --slurpfile hook "$work/hook.json" --arg identity "$IDENTITY" --arg audience "$AUDIENCE" \
    --arg tenant "$ENTRA_TENANT" '
    .identity.type = "UserAssigned" | .identity.userAssignedIdentities[$identity] = {}
    | .properties.topicSpacesConfiguration.state = "Enabled"
    | .properties.topicSpacesConfiguration.clientAuthentication.webHookAuthentication = {
        identity: {type: "UserAssigned", userAssignedIdentity: $identity},
        endpointUrl: $hook[0].url,
        azureActiveDirectoryApplicationIdOrUri: $audience,
        azureActiveDirectoryTenantId: $tenant
    }' "$work/before.json" >"$work/after.json"
az rest --method put --url "$url" --body "@$work/after.json" --output none

printf '%s now asks ticketgate.\n' "$NAMESPACE"
