"""Builds Sequent and deploys it to AWS, and asks nothing.

scripts/deploy [Name=Value ...]     with these parameters of template.yaml; the stack keeps them
scripts/deploy --rehearse           the same against an emulator: builds two functions, unoptimised, and registers
scripts/deploy --rehearse --all     builds every function, optimised
scripts/deploy --rehearse --quick   builds none (for scripts/lint)
"""

import argparse
import json
import mimetypes
import os
import platform
import re
import subprocess
import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

import cost
import destroy
import emulator
import limits
import prerequisites
import restore
import secret
from template import ROOT, Template

CONFIG = ["--config-file", str(ROOT / "infra/deploy/samconfig.toml")]
CONSOLE = ROOT / "infra/console"
BUILD = ROOT / ".aws-sam/build"
# Built by a rehearsal, because the first account needs them.
FIRST = ("SchedulerFunction", "AuthFunction")
# A value with blanks and quotes, to see that it reaches the stack unchanged.
AWKWARD = {"BillingPlans": '{"pro": {"per_run": 5000000}}'}
# The shapes whose limits a rehearsal checks: the parameters, and the account's concurrency quota.
SHAPES = [
    ({}, 10),
    ({"Stage": "prod", "Billing": "on", "DomainName": "chat.example.com", "NotificationEmail": "me@example.com"}, 10),
    ({"ReserveConcurrency": "true"}, 1000),
]


def main():
    options = arguments()
    given = dict(text.split("=", 1) for text in options.parameters)
    try:
        Template.read(**given)
        if options.rehearse:
            rehearse(options, given)
        else:
            deploy(options, given)
    except (Failed, ValueError) as failure:
        sys.exit(f"scripts/deploy: {failure}")


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/deploy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parameters", nargs="*", metavar="Name=Value")
    parser.add_argument("--stack", default="sequent", help="name of the stack (default: sequent)")
    parser.add_argument("--region", help="default: that of the AWS configuration")
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if any("=" not in text for text in options.parameters):
        parser.error("a parameter is written Name=Value")
    return options


class Failed(Exception):
    """A step of the deployment failed. Its output says why."""


def deploy(options, given):
    started = time.monotonic()
    region = options.region or boto3.Session().region_name
    before = kept(options.stack, region) if region else None
    parameters = (before or {}) | given
    step("prerequisites")
    deployment = prerequisites.Deployment(options.stack, region, parameters, building=True)
    if not prerequisites.check(deployment):
        raise Failed("nothing was built or changed. Mend the above, and run it again.")
    step("limits and costs")
    template = Template.read(**parameters).translated()
    check_limits(template, prerequisites.quota(deployment))
    print(cost.summary(template))
    step("build")
    sam("build", *CONFIG, "--parameter-overrides", f"Architecture={deployment.architecture}")
    step("deploy")
    release(options.stack, region, given, BUILD / "template.yaml", sam)
    step(f"done in {round(time.monotonic() - started)} s")
    code = setup_code(options.stack, region) if before is None else None
    print(farewell(options.stack, outputs(options.stack, region), parameters, code))


def kept(stack, region):
    """Returns the parameters that the stack was deployed with before, or `None` if it is new."""
    try:
        stacks = boto3.client("cloudformation", region_name=region).describe_stacks(StackName=stack)["Stacks"]
    except (BotoCoreError, ClientError):
        # Either there is no such stack, or the check of the prerequisites says why AWS does not answer.
        return None
    declared = Template.read().document["Parameters"]
    values = {p["ParameterKey"]: p["ParameterValue"] for p in stacks[0].get("Parameters", [])}
    return {name: value for name, value in values.items() if name in declared}


def release(stack, region, given, template, sam):
    """Deploys a built template, and the console to its bucket."""
    overrides = ["--parameter-overrides", *(override(name, value) for name, value in given.items())] if given else []
    sam(
        "deploy",
        *CONFIG,
        "--template-file",
        str(template),
        "--stack-name",
        stack,
        "--region",
        region,
        "--no-progressbar",
        *overrides,
    )
    publish(outputs(stack, region)["ConsoleBucketName"], region)


