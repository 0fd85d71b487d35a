"""A throwaway MiniStack for the rehearsal of a deployment, with fake credentials."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from template import ROOT

# Types that MiniStack refuses. What they declare is checked by cfn-lint alone.
UNKNOWN_TYPES = {"AWS::Budgets::Budget"}
READY_LIMIT = 60


@contextlib.contextmanager
def running():
    """Starts the emulator and makes it the AWS of this process and of its children."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{chosen.getsockname()[1]}"
        chosen.close()
        process = start(folder, address)
        # A rehearsal that is terminated, by a time limit of CI for example, ends its emulator as well.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
        try:
            wait(process, address, folder)
            # Real credentials must not reach the emulator, and no request may reach AWS.
            fake = {
                "AWS_ACCESS_KEY_ID": "rehearsal",
                "AWS_SECRET_ACCESS_KEY": "rehearsal",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                del os.environ[name]
            os.environ.update(fake, AWS_ENDPOINT_URL=f"http://{address}", AWS_EC2_METADATA_DISABLED="true")
            yield
        finally:
            process.terminate()
            process.wait()


def start(folder, address):
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": folder,
        "GATEWAY_PORT": address.split(":")[1],
        "MINISTACK_HOST": "localhost",
        "AWS_ENDPOINT_URL": f"http://{address}",
        "LOG_LEVEL": "ERROR",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",
        "STATE_DIR": f"{folder}/state",
        "S3_DATA_DIR": f"{folder}/s3",
    }
    command = [f"{ROOT}/.local/ministack/bin/python", "-m", "hypercorn", "ministack.app:app", "--bind", address]
    with open(f"{folder}/log", "w") as log:
        return subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def wait(process, address, folder):
    limit = time.monotonic() + READY_LIMIT
    while process.poll() is None and time.monotonic() < limit:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"http://{address}/_ministack/ready", timeout=5).close()
            return
        time.sleep(0.1)
    with open(f"{folder}/log") as log:
        raise SystemExit(f"the emulator did not start:\n{log.read()[-2000:]}")
