"""Puts the tables of a stack back to an earlier state, in place.

    scripts/restore --stack NAME --at 2026-11-30T06:00:00Z             the data, to a second of the last 35 days
    scripts/restore --stack NAME --at 2026-11-30T06:00:00Z --secrets   the secrets that are missing now
    scripts/restore --stack NAME --from MAIN EVENTS SECRETS            to the tables that a deleted stack has kept

DynamoDB restores into new tables, which a stack cannot adopt. This script therefore restores the tables beside the
live ones, stops every function of the stack, writes the rows that differ and deletes those that are too many, and
starts the functions again. It costs write units for the rows that differ only.

Secrets are never put back to an earlier state: rows of any time need the newest sealing keys, and a key that was
discarded must not return. A secret is put back if it is missing, and sealing keys are added to those that exist. What
the script does not restore, and what to do afterwards, is in infra/docs/operations.md.
"""

import argparse
import contextlib
import datetime
import json
import sys
import time

import boto3

TABLES = ("MainTable", "EventsTable")
SECRETS = "SecretsTable"
SEALING = "secret#sealing"
# The longest invocation. A function that was stopped still ends the work that it has begun.
DRAIN_SECONDS = 900


class Stack:
    """The live resources of a stack."""

    def __init__(self, name, region):
        self.region = region
        self.dynamodb = boto3.client("dynamodb", region_name=region)
        self.functions = boto3.client("lambda", region_name=region)
        pages = (
            boto3.client("cloudformation", region_name=region)
            .get_paginator("list_stack_resources")
            .paginate(StackName=name)
        )
        resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
        physical = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources}
        self.tables = {name: physical[name] for name in TABLES}
        self.secrets = physical[SECRETS]
        self.scheduler = physical["SchedulerFunction"]
        self.function_names = [
            r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::Lambda::Function"
        ]
        self.mappings = [
            r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::Lambda::EventSourceMapping"
        ]

    @contextlib.contextmanager
    def stopped(self, drain):
        """Keeps every function from running, and queues from losing their messages to refused invocations."""
        reserved = {}
        for name in self.function_names:
            reserved[name] = self.functions.get_function_concurrency(FunctionName=name).get(
                "ReservedConcurrentExecutions"
            )
        try:
            self.enable(False)
            for name in self.function_names:
                self.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
            time.sleep(drain)
            yield
        finally:
            for name, before in reserved.items():
                if before is None:
                    self.functions.delete_function_concurrency(FunctionName=name)
                else:
                    self.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=before)
            self.enable(True)

    def enable(self, enabled):
        for mapping in self.mappings:
            self.functions.update_event_source_mapping(UUID=mapping, Enabled=enabled)

    def restored(self, at, tables):
        """Restores each of these tables to a new one, and returns their names when they can be read."""
        copies = {}
        for logical, table in tables.items():
            copies[logical] = f"{table}-{at:%Y%m%dT%H%M%S}"
            self.dynamodb.restore_table_to_point_in_time(
                SourceTableName=table, TargetTableName=copies[logical], RestoreDateTime=at
            )
        for copy in copies.values():
            # A restore takes minutes to hours, by the size of the table.
            self.dynamodb.get_waiter("table_exists").wait(
                TableName=copy, WaiterConfig={"Delay": 20, "MaxAttempts": 1000}
            )
        return copies

    def publish_keys(self):
        """Has the scheduler publish the public halves of the signing keys, if others are published."""
        self.functions.invoke(FunctionName=self.scheduler, Payload=json.dumps({"task": "rotate_signing_key"}))


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/restore", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stack", default="sequent")
    parser.add_argument("--region", default=boto3.Session().region_name)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--at", type=datetime.datetime.fromisoformat, metavar="TIME", help="with its time zone")
    source.add_argument("--from", dest="tables", nargs=3, metavar=("MAIN", "EVENTS", "SECRETS"))
    parser.add_argument("--secrets", action="store_true", help="the secrets that are missing, and no data")
    options = parser.parse_args()
    if options.secrets and not options.at:
        parser.error("--secrets needs --at; --from puts secrets back anyway")
    if options.at and not options.at.tzinfo:
        sys.exit("scripts/restore: the time needs a time zone, for example 2026-11-30T06:00:00Z")
    stack = Stack(options.stack, options.region)
    if options.tables:
        copies = dict(zip((*TABLES, SECRETS), options.tables))
    else:
        print("restoring tables beside the live ones ...", flush=True)
        copies = stack.restored(options.at, {SECRETS: stack.secrets} if options.secrets else stack.tables)
    kept = copies.pop(SECRETS, None)
    if kept:
        restore_secrets(stack.dynamodb, kept, stack.secrets)
        stack.publish_keys()
    if copies:
        restore_data(stack, copies, options.stack)
    if options.at:
        print("\nThe restored tables cost what they store. To delete them:\n")
        for copy in filter(None, [*copies.values(), kept]):
            print(f"  aws dynamodb delete-table --table-name {copy}")


