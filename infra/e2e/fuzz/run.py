"""Fuzzes the API of a local stack with schemathesis, as two tenants with objects of every kind."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from belongings import PASSWORD, Account
from stack import ADMIN_KEY, ROOT, stack

HERE = Path(__file__).resolve().parent
# The objects that `{id}` or `{name}` of each path means, and the fields of bodies that name one.
PATHS = {
    "/api/projects/": "project",
    "/api/runs/": "run",
    "/api/artifacts/uploads/": "upload",
    "/api/artifacts/{": "artifact",
    "/api/auth/api-keys/": "api_key",
    "/api/auth/sessions/": "session",
    "/api/jobs/": "job",
    "/api/admin/jobs/": "job",
    "/api/mcp-servers/": "mcp_server",
    "/api/chat/": "chat",
}
FIELDS = {
    "body.project_id": "project", "body.thread_id": "project", "body.run_id": "run", "body.artifact_id": "artifact",
    "query.run": "run", "body.tenant_id": "tenant",
}
# The share of requests with an existing id. The others have an unknown one.
SHARE = 0.7

# Two workers keep two cores busy.
USUAL = ["--workers", "2", "--max-time", "600"]


def wait_for_interrupt():
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass


def settings(url, accounts, owned, folder):
    """Writes the configuration. Returns its path."""
    path = folder / "schemathesis.toml"
    credentials = folder / "credentials.json"
    credentials.write_text(json.dumps({"auth": [sign_in(account) for account in accounts]}))
    lines = [f"hooks = {json.dumps(str(HERE / 'hooks.py'))}", (HERE / "schemathesis.toml").read_text()]
    names = [account.name for account in accounts]
    lines += ["[auth.wfc]", f"path = {json.dumps(str(credentials))}", f"user = {json.dumps(names[0])}"]
    lines += [f"peers = {json.dumps(names)}"]
    for kind, ids in owned.items():
        lines += [f"[dictionaries.{kind}]", f"values = {json.dumps(ids)}"]
    lines += ["[parameters]"]
    lines += [f'"{field}" = {{ dictionary = "{kind}", probability = {SHARE} }}' for field, kind in FIELDS.items()]
    for prefix, kind in PATHS.items():
        parameter = "name" if kind == "mcp_server" else "id"
        lines += ["[[operations]]", f"include-path-regex = {json.dumps('^' + prefix.replace('{', '[{]'))}"]
        lines += [f'parameters = {{ "path.{parameter}" = {{ dictionary = "{kind}", probability = {SHARE} }} }}']
    path.write_text("\n".join(lines))
    return path


def sign_in(account):
    """Returns the account for the fuzzer, which signs in again when its session has ended."""
    credentials = {
        "username": account.email, "usernameField": "email", "password": PASSWORD, "passwordField": "password",
    }
    token = {
        "extractFrom": "body", "extractSelector": "/access_token",
        "sendIn": "header", "sendName": "Authorization", "sendTemplate": "Bearer {token}",
    }
    login = {
        "verb": "POST", "endpoint": "/api/auth/login", "contentType": "application/json",
        "payloadUserPwd": credentials, "token": token,
    }
    return {"name": account.name, "loginEndpointAuth": login}


def main():
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--log", type=Path, default=ROOT / ".local/fuzz.log", help="log of the stack")
    parser.add_argument("--keep", action="store_true", help="leave the stack running after the run, until Ctrl-C")
    ours, theirs = parser.parse_known_args()
    # A terminated run ends its processes, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    ours.log.parent.mkdir(exist_ok=True)
    with ours.log.open("w") as log, tempfile.TemporaryDirectory() as folder, stack(log) as url:
        accounts = [Account(url, name) for name in ("alice", "bob")]
        owned, _ = [account.belongings() for account in accounts]
        owned["tenant"] = [accounts[0].user["tenant_id"]]
        config = settings(url, accounts, owned, Path(folder))
        own = {"users": [a.user["id"] for a in accounts], "emails": [a.email for a in accounts]}
        environment = {**os.environ, "ADMIN_KEY": ADMIN_KEY, "FUZZ_OWN": json.dumps(own)}
        program = Path(sys.executable).with_name("schemathesis")
        command = [program, "--config-file", config, "run", f"{url}/api/openapi.json", *USUAL, *theirs]
        ended = subprocess.run(command, env=environment, cwd=folder)
        if ours.keep:
            print(f"scripts/fuzz: {url} stays until Ctrl-C")
            wait_for_interrupt()
    print(f"scripts/fuzz: the log of the stack is in {ours.log}")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
