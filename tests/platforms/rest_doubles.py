# SPDX-License-Identifier: Apache-2.0
"""Doubles of the platforms' APIs: they record what they are sent and misbehave on request.

    with E2b() as double:
        double.faults["create"] = 500        # a status, "silence" (no answer) or "late" (does it,
        double.url, double.calls, double.alive                         and answers too late)
"""

import base64
import http.server
import json
import re
import socketserver
import struct
import threading
import time
import urllib.parse

SILENCE_SECONDS = 8


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the play


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def send(self, status, value):
        stream = isinstance(value, bytes)
        data = b"" if value is None else value if stream else json.dumps(value).encode()
        self.send_response(status)
        if value is not None:
            self.send_header("Content-Type", "application/connect+json" if stream
                             else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self):
        double = self.server.double
        raw = self.body()
        path, _, query = self.path.partition("?")
        call = {"method": self.command, "path": path, "query": dict(urllib.parse.parse_qsl(query)),
                "headers": {k.lower(): v for k, v in self.headers.items()},
                "body": json.loads(raw) if raw[:1] == b"{" else None, "at": time.monotonic()}
        if double.on_call:
            call["noted"] = double.on_call(call)
        double.calls.append(call)
        for method, pattern, name in double.routes:
            found = re.fullmatch(pattern, path)
            if method == self.command and found:
                break
        else:
            return self.send(404, {"code": 404, "message": f"no {self.command} {path} here"})
        fault = double.faults.get(name)
        if fault == "silence":
            time.sleep(SILENCE_SECONDS)
            self.close_connection = True
            return None
        if isinstance(fault, int):
            return self.send(fault, {"code": fault, "message": "as the test wishes"})
        answered = getattr(double, "do_" + name)(call, *found.groups())
        if answered is None:
            return None  # it has answered by itself
        if fault == "late":
            time.sleep(double.late_seconds)
        return self.send(*answered)

    def safely(self):
        try:
            self.answer()
        except OSError:
            self.close_connection = True

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = safely


class Double:
    routes = []
    late_seconds = 3

    def __init__(self):
        self.calls, self.faults, self.alive = [], {}, {}
        self.on_call = None
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.double = self
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *ignored):
        self.server.shutdown()
        self.server.server_close()

    def named(self, name):
        return [c for c in self.calls
                for method, pattern, route in self.routes
                if route == name and method == c["method"] and re.fullmatch(pattern, c["path"])]


class E2b(Double):
    routes = [
        ("POST", "/v2/sandboxes|/sandboxes", "create"),
        ("GET", "/v2/sandboxes", "list"),
        ("POST", "/sandboxes/([^/]+)/timeout", "extend"),
        ("DELETE", "/sandboxes/([^/]+)", "kill"),
        ("POST", "/process.Process/Start", "run"),
    ]

    def do_run(self, call):
        """A command's start, output and end, as Connect streams them."""
        events = [{"event": {"start": {"pid": 7}}},
                  {"event": {"data": {"stdout": base64.b64encode(b"hello from the double\n").decode()}}},
                  {"event": {"end": {"exitCode": 0, "exited": True, "status": "exit status 0"}}}]
        frames = [(0, event) for event in events] + [(2, {})]
        return 200, b"".join(struct.pack(">BI", flag, len(json.dumps(event)))
                             + json.dumps(event).encode() for flag, event in frames)

    def do_create(self, call):
        name = f"isbx{len(self.alive) + 1}"
        self.alive[name] = call["body"]
        return 201, {"sandboxID": name, "templateID": "base", "clientID": "c", "alias": "base",
                     "envdVersion": "0.2.0", "envdAccessToken": "t", "domain": None}

    def do_list(self, call):
        wanted = dict(urllib.parse.parse_qsl(call["query"].get("metadata", "")))
        return 200, [{"sandboxID": name, "templateID": "base", "clientID": "c",
                      "alias": "base", "startedAt": "2026-11-23T12:00:00Z",
                      "endAt": "2026-11-23T13:00:00Z", "cpuCount": 1, "memoryMB": 128,
                      "diskSizeMB": 1, "envdVersion": "0.2.0", "state": "running",
                      "metadata": body.get("metadata", {})}
                     for name, body in self.alive.items()
                     if all(body.get("metadata", {}).get(k) == v for k, v in wanted.items())]

    def do_extend(self, call, name):
        return (204, None) if name in self.alive else (404, {"code": 404, "message": "gone"})

    def do_kill(self, call, name):
        return (204, None) if self.alive.pop(name, None) else (404, {"code": 404, "message": "gone"})


class Fly(Double):
    routes = [
        ("POST", "/v1/apps/([^/]+)/machines", "create"),
        ("GET", "/v1/apps/([^/]+)/machines", "list"),
        ("POST", "/v1/apps/([^/]+)/network_policies", "policy"),
        ("DELETE", "/v1/apps/([^/]+)/machines/([^/]+)", "kill"),
    ]

    def do_create(self, call, app):
        name = f"m{len(self.calls)}"
        self.alive[name] = call["body"]
        return 200, {"id": name, "state": "created", "config": call["body"]["config"]}

    def do_list(self, call, app):
        wanted = {k[len("metadata."):]: v for k, v in call["query"].items()
                  if k.startswith("metadata.")}
        return 200, [{"id": name, "state": "started", "config": body["config"]}
                     for name, body in self.alive.items()
                     if all(body["config"]["metadata"].get(k) == v for k, v in wanted.items())]

    def do_policy(self, call, app):
        return 200, {"id": "np1"}

    def do_kill(self, call, app, name):
        return (200, {"ok": True}) if self.alive.pop(name, None) else (404, {"error": "not found"})


