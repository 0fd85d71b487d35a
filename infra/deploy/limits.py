"""Checks the translated template against quotas of AWS that a deployment meets only at its end, when it rolls back.

The emulator has none of them. Numbers are the default quotas of an account, from the documentation of each service.
"""

import json

from template import flat

# Lambda refuses a reservation that leaves fewer unreserved instances than this. New accounts have ten in all.
UNRESERVED = {10: 10, 1000: 100}
# Types whose names are those of the account and not of a Region, and the path to the name.
GLOBAL_NAMES = {
    "AWS::Budgets::Budget": "Budget.BudgetName",
    "AWS::CloudFront::CachePolicy": "CachePolicyConfig.Name",
    "AWS::CloudFront::Function": "Name",
    "AWS::CloudFront::OriginAccessControl": "OriginAccessControlConfig.Name",
    "AWS::CloudFront::OriginRequestPolicy": "OriginRequestPolicyConfig.Name",
    "AWS::CloudFront::ResponseHeadersPolicy": "ResponseHeadersPolicyConfig.Name",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::S3::Bucket": "BucketName",
}


def problems(template, quota):
    """Yields each limit that a deployment of the translated template exceeds, in an account with this concurrency quota."""
    for what, value, limit in [*sizes(template), *functions(template), *policies(template), *edge(template)]:
        if value > limit:
            yield f"{what}: {value:,}, but AWS allows {limit:,}"
    yield from concurrency(template, quota)
    yield from global_names(template)


def sizes(template):
    document = template.document
    yield "resources", len(document["Resources"]), 500
    yield "parameters", len(document.get("Parameters", {})), 200
    yield "outputs", len(document.get("Outputs", {})), 200
    # Through S3, as sam deploy does. After the transform the same limit holds.
    yield "bytes of the translated template", len(json.dumps(document)), 1_000_000
    for name in document.get("Parameters", {}):
        yield f"bytes of the default of {name}", len(template.values.get(name, "")), 4096
    permissions = {}
    for _, _, permission in template.resources("AWS::Lambda::Permission"):
        permissions.setdefault(str(permission["FunctionName"]), []).append(permission)
    for function, statements in permissions.items():
        # Lambda writes each permission as a statement of about 400 bytes.
        yield f"bytes of the resource policy of {function}", 400 * len(statements), 20_480
    for name, _, api in template.resources("AWS::ApiGatewayV2::Api"):
        routes = sum(len(methods) for methods in api.get("Body", {}).get("paths", {}).values())
        yield f"routes of {name}", routes, 300
    for name, _, board in template.resources("AWS::CloudWatch::Dashboard"):
        widgets = json.loads(
            board["DashboardBody"].get("Fn::Sub")
            if isinstance(board["DashboardBody"], dict)
            else board["DashboardBody"]
        )["widgets"]
        yield f"free metrics of {name}", sum(len(widget["properties"]["metrics"]) for widget in widgets), 50


def functions(template):
    for name, _, function in template.resources("AWS::Lambda::Function"):
        variables = function.get("Environment", {}).get("Variables", {})
        # Lambda measures the variables as JSON.
        size = len(json.dumps({key: flat(value) for key, value in variables.items()}))
        yield f"bytes of the environment of {name}", size, 4096
        yield f"characters of the name of {name}", len(flat(function["FunctionName"])), 64


def policies(template):
    for name, _, role in template.resources("AWS::IAM::Role"):
        inline = sum(without_blanks(policy["PolicyDocument"]) for policy in role.get("Policies", []))
        yield f"characters of the inline policies of {name}", inline, 10_240
        yield f"managed policies of {name}", len(role.get("ManagedPolicyArns", [])), 10
    for name, _, policy in template.resources("AWS::IAM::ManagedPolicy"):
        yield f"characters of the policy {name}", without_blanks(policy["PolicyDocument"]), 6144


def without_blanks(policy):
    """Returns the size of a policy as IAM counts it. A reference counts as a long ARN."""

    def resolved(value):
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("Ref", "Fn::GetAtt", "Fn::Sub"):
            return flat(value)
        if isinstance(value, dict):
            return {key: resolved(item) for key, item in value.items()}
        if isinstance(value, list):
            return list(map(resolved, value))
        return flat(value)

    return len(json.dumps(resolved(policy), separators=(",", ":")))


def edge(template):
    for name, _, function in template.resources("AWS::CloudFront::Function"):
        yield f"bytes of the code of {name}", len(function["FunctionCode"]), 10_240
    for name, _, distribution in template.resources("AWS::CloudFront::Distribution"):
        config = distribution["DistributionConfig"]
        yield f"cache behaviors of {name}", len(config["CacheBehaviors"]), 25
        yield f"origins of {name}", len(config["Origins"]), 25
    for name, _, policy in template.resources("AWS::CloudFront::CachePolicy"):
        keyed = policy["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]["HeadersConfig"]
        yield f"headers in the key of {name}", len(keyed.get("Headers", [])), 10


def concurrency(template, quota):
    reserved = sum(
        int(function.get("ReservedConcurrentExecutions", 0))
        for *_, function in template.resources("AWS::Lambda::Function")
    )
    room = quota - UNRESERVED.get(quota, 100)
    if reserved > max(room, 0):
        yield (
            f"{reserved} instances are reserved, but an account with a concurrency quota of {quota:,} can reserve "
            f"{max(room, 0):,}"
        )


def global_names(template):
    """A second Region with the same stack name must not collide with the first."""
    for name, kind, properties in template.resources(*GLOBAL_NAMES):
        value = properties
        for key in GLOBAL_NAMES[kind].split("."):
            value = value.get(key, {}) if isinstance(value, dict) else value
        if value and template.values["AWS::Region"] not in str(value):
            yield f"the name of {name} has no Region, so a stack of the same name in another Region would collide"
