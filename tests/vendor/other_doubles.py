# SPDX-License-Identifier: Apache-2.0
"""Doubles of Twilio, Resend, OpenAI, Anthropic and GitHub: as much as their SDKs need to see."""

import itertools
import json
import time

from double import Double, Handler, Refused, parse_form


class Json(Handler):
    """A vendor that speaks JSON."""

    def json_of(self, body):
        try:
            return json.loads(body or b"{}")
        except ValueError:
            raise Refused(400, self.error_body(400)) from None

    def number(self):
        return next(self.server.numbers)


class Twilio(Handler):
    ACCOUNT = "AC" + "0" * 32

    def error_body(self, status):
        return {"code": 20000 + status, "message": f"double says {status}",
                "more_info": "https://www.twilio.com/docs/errors/20003", "status": status}

    def serve(self, path, query, body):
        parts = path.strip("/").split("/")
        if parts == ["2010-04-01", "Accounts.json"]:
            parts = ["2010-04-01", "Accounts", "all"]
        if parts[:2] != ["2010-04-01", "Accounts"]:
            raise Refused(404, self.error_body(404))
        if len(parts) == 3:
            # The answer that leaks the real secret: what keybrake must never let through.
            self.accepted(status=200)
            if self.server.account_page is not None:
                self.answer(**self.server.account_page)
            else:
                self.answer(200, {"sid": self.ACCOUNT, "auth_token": self.server.secret})
            return
        if parts[2] != self.ACCOUNT:
            raise Refused(404, self.error_body(404))
        form = dict(parse_form(body.decode()))
        number = next(self.server.numbers)
        if self.command == "POST" and parts[3] == "Messages.json":
            if "To" not in form:
                raise Refused(400, self.error_body(400))
            sid = f"SM{number:032d}"
            message = {"sid": sid, "account_sid": self.ACCOUNT, "to": form["To"],
                       "from": form.get("From"), "body": form.get("Body"), "status": "queued",
                       "num_segments": "1", "price": None, "price_unit": "USD",
                       "date_created": "Mon, 23 Nov 2026 09:20:50 +0000",
                       "date_updated": "Mon, 23 Nov 2026 09:20:50 +0000", "date_sent": None,
                       "direction": "outbound-api", "error_code": None, "error_message": None,
                       "messaging_service_sid": None, "num_media": "0", "api_version": "2010-04-01",
                       "uri": f"/2010-04-01/Accounts/{self.ACCOUNT}/Messages/{sid}.json",
                       "subresource_uris": {}}
            self.server.objects[sid] = message
            self.accepted(status=201, to=form["To"])
            self.answer(201, message)
            return
        if self.command == "POST" and parts[3] == "Calls.json":
            sid = f"CA{number:032d}"
            call = {"sid": sid, "account_sid": self.ACCOUNT, "to": form.get("To"),
                    "from": form.get("From"), "status": "queued", "price": None,
                    "price_unit": "USD", "duration": None, "direction": "outbound-api"}
            self.server.objects[sid] = call
            self.accepted(status=201, time_limit=form.get("TimeLimit"))
            self.answer(201, call)
            return
        if self.command == "GET" and parts[3] == "Messages.json":
            self.accepted(status=200)
            self.answer(200, {"messages": list(self.server.objects.values()), "page": 0,
                              "page_size": 50, "next_page_uri": None, "uri": self.path,
                              "first_page_uri": self.path, "previous_page_uri": None,
                              "start": 0, "end": 0})
            return
        sid = parts[-1].removesuffix(".json")
        if sid not in self.server.objects:
            raise Refused(404, self.error_body(404))
        self.accepted(status=200)
        self.answer(200, self.server.objects[sid])


class Resend(Json):
    def error_body(self, status):
        return {"name": "application_error", "message": f"double says {status}",
                "statusCode": status}

    def serve(self, path, query, body):
        if self.command == "POST" and path == "/emails":
            mail = self.json_of(body)
            if "to" not in mail:
                raise Refused(422, self.error_body(422))
            self.accepted(status=200, to=mail["to"])
            self.answer(200, {"id": f"00000000-0000-4000-8000-{self.number():012d}"})
        elif self.command == "POST" and path == "/emails/batch":
            mails = self.json_of(body)
            self.accepted(status=200, count=len(mails))
            self.answer(200, {"data": [{"id": f"00000000-0000-4000-8000-{self.number():012d}"}
                                       for _ in mails]})
        elif self.command == "GET" and path.startswith("/emails/"):
            self.accepted(status=200)
            self.answer(200, {"object": "email", "id": path.split("/")[2], "last_event": "delivered"})
        else:
            raise Refused(404, self.error_body(404))


