"""Changes to what schemathesis generates and reports, each with its reason."""

import json
import os
import re

import schemathesis

# The ids and addresses of the fuzzed accounts.
OWN = json.loads(os.environ["FUZZ_OWN"])

# Refusals of a well-formed request that no schema can state. Any other refusal of a request that the document
# allows is a finding.
STATEFUL_CODES = {
    "account_frozen": "depends on the account",
    "attachment_not_found": "depends on the artifacts of the tenant",
    "idempotency_key_reused": "depends on earlier requests",
    "insufficient_credits": "depends on the account",
    "invalid_cursor": "cursors are signed, or refer to events",
    "invalid_event": "events are signed",
    "invalid_mail_token": "tokens are random and stored",
    "invalid_signature": "events are signed",
    "mcp_server_unreachable": "the server must answer",
    "no_session": "depends on the credential",
    "not_for_sale": "depends on the catalog",
}

# The same for refusals whose code says less, and for rules about several members.
STATEFUL_DETAILS = {
    "The conversation has no such run or message. Name one that its list of messages shows.": "depends on the project",
    "The request changes nothing. Send a name, a head or both.": "no member alone is required",
}

# Rules of single fields that no schema can state, by the place that the problem names. N is any index.
RULES = {
    "POST /api/admin/billing/adjustments": {"#/amount": "is not 0"},
    "POST /api/auth/api-keys": {"#/expires_at": "is in the future"},
    "POST /api/auth/password": {"#/new_password": "is hard to guess"},
    "POST /api/auth/password-reset/confirm": {"#/password": "is hard to guess"},
    "POST /api/auth/register": {"#/password": "is hard to guess"},
    "POST /api/users": {"#/password": "is hard to guess"},
    "POST /api/billing/checkout": {
        "#/plan": "is sent if and only if no pack is",
        "#/pack": "is sent if and only if no plan is",
        "#/price": "belongs to a plan",
        "#/quantity": "belongs to a pack",
    },
    "GET /api/billing/usage": {"from": "is not later than `to`"},
    "POST /api/chat": {"#/messages": "depends on the role and the text of the last message"},
    "POST /api/exports": {
        "#/artifact_id": "is sent if and only if no other id is",
        "#/format": "depends on the source",
    },
    "POST /api/hooks": {"#/secret": "is base 64, and is sent only if `signed` is true"},
    "PATCH /api/hooks/{id}": {"#/secret": "is base 64, and is needed when a hook begins to demand signatures"},
    "POST /api/mcp-servers": {"#/url": "is a public address"},
    "POST /api/mcp-servers/{name}/authorize": {"#/redirect_uri": "is a page of the deployment"},
    "PUT /api/mcp-servers/{name}/authorize": {"#/state": "is that of a sign-in that was begun"},
    "POST /api/runs/{id}/resume": {
        "#/answers/N": "is the only answer to its question",
        "#/answers/N/interrupt_id": "is a question of the run",
    },
    "PUT /api/web-fetch": {"#/hosts": "depends on `mode`"},
}


# An index in a JSON pointer.
INDEX = re.compile(r"/\d+(?=/|$)")

# JSON Schema counts 5.0 among the integers. The parser does not.
FRACTION = re.compile(r"invalid type: floating point `[-\d.e+]+`, expected [ui]\d+$")

# The routes that the operator's key opens, and no token of a user.
OPERATORS = re.compile("^/api/(admin/(billing|users)/|auth/invitations)")


class Operator:
    """Authenticates requests as the operator, on its routes only."""

    def get(self, case, context):
        return os.environ["ADMIN_KEY"] if OPERATORS.match(case.operation.path) else None

    def set(self, case, data, context):
        case.headers["x-admin-key"] = data


@schemathesis.hook
def after_load_schema(context, schema):
    # The first provider that has a credential is used. The others are the two accounts.
    schema.auth.providers.insert(0, Operator())


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.operation.label == "POST /mcp":
        # MCP demands that clients accept both.
        case.headers["Accept"] = "application/json, text/event-stream"


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Describes each frame of a stream. The document describes the data of a frame: OpenAPI 3.1 has no word for more."""
    for path in raw_schema["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                stream = response.get("content", {}).get("text/event-stream")
                if stream:
                    stream["schema"] = frame(stream["schema"])


def frame(data):
    document = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    # The end of a stream of the AI SDK.
    properties = {"data": {"anyOf": [{"const": "[DONE]"}, document]}}
    return {"type": "object", "properties": properties}


@schemathesis.hook
def filter_case(context, case):
    """Keeps the fuzzed accounts alive: a request that deletes or suspends one of them would end the run."""
    label = case.operation.label
    if label == "DELETE /api/auth/me":
        return (case.query or {}).get("user_id") not in OWN["users"]
    if label.startswith("POST /api/admin/users/"):
        return not isinstance(case.body, dict) or case.body.get("email") not in OWN["emails"]
    return True


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Returns False for an answer that is right, although a check of schemathesis expects another one."""
    kind = type(failure).__name__
    if kind == "UnsupportedMethodResponse":
        return not is_gateways(response)
    if kind == "RejectedPositiveData":
        return not is_explained(case.operation.label, response)
    return True


def is_gateways(response):
    """Returns True if API Gateway has answered. It knows no 405: a method without a route is 404, and no function runs."""
    return response.status_code == 404 and response.content == b'{"message":"Not Found"}'


def is_explained(label, response):
    """Returns True if the problem is one of the two tables."""
    try:
        problem = response.json()
    except ValueError:
        return False
    if problem.get("code") in STATEFUL_CODES or problem.get("detail") in STATEFUL_DETAILS:
        return True
    errors = problem.get("errors", [])
    if errors and all(FRACTION.match(error["detail"]) for error in errors):
        return True
    places = {INDEX.sub("/N", error.get("pointer") or error.get("parameter") or "") for error in errors}
    return bool(places) and places <= RULES.get(label, {}).keys()