def override(name, value):
    """Writes a parameter for SAM, which splits its arguments at blanks and quotes."""
    quoted = value.replace('"', '\\"')
    return f'{name}="{quoted}"'


def publish(bucket, region):
    s3 = boto3.client("s3", region_name=region)
    for file in sorted(path for path in CONSOLE.rglob("*") if path.is_file()):
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        # The names of files do not change with their content, so browsers ask again each time.
        s3.put_object(
            Bucket=bucket,
            Key=str(file.relative_to(CONSOLE)),
            Body=file.read_bytes(),
            ContentType=kind,
            CacheControl="no-cache",
        )


def outputs(stack, region):
    described = boto3.client("cloudformation", region_name=region).describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def setup_code(stack, region):
    """Returns a code with which the first account can be made: a new deployment accepts no registrations."""
    client = boto3.client("lambda", region_name=region)
    answer = client.invoke(FunctionName=f"{stack}-scheduler", Payload=json.dumps({"task": "create_setup_code"}))
    found = re.search(r'"code": ?"([^"]+)"', answer["Payload"].read().decode())
    if not found:
        print(f"{stack}-scheduler has not created a setup code for the first account; its log group says why")
    return found and found[1]


def farewell(stack, found, parameters, code):
    domain = parameters.get("DomainName")
    steps = [
        f"Create the DNS record: {domain} CNAME {found['DistributionDomain']}" if domain else None,
        "Confirm the subscription that AWS has mailed to you, or alarms will not arrive."
        if parameters.get("NotificationEmail")
        else "Name an address for alarms: scripts/deploy NotificationEmail=me@example.com",
        f"Make the first account, within a day:\n{registration(found['Url'], code)}" if code else None,
        f"Store the key of a model provider: scripts/secret {stack} set models openai_api_key (or anthropic_api_key)",
    ]
    numbered = "\n".join(f"  {number}. {text}" for number, text in enumerate(filter(None, steps), 1))
    removal = f"scripts/destroy --stack {stack} removes it, and keeps the data."
    return f"\nSequent runs at {found['Url']}\n\nNext:\n{numbered}\n\n{removal}"


def registration(url, code):
    body = json.dumps({"email": "you@example.com", "password": "a password of your own", "invitation": code})
    return f"     curl {url}/api/auth/register -H 'content-type: application/json' \\\n       -d '{body}'"


def rehearse(options, given):
    step("limits")
    check_shapes(given)
    step("costs")
    print(cost.summary(Template.read(**given).translated()))
    run = quietly if options.quick else sam
    architecture = of_this_machine()
    parameters = AWKWARD | {"Architecture": architecture} | given
    with emulator.running():
        step("prerequisites")
        deployment = prerequisites.Deployment(options.stack, "us-east-1", parameters, building=not options.quick)
        if not prerequisites.check(deployment):
            raise Failed("the prerequisites do not hold")
        if not options.quick:
            build_for_rehearsal(options.all, architecture)
        step("deploy to the emulator")
        template = without_unknown(ROOT / "template.yaml" if options.quick else BUILD / "template.yaml")
        release(options.stack, deployment.region, parameters, template, run)
        check_kept(parameters, kept(options.stack, deployment.region))
        # Without a build there is no function that could create a code.
        code = "CODE" if options.quick else setup_code(options.stack, deployment.region)
        print(farewell(options.stack, outputs(options.stack, deployment.region), parameters, code))
        if not options.quick:
            step("make the first account")
            register(options.stack, deployment.region, code)
        step("store and rotate secrets")
        secret.drill(options.stack, deployment.region, executes=not options.quick)
        step("restore the tables")
        restore.drill(options.stack, deployment.region)
        step("destroy")
        destroy.destroy(options.stack, deployment.region, run)
        destroy.check_only_kept(options.stack, deployment.region)
    step("the rehearsal succeeded")


def of_this_machine():
    """Returns the architecture to rehearse with: that of the machine, whose functions the emulator can execute."""
    machine = {"aarch64": "arm64", "x86_64": "x86_64"}.get(platform.machine(), "arm64")
    return machine if prerequisites.has_target(machine) else "arm64"


