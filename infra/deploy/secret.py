"""Stores and rotates the secrets of a stack on AWS.

    scripts/secret STACK list                     names the secrets and their fields, without values
    scripts/secret STACK set SECRET FIELD         stores a value, which it reads from the terminal or from a pipe
    scripts/secret STACK remove SECRET FIELD      removes a value
    scripts/secret STACK rotate sealing           adds a key: new values are sealed with it, and old ones still open
    scripts/secret STACK rotate signing           discards the private keys and makes new ones: access tokens end within
                                                  five minutes, until when signing in may fail; sessions go on
    scripts/secret STACK rotate origin            replaces the secret that CloudFront sends, without an outage; after an
                                                  interruption, run it again

The operator's secrets and their fields:

    models           openai_api_key, openai_base_url, anthropic_api_key
    prices           table (JSON, see infra/docs/billing.md)
    abilities        table (JSON, see infra/docs/operations.md)
    prompts          tenant (id of the tenant whose prompts jobs use, see infra/docs/operations.md)
    admin            key (X-Admin-Key, at least 32 characters)
    stripe           secret_key
    stripe-webhook   signing_secret, and previous_signing_secret during a rotation
    traces           headers (name=value, separated by commas, see infra/docs/operations.md)

The functions make the other secrets. Warm instances use a new value within five minutes.
"""

import argparse
import base64
import getpass
import json
import secrets
import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

OPERATORS = {
    "models": ("openai_api_key", "openai_base_url", "anthropic_api_key"),
    "prices": ("table",),
    "abilities": ("table",),
    "prompts": ("tenant",),
    "admin": ("key",),
    "stripe": ("secret_key",),
    "stripe-webhook": ("signing_secret", "previous_signing_secret"),
    "traces": ("headers",),
}
SHORTEST_ADMIN_KEY = 32
# Every function accepts a new origin secret after this: they read secrets again every 300 seconds.
REFRESHED = 330
HEADER = "x-origin-verify"


class Stack:
    """The secrets of a stack, and the resources that use them."""

    def __init__(self, name, region):
        self.region = region
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=name)
        resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
        self.resources = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources}
        self.table = self.resources["SecretsTable"]
        self.dynamodb = self.client("dynamodb")

    def client(self, service):
        return boto3.client(service, region_name=self.region)

    def update(self, secret, expression, field, value=None):
        values = {} if value is None else {"ExpressionAttributeValues": {":value": value}}
        self.dynamodb.update_item(
            TableName=self.table,
            Key=key_of(secret),
            UpdateExpression=expression,
            ExpressionAttributeNames={"#field": field},
            **values,
        )


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/secret", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--region", default=boto3.Session().region_name)
    parser.add_argument("stack")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    for name in ("set", "remove"):
        command = commands.add_parser(name)
        command.add_argument("secret", choices=OPERATORS)
        command.add_argument("field")
    commands.add_parser("rotate").add_argument("secret", choices=ROTATIONS)
    options = parser.parse_args()
    if options.command in ("set", "remove") and options.field not in OPERATORS[options.secret]:
        parser.error(f"{options.secret} has the fields {', '.join(OPERATORS[options.secret])}")
    if not options.region:
        parser.error("no Region is set; use --region")
    try:
        run(Stack(options.stack, options.region), options)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"scripts/secret: AWS refuses it: {error}")


def run(stack, options):
    match options.command:
        case "list":
            show(stack)
        case "set":
            value = read_value(options.secret, options.field)
            stack.update(options.secret, "SET #field = :value", options.field, {"S": value})
        case "remove":
            stack.update(options.secret, "REMOVE #field", options.field)
        case "rotate":
            ROTATIONS[options.secret](stack)


def read_value(secret, field):
    """Reads a value without showing it. It is never an argument of a command, where other users could see it."""
    value = getpass.getpass(f"{secret} {field}: ") if sys.stdin.isatty() else sys.stdin.read()
    value = value.strip()
    if not value:
        sys.exit("scripts/secret: the value is empty; nothing was changed")
    if secret == "admin" and len(value) < SHORTEST_ADMIN_KEY:
        proposal = secrets.token_urlsafe(32)
        sys.exit(f"scripts/secret: an admin key has at least {SHORTEST_ADMIN_KEY} characters; try {proposal}")
    if field == "table" and not is_object(value):
        sys.exit(f"scripts/secret: the table of {secret} is a JSON object, see scripts/secret --help; nothing was changed")
    return value