def restore_data(stack, copies, name):
    print(
        f"stopping {len(stack.function_names)} functions, and waiting {DRAIN_SECONDS // 60} minutes for the last ...",
        flush=True,
    )
    restore(stack, copies, DRAIN_SECONDS)
    print(f"\nThe functions run again. Now audit the tables:\n\n  scripts/audit {name}")


def restore_secrets(dynamodb, copy, live):
    """Puts back the secrets that are missing, and adds the sealing keys that are. Functions may run meanwhile."""
    keys = key_names(dynamodb, live)
    for row in (row for batch in batches(dynamodb, copy) for row in batch):
        name = row["pk"]["S"].removeprefix("secret#")
        (found,) = get(dynamodb, live, [key(row, keys)]) or [None]
        if not found:
            dynamodb.put_item(TableName=live, Item=row, ConditionExpression="attribute_not_exists(pk)")
            print(f"{SECRETS}: {name} put back")
        elif row["pk"]["S"] == SEALING and (merged := together(row["keys"]["L"], found["keys"]["L"])):
            # The condition keeps a key that was added at the same time.
            dynamodb.update_item(
                TableName=live,
                Key=key(row, keys),
                UpdateExpression="SET #keys = :merged",
                ConditionExpression="#keys = :found",
                ExpressionAttributeNames={"#keys": "keys"},
                ExpressionAttributeValues={":merged": {"L": merged}, ":found": found["keys"]},
            )
            print(f"{SECRETS}: {len(merged) - len(found['keys']['L'])} keys added to {name}")


def together(earlier, present):
    """Returns the earlier keys before the present ones, of which the last seals. `None` if none is missing."""
    missing = [each for each in earlier if each not in present]
    return missing + present if missing else None


def restore(stack, copies, drain):
    with stack.stopped(drain):
        for logical, copy in copies.items():
            live = stack.tables[logical]
            written = sum(write(stack.dynamodb, live, puts) for puts in differing(stack.dynamodb, copy, live))
            deleted = sum(write(stack.dynamodb, live, removals) for removals in surplus(stack.dynamodb, copy, live))
            print(f"{logical}: {written} rows written, {deleted} rows deleted")


def differing(dynamodb, copy, live):
    """Yields the writes of the rows of the copy that the live table does not have, in batches."""
    keys = key_names(dynamodb, live)
    for rows in batches(dynamodb, copy):
        found = get(dynamodb, live, [key(row, keys) for row in rows])
        yield [{"PutRequest": {"Item": row}} for row in rows if row not in found]


def surplus(dynamodb, copy, live):
    """Yields the deletions of the rows of the live table that the copy does not have, in batches."""
    keys = key_names(dynamodb, live)
    for rows in batches(dynamodb, live):
        found = [key(row, keys) for row in get(dynamodb, copy, [key(row, keys) for row in rows])]
        yield [{"DeleteRequest": {"Key": key(row, keys)}} for row in rows if key(row, keys) not in found]


def key_names(dynamodb, table):
    return [part["AttributeName"] for part in dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]]


def key(row, names):
    return {name: row[name] for name in names}


def batches(dynamodb, table):
    # 25 rows are the most that one request may write.
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        rows = page["Items"]
        yield from (rows[start : start + 25] for start in range(0, len(rows), 25))


