"""Deletes the stack, and says what it keeps: the data.

scripts/destroy [--stack NAME] [--region REGION]
"""

import argparse
import subprocess
import sys

import boto3
from samtranslator.yaml_helper import yaml_parse

# How to delete what a stack leaves, by its type.
REMOVAL = {
    "AWS::DynamoDB::Table": """\
aws dynamodb update-table --no-deletion-protection-enabled --table-name {id}
aws dynamodb delete-table --table-name {id}""",
    # All versions first, up to a thousand at a time.
    "AWS::S3::Bucket": """\
aws s3api delete-objects --bucket {id} --delete "$(aws s3api list-object-versions --bucket {id} --max-items 1000 \\
  --output json --query '{{Objects: [Versions, DeleteMarkers][] | [].{{Key: Key, VersionId: VersionId}}}}')"
aws s3 rb s3://{id}""",
    "AWS::SecretsManager::Secret": "aws secretsmanager delete-secret --force-delete-without-recovery --secret-id {id}",
}
# Types that cost something, or are in the way of the next deployment, if a deleted stack leaves them.
CHECKED = {
    "lambda": ("list_functions", "Functions", "FunctionName"),
    "sqs": ("list_queues", "QueueUrls", None),
    "cloudwatch": ("describe_alarms", "MetricAlarms", "AlarmName"),
    "logs": ("describe_log_groups", "logGroups", "logGroupName"),
}


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/destroy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stack", default="sequent")
    parser.add_argument("--region", default=boto3.Session().region_name)
    options = parser.parse_args()
    if not options.region:
        sys.exit("scripts/destroy: no Region is set; use --region")

    def sam(*command):
        if subprocess.run(["sam", *command], stdin=subprocess.DEVNULL).returncode != 0:
            sys.exit("scripts/destroy: sam failed; its output says why. What was deleted stays deleted; run it again.")

    destroy(options.stack, options.region, sam)


def destroy(stack, region, sam):
    keeps = kept(stack, region)
    sam("delete", "--no-prompts", "--stack-name", stack, "--region", region)
    print("\nThe data is kept, and so is what decrypts it. To delete it for good:\n")
    for kind, identity in keeps:
        print(REMOVAL[kind].format(id=identity))
    print("\nKept tables and buckets cost what they store; the secret of CloudFront costs 0.40 dollars a month.")


def kept(stack, region):
    """Returns the type and id of what the stack retains when it is deleted."""
    cloudformation = boto3.client("cloudformation", region_name=region)
    template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    # JSON arrives parsed, YAML as text.
    template = yaml_parse(template) if isinstance(template, str) else template
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
    return [
        (resource["ResourceType"], resource["PhysicalResourceId"])
        for resource in resources
        if "Retain" in template["Resources"].get(resource["LogicalResourceId"], {}).get("DeletionPolicy", "")
    ]


def check_only_kept(stack, region):
    """Fails if the deleted stack has left a resource that it does not say it keeps."""
    left = []
    for service, (operation, key, name) in CHECKED.items():
        found = getattr(boto3.client(service, region_name=region), operation)().get(key, [])
        left += [text for item in found if stack in (text := item[name] if name else item)]
    if left:
        sys.exit(f"scripts/destroy: the stack is deleted, but these remain: {', '.join(left)}")


if __name__ == "__main__":
    main()
