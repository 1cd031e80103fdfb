# SPDX-License-Identifier: Apache-2.0
"""A double of Stripe that can contradict us: payment intents with partial and multi capture, charges,
refunds, customers, invoices, payouts, transfers, topups, events; idempotency with a memory of 24
hours and 409 while the first is executing; declines; authorisations that lapse by themselves.

What a test may set on the server:

    clock_offset   seconds by which its clock is ahead
    forbidden      beginnings of paths that the stored key may not GET: 403
    fail_cancels   so many cancellations answer 500, and again to the same idempotency key
    lose_answers   so many answers of POSTs are lost: done, and the connection reset
    pause          seconds that a POST takes; `begun` counts those
    balance        cents that payouts and transfers may take; None: any
"""

import itertools
import threading
import time

from double import Double, Handler, Refused, parse_form

MEMORY_SECONDS = 24 * 3600
AUTHORISED_SECONDS = 7 * 24 * 3600


def error(status, kind, message, code=None, **more):
    return Refused(status, {"error": {"type": kind, "message": message, "code": code, **more}})


def bad(message, code=None, **more):
    return error(400, "invalid_request_error", message, code, **more)


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

    def now(self):
        return time.time() + self.server.clock_offset

    # -- the way of one request, idempotency included

    def serve(self, path, query, body):
        pairs = parse_form(body.decode()) + parse_form(query)
        form = dict(pairs)
        self.key = self.headers.get("Idempotency-Key")
        self.account = self.headers.get("Stripe-Account")
        if self.command == "GET" and any(path.startswith(p) for p in self.server.forbidden):
            raise error(403, "invalid_request_error",
                        "The provided key does not have the required permissions", "permission")
        if self.command != "POST" or not self.key:
            self.finish(*self.perform(path, form))
            return
        place = (self.account, path, self.key)
        with self.server.lock:
            known = self.server.answers.get(place)
            if known not in (None, "busy") and self.now() - known[3] > MEMORY_SECONDS:
                known = None
            if known is None:
                self.server.answers[place] = "busy"
        if known == "busy":
            raise error(409, "idempotency_error", "a request with this key is in progress")
        if known is not None:
            asked, status, stored, _ = known
            if asked != pairs:
                raise error(400, "idempotency_error", "same key, other parameters")
            self.accepted(status=status, replay=True, idempotency_key=self.key)
            self.respond(status, stored, [("Idempotent-Replayed", "true")])
            return
        if self.server.pause:
            self.server.begun += 1
            time.sleep(self.server.pause)
        try:
            status, stored, facts = self.perform(path, form)
        except Refused as refused:
            with self.server.lock:
                # What was refused before it was begun is not remembered; a decline is.
                if refused.status in (402, 500):
                    self.server.answers[place] = (pairs, refused.status, refused.body, self.now())
                else:
                    del self.server.answers[place]
            self.accepted(status=refused.status, idempotency_key=self.key)
            raise
        with self.server.lock:
            self.server.answers[place] = (pairs, status, stored, self.now())
        self.finish(status, stored, {**facts, "idempotency_key": self.key})

    def finish(self, status, body, facts):
        self.accepted(status=status, **facts)
        self.respond(status, body)

    def respond(self, status, body, headers=()):
        with self.server.lock:
            lost = self.command == "POST" and self.server.lose_answers > 0
            self.server.lose_answers -= lost
        if lost:
            self.reset_now()
        else:
            self.answer(status, body, headers)

    # -- objects

    def keep(self, body):
        """A new or changed object, and the event that tells of it."""
        with self.server.lock:
            self.server.objects[body["id"]] = body
            self.server.accounts[body["id"]] = self.account
            self.server.events.insert(0, {
                "id": f"evt_double{next(self.server.numbers)}", "object": "event",
                "type": body["object"] + ".changed", "created": int(self.now()),
                "account": self.account, "data": {"object": dict(body)},
                "request": {"id": None, "idempotency_key": self.key}})
        return body

    def find(self, name, number):
        found = self.server.objects.get(number)
        if found is None or found["object"] != name or \
                self.server.accounts.get(number) != self.account:
            raise error(404, "invalid_request_error", f"No such {name}: '{number}'",
                        "resource_missing")
        return found

    def word(self, form, name, default=""):
        """true or false; stripe-python writes True and False."""
        return form.get(name, default).lower()

    def number_of(self, form, name):
        text = form[name]
        if not text.isascii() or not text.isdigit():
            raise bad("Invalid integer: " + text, "parameter_invalid_integer", param=name)
        return int(text)

    def amount_of(self, form, name="amount"):
        if name not in form:
            raise bad(f"Missing required param: {name}.", "parameter_missing")
        amount = self.number_of(form, name)
        if amount < 1:
            raise bad("Invalid positive integer", "parameter_invalid_integer")
        if name == "amount" and self.path.startswith(("/v1/charges", "/v1/pay", "/v1/t")) and \
                len(form.get("currency", "")) != 3 and self.path.count("/") == 2:
            raise bad("Missing required param: currency.", "parameter_missing")
        return amount

    def listed(self, name, path):
        found = [o for o in self.server.objects.values() if o["object"] == name]
        return 200, {"object": "list", "data": found, "has_more": False, "url": path}, {}

    # -- operations

    def perform(self, path, form):
        parts = path.strip("/").split("/")[1:]
        name = parts[0] if parts else ""
        if name == "payment_intents":
            return self.payment_intents(parts[1:], form)
        if name == "charges":
            return self.charges(parts[1:], form)
        if name == "refunds":
            return self.refunds(parts[1:], form)
        if name == "invoices":
            return self.invoices(parts[1:], form)
        if name in ("payouts", "transfers", "topups"):
            return self.transfers(name[:-1], parts[1:], form)
        if name == "customers":
            return self.customers(parts[1:], form)
        if name == "events" and self.command == "GET":
            return self.list_events(form)
        if name == "balance" and self.command == "GET":
            return 200, {"object": "balance", "available": [{"amount": 0, "currency": "usd"}]}, {}
        if self.command == "GET" and parts and parts[-1] in self.server.objects:
            return 200, self.server.objects[parts[-1]], {}
        raise error(404, "invalid_request_error",
                    f"Unrecognized request URL ({self.command}: {path})")

    def list_events(self, form):
        with self.server.lock:
            found = [e for e in self.server.events if e["account"] == self.account]
        found = [e for e in found
                 if int(form.get("created[gte]", 0)) <= e["created"]
                 <= int(form.get("created[lte]", 1 << 60))]
        if "starting_after" in form:
            ids = [e["id"] for e in found]
            found = found[ids.index(form["starting_after"]) + 1:]
        limit = int(form.get("limit", 10))
        return 200, {"object": "list", "data": found[:limit], "has_more": len(found) > limit,
                     "url": "/v1/events"}, {}

    def customers(self, rest, form):
        if self.command == "POST" and not rest:
            return 200, self.keep({"id": self.new_id("cus"), "object": "customer",
                                   "email": form.get("email")}), {}
        if self.command == "GET" and not rest:
            return self.listed("customer", "/v1/customers")
        body = self.find("customer", rest[0])
        if self.command == "DELETE":
            del self.server.objects[rest[0]]
            return 200, {"id": rest[0], "object": "customer", "deleted": True}, {}
        return 200, body, {}

    def new_charge(self, amount, currency, captured, **more):
        return self.keep({"id": self.new_id("ch"), "object": "charge", "amount": amount,
                          "paid": True, "amount_captured": amount if captured else 0,
                          "amount_refunded": 0, "refunded": False, "captured": captured,
                          "currency": currency, "status": "succeeded", "livemode": False, **more})

    def charges(self, rest, form):
        if self.command == "POST" and not rest:
            amount = self.amount_of(form)
            if "Declined" in form.get("source", ""):
                raise error(402, "card_error", "Your card was declined.", "card_declined")
            captured = self.word(form, "capture", "true") != "false"
            body = self.new_charge(amount, form.get("currency"), captured)
            return 200, dict(body), {"moved": amount} if captured else {"opened": amount}
        if self.command == "GET" and not rest:
            return self.listed("charge", "/v1/charges")
        charge = self.find("charge", rest[0])
        if self.command == "GET":
            return 200, dict(charge), {}
        if rest[1:] == ["capture"]:
            amount = self.number_of(form, "amount") if "amount" in form else charge["amount"]
            if charge["captured"] or amount > charge["amount"]:
                raise bad("Charge has already been captured.", "charge_already_captured")
            charge.update(captured=True, amount_captured=amount)
            return 200, dict(self.keep(charge)), {"moved": amount}
        if rest[1:] in (["refund"], ["refunds"]):
            return self.refund(charge, form)
        return 200, dict(charge), {}

    def refunds(self, rest, form):
        if self.command == "GET":
            return (200, dict(self.find("refund", rest[0])), {}) if rest else \
                self.listed("refund", "/v1/refunds")
        number = form.get("charge")
        if "payment_intent" in form:
            number = self.find("payment_intent", form["payment_intent"])["latest_charge"]
        if number not in self.server.objects:
            raise bad(f"No such charge: '{number}'", "resource_missing")
        return self.refund(self.find("charge", number), form)

    def refund(self, charge, form):
        left = charge["amount_captured"] - charge["amount_refunded"]
        amount = self.number_of(form, "amount") if "amount" in form else left
        if amount > left or amount < 1:
            raise bad(f"Refund amount (${amount / 100}) is greater than unrefunded amount",
                      "charge_already_refunded" if left == 0 else "amount_too_large")
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
        self.keep(charge)
        body = self.keep({"id": self.new_id("re"), "object": "refund", "amount": amount,
                          "charge": charge["id"], "currency": charge["currency"],
                          "status": "succeeded"})
        return 200, body, {"moved": amount}

    def transfers(self, name, rest, form):
        if self.command == "GET":
            return (200, dict(self.find(name, rest[0])), {}) if rest else \
                self.listed(name, f"/v1/{name}s")
        if name == "transfer" and "amount" not in form and "source_transaction" in form:
            amount = self.find("charge", form["source_transaction"])["amount"]
        else:
            amount = self.amount_of(form)
        if self.server.balance is not None and name != "topup":
            if amount > self.server.balance:
                raise bad("You have insufficient funds", "balance_insufficient")
            self.server.balance -= amount
        body = self.keep({"id": self.new_id({"payout": "po", "transfer": "tr", "topup": "tu"}[name]),
                          "object": name, "amount": amount, "currency": form.get("currency"),
                          "status": "pending"})
        return 200, body, {"moved": amount}

    def invoices(self, rest, form):
        if self.command == "POST" and not rest:
            due = int(form.get("metadata[due]", 0))
            return 200, self.keep({"id": self.new_id("in"), "object": "invoice", "status": "draft",
                                   "amount_due": due, "amount_paid": 0, "amount_remaining": due,
                                   "currency": "usd"}), {}
        invoice = self.find("invoice", rest[0])
        if self.command == "POST" and rest[1:] == ["finalize"]:
            invoice["status"] = "open"
            self.keep(invoice)
        elif self.command == "POST" and rest[1:] == ["pay"]:
            if invoice["status"] == "paid":
                raise bad("Invoice is already paid", "invoice_already_paid")
            moved = invoice["amount_remaining"]
            invoice.update(status="paid", amount_paid=invoice["amount_due"], amount_remaining=0)
            self.keep(invoice)
            out_of_band = self.word(form, "paid_out_of_band") == "true"
            return 200, dict(invoice), {} if out_of_band else {"moved": moved}
        return 200, dict(invoice), {}

    # -- payment intents

    def payment_intents(self, rest, form):
        if self.command == "POST" and not rest:
            return self.create_intent(form)
        if self.command == "GET" and not rest:
            return self.listed("payment_intent", "/v1/payment_intents")
        intent = self.find("payment_intent", rest[0])
        self.lapse(intent)
        verb = rest[1] if len(rest) > 1 else ""
        if self.command == "GET":
            body = dict(intent)
            if form.get("expand[]") == "latest_charge" and intent["latest_charge"]:
                body["latest_charge"] = self.server.objects[intent["latest_charge"]]
            return 200, body, {}
        if verb == "confirm":
            return self.confirm(intent, form)
        if verb == "capture":
            return self.capture(intent, form)
        if verb == "cancel":
            with self.server.lock:
                failing = self.server.fail_cancels > 0
                self.server.fail_cancels -= failing
            if failing:
                raise error(500, "api_error", "An unknown error occurred")
            if intent["status"] in ("succeeded", "canceled"):
                raise bad("You cannot cancel this PaymentIntent", "payment_intent_unexpected_state")
            intent.update(status="canceled", amount_capturable=0)
            return 200, dict(self.keep(intent)), {}
        if verb == "increment_authorization":
            if intent["status"] != "requires_capture":
                raise bad("only when requires_capture", "payment_intent_unexpected_state")
            more = self.amount_of(form) - intent["amount"]
            intent["amount"] += more
            intent["amount_capturable"] += more
        elif "amount" in form:
            if intent["status"] not in ("requires_payment_method", "requires_confirmation"):
                raise bad("cannot be changed now", "payment_intent_unexpected_state")
            intent["amount"] = self.amount_of(form)
        if "payment_method" in form:
            intent["payment_method"] = form["payment_method"]
        return 200, dict(self.keep(intent)), {}

    def create_intent(self, form):
        amount = self.amount_of(form)
        intent = {"id": self.new_id("pi"), "object": "payment_intent", "amount": amount,
                  "amount_received": 0, "amount_capturable": 0, "latest_charge": None,
                  "currency": form.get("currency", ""), "livemode": False,
                  "capture_method": form.get("capture_method", "automatic"),
                  "status": "requires_payment_method", "created": int(self.now())}
        intent["client_secret"] = intent["id"] + "_secret_double"
        if form.get("payment_method"):
            intent["status"] = "requires_confirmation"
            intent["payment_method"] = form["payment_method"]
        self.keep(intent)
        if self.word(form, "confirm") == "true":
            return self.confirm(intent, form)
        return 200, dict(intent), {"opened": amount}

    def lapse(self, intent):
        """A card's authorisation ends by itself."""
        if intent["status"] == "requires_capture" and \
                self.now() - intent["authorised"] > AUTHORISED_SECONDS:
            intent.update(status="canceled", amount_capturable=0)
            self.keep(intent)

    def confirm(self, intent, form):
        if intent["status"] in ("succeeded", "canceled", "requires_capture"):
            raise bad("You cannot confirm this PaymentIntent", "payment_intent_unexpected_state",
                      payment_intent=dict(intent))
        if "amount_to_confirm" in form and \
                self.number_of(form, "amount_to_confirm") != intent["amount"]:
            raise bad("amount_to_confirm is not the amount", "amount_mismatch")
        method = form.get("payment_method", intent.get("payment_method", "pm_card_visa"))
        if "Declined" in method:
            intent["status"] = "requires_payment_method"
            self.keep(intent)
            raise error(402, "card_error", "Your card was declined.", "card_declined",
                        payment_intent=dict(intent))
        manual = intent["capture_method"] == "manual"
        charge = self.new_charge(intent["amount"], intent["currency"], not manual,
                                 payment_intent=intent["id"])
        intent["latest_charge"] = charge["id"]
        if manual:
            intent.update(status="requires_capture", amount_capturable=intent["amount"],
                          authorised=self.now())
            return 200, dict(self.keep(intent)), {}
        intent.update(status="succeeded", amount_received=intent["amount"])
        return 200, dict(self.keep(intent)), {"moved": intent["amount"]}

    def capture(self, intent, form):
        left = intent["amount_capturable"]
        amount = self.number_of(form, "amount_to_capture") if "amount_to_capture" in form else left
        if intent["status"] != "requires_capture" or amount > left or amount < 1:
            raise bad("This PaymentIntent could not be captured",
                      "payment_intent_unexpected_state", payment_intent=dict(intent))
        intent["amount_received"] += amount
        more = self.word(form, "final_capture", "true") == "false" and amount < left
        intent["amount_capturable"] = left - amount if more else 0
        if not more:
            intent["status"] = "succeeded"
        charge = self.server.objects[intent["latest_charge"]]
        charge.update(captured=True, amount_captured=intent["amount_received"])
        self.keep(charge)
        return 200, dict(self.keep(intent)), {"moved": amount}


def make(secret, cert, key, log_path=None, port=0):
    double = Double(Stripe, secret, cert, key, log_path, port, answers={}, objects={}, accounts={},
                    events=[], numbers=itertools.count(1), clock_offset=0, forbidden=(),
                    fail_cancels=0, lose_answers=0, pause=0, begun=0, balance=None)
    double.lock = threading.RLock()
    return double