def build_for_rehearsal(everything, architecture):
    started = time.monotonic()
    step(f"build of {'all functions' if everything else ' and '.join(FIRST)}")
    others = []
    if not everything:
        # Unoptimised, and without what only a debugger reads.
        os.environ |= {"SAM_BUILD_MODE": "debug", "CARGO_PROFILE_DEV_DEBUG": "none"}
        resources = Template.read().document["Resources"].items()
        functions = [name for name, resource in resources if resource["Type"] == "AWS::Serverless::Function"]
        others = [word for name in functions if name not in FIRST for word in ("--exclude", name)]
    sam("build", *others, *CONFIG, "--parameter-overrides", f"Architecture={architecture}")
    print(f"built in {round((time.monotonic() - started) / 60, 1)} minutes")


def register(stack, region, code):
    """Makes the first account with the code, as CloudFront would pass the request on, and then tries the code again."""
    functions = boto3.client("lambda", region_name=region)
    name = f"{stack}-auth"
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    secrets = boto3.client("secretsmanager", region_name=region)
    secret = secrets.get_secret_value(SecretId=variables["ORIGIN_SECRET_ID"])["SecretString"]
    for address, expected in (("first@example.com", (201,)), ("second@example.com", (400, 403, 409))):
        event = json.loads((ROOT / "events/auth/register-invited.json").read_text())
        event["headers"]["x-origin-verify"] = secret
        event["body"] = json.dumps({"email": address, "password": "a password of your own", "invitation": code})
        answer = functions.invoke(FunctionName=name, Payload=json.dumps(event))
        response = json.loads(answer["Payload"].read())
        if response.get("statusCode") not in expected:
            raise Failed(f"{name} has answered the registration of {address} with {response}")
        print(f"  ok  {address}: {response['statusCode']}")


def check_kept(given, stored):
    for name, value in given.items():
        if stored[name] != value:
            raise Failed(f"the stack has {name}={stored[name]}, and {value} was given")


def check_shapes(given):
    declared = Template.read().document["Parameters"]
    for shape, quota in SHAPES:
        parameters = {name: value for name, value in shape.items() if name in declared} | given
        template = Template.read(**parameters).translated()
        check_limits(template, quota)
        print(f"  ok  {len(template.document['Resources'])} resources, quota {quota:,}, {parameters or 'defaults'}")


def check_limits(template, quota):
    found = list(limits.problems(template, quota))
    if found:
        raise Failed("\n".join([f"AWS would refuse this, with a concurrency quota of {quota}:", *found]))


def without_unknown(template):
    """Writes a copy of the template without what the emulator refuses. Functions without a build get a placeholder."""
    document = Template.read(template).document
    folder = BUILD if template.is_relative_to(BUILD) else ROOT / ".aws-sam/rehearsal"
    placeholder = ROOT / ".aws-sam/rehearsal/placeholder"
    placeholder.mkdir(parents=True, exist_ok=True)
    (placeholder / "bootstrap").write_text("#!/bin/false\n")
    for name, resource in list(document["Resources"].items()):
        if resource["Type"] in emulator.UNKNOWN_TYPES:
            print(f"  left out: {name}, which the emulator does not know")
            del document["Resources"][name]
        elif (
            resource["Type"] == "AWS::Serverless::Function"
            and not (folder / resource["Properties"]["CodeUri"] / "bootstrap").exists()
        ):
            resource["Properties"]["CodeUri"] = str(placeholder)
    copy = folder / "rehearsal.json"
    copy.write_text(json.dumps(document, indent=1))
    return copy


def sam(*command):
    """Runs SAM with its standard input closed: a question fails instead of waiting."""
    done = subprocess.run(["sam", *command], cwd=ROOT, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Failed(f"sam {command[0]} failed")


def quietly(*command):
    """Runs SAM, and shows its output only if it fails."""
    done = subprocess.run(
        ["sam", *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise Failed(f"sam {command[0]} failed:\n{done.stdout}")


def step(title):
    print(f"\n== {title}", flush=True)


if __name__ == "__main__":
    main()