class Kubernetes(Double):
    routes = [
        ("POST", "/apis/networking.k8s.io/v1/namespaces/([^/]+)/networkpolicies", "policy"),
        ("POST", "/api/v1/namespaces/([^/]+)/secrets", "secret"),
        ("POST", "/api/v1/namespaces/([^/]+)/pods", "create"),
        ("DELETE", "/apis/networking.k8s.io/v1/namespaces/([^/]+)/(networkpolicies)/([^/]+)", "drop"),
        ("DELETE", "/api/v1/namespaces/([^/]+)/(secrets)/([^/]+)", "drop"),
        ("DELETE", "/api/v1/namespaces/([^/]+)/(pods)/([^/]+)", "kill"),
    ]

    def put(self, kind, call):
        body = call["body"]
        self.alive[kind, body["metadata"]["name"]] = body
        return 201, body

    def do_policy(self, call, namespace):
        return self.put("networkpolicies", call)

    def do_secret(self, call, namespace):
        return self.put("secrets", call)

    def do_create(self, call, namespace):
        return self.put("pods", call)

    def do_drop(self, call, namespace, kind, name):
        if self.alive.pop((kind, name), None) is None:
            return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
        return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    do_kill = do_drop


class Docker(Double):
    """As much of the Engine API as an adapter asks for; a "container" dies when the test says."""

    VERSION = "(?:/v[0-9.]+)?"
    routes = [
        ("GET", VERSION + "/version", "version"),
        ("POST", VERSION + "/containers/create", "create"),
        ("POST", VERSION + "/containers/([^/]+)/start", "start"),
        ("GET", VERSION + "/containers/json", "list"),
        ("GET", VERSION + "/containers/([^/]+)/json", "inspect"),
        ("POST", VERSION + "/containers/([^/]+)/wait", "wait"),
        ("DELETE", VERSION + "/containers/([^/]+)", "kill"),
        ("GET", VERSION + "/events", "events"),
    ]

    def __init__(self):
        super().__init__()
        self.changed = threading.Condition()
        self.events = []

    def do_version(self, call):
        return 200, {"ApiVersion": "1.41", "Version": "20.10.24"}

    def do_create(self, call):
        name = f"{len(self.calls):064x}"
        self.alive[name] = call["body"]
        return 201, {"Id": name, "Warnings": []}

    def do_start(self, call, name):
        return 204, None

    def do_inspect(self, call, name):
        if name not in self.alive:
            return 404, {"message": "No such container"}
        return 200, {"Id": name, "Name": "/x", "State": {"Status": "running"},
                     "Config": self.alive[name]}

    def do_list(self, call):
        labels = json.loads(call["query"].get("filters", "{}")).get("label", [])
        if isinstance(labels, dict):
            labels = list(labels)
        return 200, [{"Id": name, "Labels": body.get("Labels", {}), "Names": ["/x"],
                      "Image": "x", "State": "running", "Status": "Up"}
                     for name, body in self.alive.items()
                     if all("=".join(pair) in labels for pair in body.get("Labels", {}).items()
                            if pair[0] == "keybrake_key")]

    def do_wait(self, call, name):
        with self.changed:
            self.changed.wait_for(lambda: name not in self.alive, 60)
        return 200, {"StatusCode": 0}

    def do_kill(self, call, name):
        with self.changed:
            body = self.alive.pop(name, None)
            self.changed.notify_all()
        return (204, None) if body else (404, {"message": "No such container"})

    def die(self, name):
        with self.changed:
            self.alive.pop(name, None)
            self.events.append({"Type": "container", "Action": "die", "status": "die", "id": name,
                                "Actor": {"ID": name, "Attributes": {"exitCode": "0"}}})
            self.changed.notify_all()

    def do_events(self, call):
        raise NotImplementedError  # EventsHandler answers


class EventsHandler(Handler):
    """Streams the events of a Docker double for as long as anybody reads."""

    def answer(self):
        if not self.path.partition("?")[0].endswith("/events"):
            return super().answer()
        double = self.server.double
        wanted = json.loads(dict(urllib.parse.parse_qsl(self.path.partition("?")[2]))["filters"])
        names = wanted.get("container", [])
        double.calls.append({"method": "GET", "path": "/events", "query": wanted, "headers": {},
                             "body": None, "at": time.monotonic()})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        while True:
            with double.changed:
                double.changed.wait_for(lambda: len(double.events) > sent, 0.2)
                fresh, sent = double.events[sent:], len(double.events)
            for event in fresh:
                if event["id"] in names:
                    line = json.dumps(event).encode() + b"\n"
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = Handler.safely


def docker():
    double = Docker()
    double.server.RequestHandlerClass = EventsHandler
    return double
