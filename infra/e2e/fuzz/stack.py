"""The local stack, and the test server for Stripe beside it, as processes that end with the run."""

import json
import os
import secrets
import signal
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ADMIN_KEY = secrets.token_urlsafe(32)
STRIPE_KEY = "sk_test_of_the_fuzzer"
STRIPE_SIGNING = "whsec_of_the_fuzzer"
PRICES = (("price_pro", 2000, True), ("price_small", 500, False))
CATALOG = {
    "plans": {"pro": {"prices": {"monthly": {"price": "price_pro", "credits": 60_000}}}},
    "packs": {"small": {"price": "price_small", "credits": 100_000}},
}
# A request over a limit gets 429 and meets no handler. The local stack has no other limits of a tenant.
UNLIMITED = {
    "RATE_LIMIT_PER_MINUTE": "read=0,write=0,chat=0,auth=0",
    "BILLING": "on",
    "BILLING_CATALOG": json.dumps(CATALOG),
    "BILLING_PLANS": json.dumps({"free": {"concurrent_runs": 100_000}, "pro": {"concurrent_runs": 100_000}}),
    "BILLING_WELCOME": str(10**15),
}


def binaries():
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return Path(os.environ.get("SEQUENT_BIN_DIR", target / "debug"))


@contextmanager
def process(arguments, **options):
    """Runs a program, and ends it by SIGTERM, so that it can end its own children."""
    child = subprocess.Popen([str(argument) for argument in arguments], **options)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.kill()


@contextmanager
def stripe():
    """Starts the test server for Stripe. Yields its address."""
    program = binaries() / "sequent-e2e-stripe"
    with process([program, STRIPE_KEY, STRIPE_SIGNING], stdout=subprocess.PIPE, text=True) as child:
        url = child.stdout.readline().strip()
        for price, amount, recurring in PRICES:
            control(url, "price", {"id": price, "unit_amount": amount, "recurring": recurring})
        yield url


def control(url, action, body):
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/control/{action}", json.dumps(body).encode(), headers)
    urllib.request.urlopen(request, timeout=30).close()


@contextmanager
def stack(log):
    """Starts the whole system with an empty data folder, without limits. Yields its address."""
    with tempfile.TemporaryDirectory() as folder, stripe() as stripe_url:
        ready = Path(folder) / "ready"
        settings = {
            **os.environ,
            **UNLIMITED,
            "ADMIN_KEY": ADMIN_KEY,
            "STRIPE_API_BASE": stripe_url,
            "STRIPE_SECRET_KEY": STRIPE_KEY,
            "STRIPE_WEBHOOK_SECRET": STRIPE_SIGNING,
        }
        program = binaries() / "sequent-local"
        arguments = [program, "up", "--port", 0, "--ephemeral", "--ready-file", ready]
        with process(arguments, env=settings, stdout=log, stderr=log) as child:
            url = wait_for(ready, child)
            control(stripe_url, "webhook", {"url": f"{url}/api/webhooks/stripe"})
            yield url


def wait_for(ready, child):
    for _ in range(3000):
        if ready.exists() and (url := ready.read_text()):
            return url.rstrip("/")
        if child.poll() is not None:
            raise SystemExit("scripts/fuzz: the stack could not be started; its log says why")
        time.sleep(0.1)
    raise SystemExit("scripts/fuzz: the stack was not ready after five minutes; its log says why")
