"""Two accounts with objects of every kind, so that the ids of requests lead to objects."""

import hashlib
import secrets
import time

import requests

PASSWORD = "correct horse battery staple"
SCOPES = ["projects:read", "runs:read"]


class Account:
    """A person with an account, and one or more objects of every kind."""

    def __init__(self, url, name):
        self.url = url
        self.name = name
        # The server knows nothing about the address but its form.
        self.email = f"{name}-{secrets.token_hex(4)}@example.com"
        self.session = requests.Session()
        answer = self.post("/api/auth/register", email=self.email, password=PASSWORD)
        self.session.headers["authorization"] = f"Bearer {answer['access_token']}"
        self.user = answer["user"]

    def post(self, path, **body):
        response = self.send(path, **body)
        return response.json() if response.content else {}

    def send(self, path, **body):
        response = self.session.post(self.url + path, json=body, timeout=60)
        if not response.ok:
            raise SystemExit(f"scripts/fuzz: POST {path} answered {response.status_code}: {response.text}")
        return response

    def get(self, path):
        response = self.session.get(self.url + path, timeout=60)
        response.raise_for_status()
        return response.json()

    def belongings(self, count=4):
        """Creates `count` objects of each kind. Returns their ids by kind."""
        kinds = {
            "project": [], "run": [], "artifact": [], "upload": [], "api_key": [], "job": [], "mcp_server": [],
            "session": [], "chat": [],
        }
        for number in range(count):
            sent = self.send("/api/chat/send", message={"content": "/demo tokens=3 rate=0"})
            kinds["project"].append(sent.headers["x-project-id"])
            kinds["run"].append(sent.headers["x-run-id"])
            chat = f"chat-{self.name}-{number}"
            parts = [{"type": "text", "text": "/demo tokens=3 rate=0"}]
            self.send("/api/chat", id=chat, messages=[{"role": "user", "parts": parts}])
            kinds["chat"].append(chat)
            kinds["api_key"].append(self.post("/api/auth/api-keys", name=f"key {number}", scopes=SCOPES)["id"])
            kinds["job"].append(self.post("/v1/admin/jobs/hello", name=self.name)["id"])
            kinds["artifact"].append(self.artifact(f"{self.name} {number}".encode()))
            kinds["upload"].append(self.offer(f"{self.name} {number} later".encode())["id"])
            server = f"notes-{self.name}-{number}"
            self.post("/api/mcp-servers", name=server, url="https://notes.example.com/mcp", enabled=False)
            kinds["mcp_server"].append(server)
            self.post("/api/auth/login", email=self.email, password=PASSWORD)
        # A job that writes an export.
        export = self.post("/api/exports", run_id=kinds["run"][0], format="jsonl")
        kinds["job"].append(export["id"])
        # A run that is live for a while, for cancellations and messages.
        live = self.post("/api/runs", input="/demo tokens=4000 rate=10")
        kinds["run"].append(live["id"])
        sessions = self.get("/api/auth/sessions")["items"]
        kinds["session"] = [session["id"] for session in sessions if not session["current"]]
        self.settled(kinds["job"])
        return kinds

    def offer(self, content):
        return self.post(
            "/api/artifacts/uploads",
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            title="notes",
            media_type="text/html",
            entity_type="page",
            tags=["draft"],
        )

    def artifact(self, content):
        offered = self.offer(content)
        headers = {name: value for name, value in offered["put"]["headers"].items() if name != "content-length"}
        requests.put(offered["put"]["url"], data=content, headers=headers, timeout=60).raise_for_status()
        return self.post(f"/api/artifacts/uploads/{offered['id']}/complete")["id"]

    def settled(self, jobs):
        """Waits for the jobs."""
        deadline = time.monotonic() + 120
        for job in jobs:
            while self.get(f"/api/jobs/{job}")["status"] in ("pending", "running"):
                if time.monotonic() > deadline:
                    raise SystemExit(f"scripts/fuzz: job {job} did not end")
                time.sleep(0.1)