def get(dynamodb, table, keys):
    rows = []
    wanted = {table: {"Keys": keys, "ConsistentRead": True}} if keys else {}
    while wanted:
        answer = dynamodb.batch_get_item(RequestItems=wanted)
        rows += answer["Responses"].get(table, [])
        wanted = answer.get("UnprocessedKeys")
    return rows


def write(dynamodb, table, requests):
    """Writes a batch, and returns its size."""
    pending = {table: requests} if requests else {}
    while pending:
        pending = dynamodb.batch_write_item(RequestItems=pending).get("UnprocessedItems")
    return len(requests)


def drill(name, region):
    """Tries it on the emulator: copies the tables, damages the live ones, and restores them. Fails if a row differs."""
    stack = Stack(name, region)
    rows = {
        "MainTable": [{"pk": {"S": f"t{n}"}, "sk": {"S": "row"}, "value": {"N": str(n)}} for n in range(60)],
        "EventsTable": [{"run": {"S": "r"}, "seq": {"N": str(n)}, "text": {"S": "x" * n}} for n in range(1, 60)],
    }
    for logical, table in stack.tables.items():
        for row in rows[logical]:
            stack.dynamodb.put_item(TableName=table, Item=row)
    before = contents(stack)
    copies = stack.restored(datetime.datetime.now(datetime.UTC), stack.tables)
    damage(stack, rows)
    if contents(stack) == before:
        sys.exit("scripts/restore: the drill has damaged nothing")
    restore(stack, copies, drain=0)
    if contents(stack) != before:
        sys.exit("scripts/restore: the drill has not restored every row")
    for function in stack.function_names:
        if "ReservedConcurrentExecutions" in stack.functions.get_function_concurrency(FunctionName=function):
            sys.exit(f"scripts/restore: the drill has left {function} stopped")
    for copy in copies.values():
        stack.dynamodb.delete_table(TableName=copy)
    drill_secrets(stack)


def drill_secrets(stack):
    """Loses secrets, one of which is made again, and changes another. The lost ones return, the new ones stay."""
    def secret(name, **fields):
        return {"pk": {"S": f"secret#{name}"}, "sk": {"S": "secret"}} | fields

    def put(row):
        stack.dynamodb.put_item(TableName=stack.secrets, Item=row)

    def sealing(*keys):
        return secret("sealing", keys={"L": [{"S": each} for each in keys]})

    preview = secret("preview", key={"S": "k"})
    for row in (sealing("first", "second"), preview, secret("models", openai_api_key={"S": "old"})):
        put(row)
    copies = stack.restored(datetime.datetime.now(datetime.UTC), {SECRETS: stack.secrets})
    stack.dynamodb.delete_item(TableName=stack.secrets, Key=secret("preview"))
    newer = secret("models", openai_api_key={"S": "new"})
    put(newer)
    put(sealing("made since"))
    restore_secrets(stack.dynamodb, copies[SECRETS], stack.secrets)
    expected = [sealing("first", "second", "made since"), preview, newer]
    for row in expected:
        found = get(stack.dynamodb, stack.secrets, [key(row, ["pk", "sk"])])
        if found != [row]:
            sys.exit(f"scripts/restore: the drill has found {found} in place of {row}")
    stack.dynamodb.delete_table(TableName=copies[SECRETS])


def damage(stack, rows):
    """Deletes a row, changes one and adds one in each table."""
    for logical, table in stack.tables.items():
        keys = key_names(stack.dynamodb, table)
        first, second, third = rows[logical][:3]
        stack.dynamodb.delete_item(TableName=table, Key=key(first, keys))
        stack.dynamodb.put_item(TableName=table, Item={**second, "value": {"S": "damaged"}})
        added = {"S": "added"} if "S" in third[keys[1]] else {"N": "1000"}
        stack.dynamodb.put_item(TableName=table, Item={**third, keys[1]: added})


def contents(stack):
    tables = {}
    for logical, table in stack.tables.items():
        rows = [row for batch in batches(stack.dynamodb, table) for row in batch]
        tables[logical] = sorted(rows, key=str)
    return tables


if __name__ == "__main__":
    main()