class OpenAI(Json):
    def error_body(self, status):
        return {"error": {"message": f"double says {status}", "type": "server_error",
                          "param": None, "code": None}}

    def serve(self, path, query, body):
        asked = self.json_of(body) if self.command == "POST" else {}
        if path == "/v1/models":
            self.accepted(status=200)
            self.answer(200, {"object": "list", "data": [
                {"id": "gpt-double", "object": "model", "created": 1, "owned_by": "double"}]})
        elif path == "/v1/chat/completions" and asked.get("stream"):
            self.accepted(status=200, stream=True)
            self.begin_chunks("text/event-stream")
            for i, word in enumerate(["Hello", " from", " the", " double"]):
                piece = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                         "model": asked.get("model"),
                         "choices": [{"index": 0, "delta": {"content": word},
                                      "finish_reason": "stop" if i == 3 else None}]}
                self.chunk(b"data: " + json.dumps(piece).encode() + b"\n\n")
                time.sleep(0.02)
            self.chunk(b"data: [DONE]\n\n")
            self.chunk(b"")
        elif path == "/v1/chat/completions":
            self.accepted(status=200)
            self.answer(200, {"id": "chatcmpl-1", "object": "chat.completion", "created": 1,
                              "model": asked.get("model"), "choices": [
                                  {"index": 0, "finish_reason": "stop", "message": {
                                      "role": "assistant", "content": "Hello from the double"}}],
                              "usage": {"prompt_tokens": 5, "completion_tokens": 4,
                                        "total_tokens": 9}})
        elif path == "/v1/embeddings":
            self.accepted(status=200)
            self.answer(200, {"object": "list", "model": asked.get("model"), "data": [
                {"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
                "usage": {"prompt_tokens": 2, "total_tokens": 2}})
        else:
            raise Refused(404, self.error_body(404))


class Anthropic(Json):
    def error_body(self, status):
        return {"type": "error", "error": {"type": "api_error", "message": f"double says {status}"}}

    def serve(self, path, query, body):
        if path == "/v1/models":
            self.accepted(status=200)
            self.answer(200, {"data": [{"id": "claude-double", "type": "model",
                                        "display_name": "Double",
                                        "created_at": "2026-01-01T00:00:00Z"}],
                              "has_more": False, "first_id": "claude-double",
                              "last_id": "claude-double"})
            return
        if path != "/v1/messages":
            raise Refused(404, self.error_body(404))
        asked = self.json_of(body)
        message = {"id": "msg_1", "type": "message", "role": "assistant",
                   "model": asked.get("model"), "stop_reason": "end_turn", "stop_sequence": None,
                   "content": [{"type": "text", "text": "Hello from the double"}],
                   "usage": {"input_tokens": 5, "output_tokens": 4}}
        self.accepted(status=200, stream=bool(asked.get("stream")))
        if not asked.get("stream"):
            self.answer(200, message)
            return
        events = [("message_start", {"message": {**message, "content": [], "stop_reason": None}}),
                  ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
                  ("content_block_delta", {"index": 0, "delta": {"type": "text_delta",
                                                                 "text": "Hello from the double"}}),
                  ("content_block_stop", {"index": 0}),
                  ("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None},
                                     "usage": {"output_tokens": 4}}),
                  ("message_stop", {})]
        self.begin_chunks("text/event-stream")
        for name, data in events:
            self.chunk(f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode())
        self.chunk(b"")


class GitHub(Json):
    def error_body(self, status):
        return {"message": f"double says {status}", "documentation_url": "https://docs.github.com"}

    def serve(self, path, query, body):
        parts = path.strip("/").split("/")
        if self.command == "GET" and parts[0] == "repos" and len(parts) == 3:
            self.accepted(status=200)
            self.answer(200, {"id": 1, "name": parts[2], "full_name": "/".join(parts[1:])})
        elif self.command == "POST" and parts[0] == "repos" and parts[3:] == ["issues"]:
            asked = self.json_of(body)
            self.accepted(status=201)
            self.answer(201, {"id": self.number(), "number": 1, "title": asked.get("title"),
                              "state": "open"})
        elif self.command == "GET" and parts[0] == "repos" and parts[3:] == ["issues"]:
            self.accepted(status=200)
            self.answer(200, [])
        else:
            raise Refused(404, self.error_body(404))


HANDLERS = {"twilio": Twilio, "resend": Resend, "openai": OpenAI, "anthropic": Anthropic,
            "github": GitHub}


def make(vendor, secret, cert, key, log_path=None, port=0):
    return Double(HANDLERS[vendor], secret, cert, key, log_path, port, objects={}, account_page=None,
                  numbers=itertools.count(1))