def is_object(text):
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def show(stack):
    for item in stack.dynamodb.scan(TableName=stack.table, ConsistentRead=True)["Items"]:
        fields = sorted(set(item) - {"pk", "sk"})
        print(f"{item['pk']['S'].removeprefix('secret#')}: {', '.join(fields)}")


def rotate_sealing(stack):
    if "Item" not in stack.dynamodb.get_item(TableName=stack.table, Key=key_of("sealing"), ConsistentRead=True):
        sys.exit("scripts/secret: there is no sealing key yet: the first secret of a tenant makes it. Nothing was changed")
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    stack.update("sealing", "SET #field = list_append(#field, :value)", "keys", {"L": [{"S": key}]})


def discard_signing(stack):
    """Deletes the private keys and the public ones together, and has the scheduler make new ones."""
    forget = {
        "TableName": stack.table,
        "Key": key_of("pipeline"),
        "UpdateExpression": "SET public_keys = :none",
        "ExpressionAttributeValues": {":none": {"L": []}},
    }
    discard = {"TableName": stack.table, "Key": key_of("signing")}
    stack.dynamodb.transact_write_items(TransactItems=[{"Delete": discard}, {"Update": forget}])
    answer = stack.client("lambda").invoke(
        FunctionName=stack.resources["SchedulerFunction"], Payload=json.dumps({"task": "rotate_signing_key"})
    )
    if "FunctionError" in answer:
        print("the keys are discarded, but the scheduler has not made new ones; the next sign-in does")


def rotate_origin(stack):
    """Functions accept the current and the previous value, so they must know the new one before CloudFront sends it.

    If CloudFront does not send the current value, an earlier rotation has stopped between its steps. It is continued: a
    third value would leave CloudFront with one that no function accepts.
    """
    cloudfront, manager = stack.client("cloudfront"), stack.client("secretsmanager")
    distribution, secret = stack.resources["Distribution"], stack.resources["OriginSecret"]
    value = manager.get_secret_value(SecretId=secret)["SecretString"]
    sent = origin_headers(cloudfront.get_distribution_config(Id=distribution)["DistributionConfig"])
    if all(header["HeaderValue"] == value for header in sent):
        value = secrets.token_urlsafe(48)
        manager.put_secret_value(SecretId=secret, SecretString=value)
    else:
        print("an earlier rotation has not reached CloudFront; continuing it")
    print(f"waiting {REFRESHED} seconds, until every function accepts the new value", flush=True)
    time.sleep(REFRESHED)
    current = cloudfront.get_distribution_config(Id=distribution)
    for header in origin_headers(current["DistributionConfig"]):
        header["HeaderValue"] = value
    cloudfront.update_distribution(
        Id=distribution, IfMatch=current["ETag"], DistributionConfig=current["DistributionConfig"]
    )
    print("waiting until every edge of CloudFront sends the new value", flush=True)
    cloudfront.get_waiter("distribution_deployed").wait(Id=distribution)


def origin_headers(config):
    """Returns the headers with the secret: one for each origin that is a function or the HTTP API."""
    lists = [origin.get("CustomHeaders", {}).get("Items", []) for origin in config["Origins"]["Items"]]
    return [header for headers in lists for header in headers if header["HeaderName"].lower() == HEADER]


def drill(name, region, executes):
    """Tries it on the emulator, whose CloudFront cannot be changed. `executes` is `True` if the scheduler was built."""
    stack = Stack(name, region)

    def stored(secret):
        return stack.dynamodb.get_item(TableName=stack.table, Key=key_of(secret)).get("Item", {})

    stack.update("models", "SET #field = :value", "openai_api_key", {"S": "key"})
    stack.update("sealing", "SET #field = :value", "keys", {"L": [{"S": "first"}]})
    rotate_sealing(stack)
    before = stored("signing")
    discard_signing(stack)
    checks = {
        "the model key is stored": stored("models")["openai_api_key"]["S"] == "key",
        "a sealing key is added": len(stored("sealing")["keys"]["L"]) == 2,
    }
    if executes:
        checks["the signing keys are others"] = stored("signing")["keys"] != before["keys"]
        checks["the new keys are published"] = len(stored("pipeline")["public_keys"]["L"]) == 1
    for what, is_so in checks.items():
        if not is_so:
            sys.exit(f"scripts/secret: the drill has failed, it is not so that {what}")
        print(f"  ok  {what}")
    show(stack)


def key_of(secret):
    return {"pk": {"S": f"secret#{secret}"}, "sk": {"S": "secret"}}


ROTATIONS = {"sealing": rotate_sealing, "signing": discard_signing, "origin": rotate_origin}


if __name__ == "__main__":
    main()
