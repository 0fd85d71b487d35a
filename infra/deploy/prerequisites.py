"""Checks before a deployment what would otherwise fail in the middle of it, and names the command that mends it."""

import platform
import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from template import ROOT

# `rust-cargolambda` needs no beta flag from here on; lambda-builders of older versions compile all dependencies once
# for each function.
SAM = (1, 170)
CARGO_LAMBDA = (1, 8)
ZIG = (0, 13)
GIGABYTES = 10
# Reserved are 620 instances, Lambda keeps 100 unreserved, and the workers need some.
RESERVING = 1000
TARGETS = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}


class Missing(Exception):
    """A prerequisite that does not hold."""

    def __init__(self, problem, mend):
        super().__init__(f"{problem}\n      mend: {mend}")


@dataclass
class Deployment:
    """The deployment that is checked."""

    stack: str
    region: str | None
    parameters: dict
    building: bool

    @property
    def architecture(self):
        return self.parameters.get("Architecture", "arm64")

    def client(self, service, region=None):
        return boto3.client(service, region_name=region or self.region)


def check(deployment):
    """Prints each prerequisite. Returns `False` if one is missing."""
    tools = [sam, cargo_lambda, zig, rust, rust_target, disk] if deployment.building else [sam]
    complete = True
    for prerequisite in [*tools, credentials, concurrency, certificate, stack]:
        try:
            print(f"  ok  {prerequisite(deployment)}")
        except Missing as missing:
            print(f"  --  {missing}")
            complete = False
            if prerequisite is credentials:
                # Nothing after it can be asked.
                break
    return complete


def sam(_):
    return at_least("SAM CLI", ["sam", "--version"], SAM, "scripts/install deploy")


def cargo_lambda(_):
    return at_least("cargo-lambda", ["cargo", "lambda", "--version"], CARGO_LAMBDA, "scripts/install deploy")


def zig(_):
    return at_least("Zig", ["python", "-m", "ziglang", "version"], ZIG, "scripts/install deploy")


def rust(_):
    needed = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    version = tuple(map(int, needed.split(".")))
    return at_least(
        "Rust", ["rustc", "--version"], version, f"rustup toolchain install {needed} && rustup default {needed}"
    )


def rust_target(deployment):
    if deployment.architecture not in TARGETS:
        raise Missing(f"Architecture={deployment.architecture} does not exist", "use arm64 or x86_64")
    target = TARGETS[deployment.architecture]
    if deployment.architecture == "x86_64" and platform.machine() != "x86_64":
        # SAM names the target to Cargo for arm64 only, and takes that of the machine otherwise.
        raise Missing(f"SAM builds for x86_64 only on such a machine, and this is {platform.machine()}", "use arm64")
    if not has_target(deployment.architecture):
        raise Missing(f"Rust cannot build for {target}", f"rustup target add {target} (or Architecture=x86_64)")
    return f"Rust target {target}"


def has_target(architecture):
    libraries = output(["rustc", "--print", "target-libdir", "--target", TARGETS[architecture]])
    return libraries is not None and Path(libraries.strip()).is_dir()


def disk(_):
    free = shutil.disk_usage(ROOT).free >> 30
    if free < GIGABYTES:
        raise Missing(f"only {free} GB are free, and a release build takes {GIGABYTES}", "free some space")
    return f"disk: {free} GB free"


def credentials(deployment):
    if not deployment.region:
        raise Missing("no Region is set", "aws configure set region us-east-1 (or --region)")
    try:
        identity = deployment.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise Missing(f"AWS refuses the credentials: {error}", "aws configure (or aws sso login)") from error
    return f"AWS account {identity['Account']}, {deployment.region}"


def concurrency(deployment):
    """New accounts have a quota of 10, which is enough to try Sequent alone and for nothing else."""
    found = quota(deployment)
    mend = (
        "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 "
        "--desired-value 1000"
    )
    if deployment.parameters.get("ReserveConcurrency") == "true" and found < RESERVING:
        raise Missing(f"ReserveConcurrency=true needs a concurrency of {RESERVING:,}, and the account has {found}", mend)
    if found < 100:
        return f"concurrency: {found}. Enough for one person; more need: {mend}"
    return f"concurrency: {found:,}"


def quota(deployment):
    return deployment.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]


def certificate(deployment):
    arn = deployment.parameters.get("CertificateArn")
    domain = deployment.parameters.get("DomainName")
    if not domain:
        return "no domain: CloudFront's name is used"
    if not arn:
        raise Missing(
            "DomainName needs a certificate",
            f"aws acm request-certificate --region us-east-1 --validation-method DNS --domain-name {domain}",
        )
    # CloudFront reads certificates in this Region only.
    status = deployment.client("acm", "us-east-1").describe_certificate(CertificateArn=arn)["Certificate"]["Status"]
    if status != "ISSUED":
        raise Missing(
            f"the certificate of {domain} is {status}", "create the DNS record that ACM shows, and wait for it"
        )
    return f"certificate of {domain}"


def stack(deployment):
    """A stack whose first deployment failed cannot be updated."""
    try:
        status = deployment.client("cloudformation").describe_stacks(StackName=deployment.stack)["Stacks"][0][
            "StackStatus"
        ]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        return f"stack {deployment.stack}: new"
    if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
        raise Missing(
            f"stack {deployment.stack} is {status}", f"aws cloudformation delete-stack --stack-name {deployment.stack}"
        )
    if status.endswith("_IN_PROGRESS"):
        raise Missing(f"stack {deployment.stack} is {status}", "wait until the other deployment has ended")
    return f"stack {deployment.stack}: {status}"


def at_least(name, command, needed, mend):
    text = output(command)
    wanted = ".".join(map(str, needed))
    if text is None:
        raise Missing(f"{name} {wanted} or later is not installed", mend)
    found = re.search(r"\d+(\.\d+)+", text)[0]
    if tuple(map(int, found.split("."))) < needed:
        raise Missing(f"{name} is {found}, and {wanted} or later is needed", mend)
    return f"{name} {found}"


def output(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
