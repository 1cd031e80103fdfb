# SPDX-License-Identifier: Apache-2.0
"""A double of Stripe: payment intents, charges, refunds, customers, payouts, idempotency."""

import itertools
import time

from double import Double, Handler, Refused, parse_form


def error(status, kind, message, code=None, **more):
    return Refused(status, {"error": {"type": kind, "message": message, "code": code, **more}})


class Stripe(Handler):
    def error_body(self, status):
        return {"error": {"type": "api_error", "message": f"double says {status}"}}

    def unauthorised(self):
        self.answer(401, {"error": {"type": "invalid_request_error",
                                    "message": "Invalid API Key provided"}})

    def answer(self, status, body=None, headers=(), **more):
        number = next(self.server.numbers)
        super().answer(status, body, [("Request-Id", f"req_double{number}"), *headers], **more)

    def new_id(self, prefix):
        return f"{prefix}_double{next(self.server.numbers)}"

    # -- the way of one request, idempotency included

    def serve(self, path, query, body):
        pairs = parse_form(body.decode()) + parse_form(query)
        form = dict(pairs)
        key = self.headers.get("Idempotency-Key")
        if self.command != "POST" or not key:
            self.finish(*self.perform(path, form))
            return
        place = (self.headers.get("Stripe-Account"), path, key)
        with self.server.lock:
            known = self.server.answers.get(place)
            if known is None:
                self.server.answers[place] = "busy"
        if known == "busy":
            raise error(409, "idempotency_error", "a request with this key is in progress")
        if known is not None:
            asked, status, stored = known
            if asked != pairs:
                raise error(400, "idempotency_error", "same key, other parameters")
            self.accepted(status=status, replay=True, idempotency_key=key)
            self.answer(status, stored, [("Idempotent-Replayed", "true")])
            return
        try:
            status, stored, facts = self.perform(path, form)
        except Refused as refused:
            with self.server.lock:
                if refused.status == 402:
                    self.server.answers[place] = (pairs, refused.status, refused.body)
                else:
                    del self.server.answers[place]
            self.accepted(status=refused.status, idempotency_key=key)
            raise
        with self.server.lock:
            self.server.answers[place] = (pairs, status, stored)
        self.finish(status, stored, {**facts, "idempotency_key": key})

    def finish(self, status, body, facts):
        self.accepted(status=status, **facts)
        self.answer(status, body)

    # -- operations

    def amount_of(self, form, name="amount"):
        try:
            amount = int(form[name])
        except (KeyError, ValueError):
            raise error(400, "invalid_request_error", f"Missing required param: {name}.",
                        "parameter_missing") from None
        if amount < 1:
            raise error(400, "invalid_request_error", "Invalid positive integer",
                        "parameter_invalid_integer")
        if name == "amount" and self.path.startswith(("/v1/charges", "/v1/pay", "/v1/t")) and \
                len(form.get("currency", "")) != 3 and self.path.count("/") == 2:
            raise error(400, "invalid_request_error", "Missing required param: currency.",
                        "parameter_missing")
        return amount

    def perform(self, path, form):
        parts = path.strip("/").split("/")[1:]
        name = parts[0] if parts else ""
        if name == "payment_intents":
            return self.payment_intents(parts[1:], form)
        if name == "charges" and self.command == "POST" and len(parts) == 1:
            amount = self.amount_of(form)
            body = {"id": self.new_id("ch"), "object": "charge", "amount": amount, "paid": True,
                    "amount_captured": amount, "captured": True, "currency": form.get("currency"),
                    "status": "succeeded", "livemode": False}
            self.server.objects[body["id"]] = body
            return 200, body, {"moved": amount}
        if name == "refunds" and self.command == "POST":
            amount = self.amount_of(form)
            return 200, {"id": self.new_id("re"), "object": "refund", "amount": amount,
                         "currency": "usd", "status": "succeeded"}, {"moved": amount}
        if name in ("payouts", "transfers", "topups") and self.command == "POST":
            amount = self.amount_of(form)
            return 200, {"id": self.new_id("po"), "object": name[:-1], "amount": amount,
                         "currency": form.get("currency"), "status": "pending"}, {"moved": amount}
        if name == "customers":
            return self.customers(parts[1:], form)
        if name == "balance" and self.command == "GET":
            return 200, {"object": "balance", "available": [{"amount": 0, "currency": "usd"}]}, {}
        if self.command == "GET" and parts and parts[-1] in self.server.objects:
            return 200, self.server.objects[parts[-1]], {}
        raise error(404, "invalid_request_error", f"Unrecognized request URL ({self.command}: {path})")

    def customers(self, rest, form):
        if self.command == "POST" and not rest:
            body = {"id": self.new_id("cus"), "object": "customer", "email": form.get("email")}
            self.server.objects[body["id"]] = body
            return 200, body, {}
        if self.command == "GET" and not rest:
            found = [o for o in self.server.objects.values() if o["object"] == "customer"]
            return 200, {"object": "list", "data": found, "has_more": False,
                         "url": "/v1/customers"}, {}
        body = self.server.objects.get(rest[0]) if rest else None
        if body is None:
            raise error(404, "invalid_request_error", f"No such customer: '{rest[:1]}'",
                        "resource_missing")
        if self.command == "DELETE":
            del self.server.objects[rest[0]]
            return 200, {"id": rest[0], "object": "customer", "deleted": True}, {}
        return 200, body, {}

    def payment_intents(self, rest, form):
        if self.command == "POST" and not rest:
            amount = self.amount_of(form)
            intent = {"id": self.new_id("pi"), "object": "payment_intent", "amount": amount,
                      "amount_received": 0, "amount_capturable": 0,
                      "currency": form.get("currency", ""), "livemode": False,
                      "capture_method": form.get("capture_method", "automatic"),
                      "status": "requires_payment_method", "created": int(time.time())}
            intent["client_secret"] = intent["id"] + "_secret_double"
            if form.get("payment_method"):
                intent["status"] = "requires_confirmation"
                intent["payment_method"] = form["payment_method"]
            with self.server.lock:
                self.server.objects[intent["id"]] = intent
            if form.get("confirm") == "true":
                return self.confirm(intent, form)
            return 200, dict(intent), {"opened": amount}
        if self.command == "GET" and not rest:
            found = [o for o in self.server.objects.values() if o["object"] == "payment_intent"]
            return 200, {"object": "list", "data": found, "has_more": False,
                         "url": "/v1/payment_intents"}, {}
        intent = self.server.objects.get(rest[0]) if rest else None
        if intent is None:
            raise error(404, "invalid_request_error", f"No such payment_intent: '{rest[:1]}'",
                        "resource_missing")
        verb = rest[1] if len(rest) > 1 else ""
        if self.command == "GET":
            return 200, dict(intent), {}
        if verb == "confirm":
            return self.confirm(intent, form)
        if verb == "capture":
            amount = int(form.get("amount_to_capture", intent["amount_capturable"]))
            if intent["status"] != "requires_capture" or amount > intent["amount_capturable"]:
                raise error(400, "invalid_request_error", "This PaymentIntent could not be captured",
                            "payment_intent_unexpected_state")
            intent.update(status="succeeded", amount_received=amount, amount_capturable=0)
            return 200, dict(intent), {"moved": amount}
        if verb == "cancel":
            intent.update(status="canceled", amount_capturable=0)
            return 200, dict(intent), {}
        if "amount" in form:
            intent["amount"] = self.amount_of(form)
        return 200, dict(intent), {}

    def confirm(self, intent, form):
        method = form.get("payment_method", intent.get("payment_method", "pm_card_visa"))
        if "Declined" in method:
            intent["status"] = "requires_payment_method"
            raise error(402, "card_error", "Your card was declined.", "card_declined",
                        payment_intent=dict(intent))
        if intent["capture_method"] == "manual":
            intent.update(status="requires_capture", amount_capturable=intent["amount"])
            return 200, dict(intent), {}
        intent.update(status="succeeded", amount_received=intent["amount"])
        return 200, dict(intent), {"moved": intent["amount"]}


def make(secret, cert, key, log_path=None, port=0):
    return Double(Stripe, secret, cert, key, log_path, port, answers={}, objects={},
                  numbers=itertools.count(1))
