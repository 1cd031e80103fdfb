#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What runs in a sandbox: an agent that makes payment intents with Stripe's own SDK.

It knows a vault key and an address, from its environment, and nothing else.
"""

import os

import stripe

stripe.api_key = os.environ["STRIPE_API_KEY"]
stripe.api_base = os.environ["STRIPE_API_BASE"]


def attempt(what, call):
    try:
        done = call()
        print(f"  agent: {what:34} -> {done['id']} {done['status']}")
    except stripe.error.StripeError as error:
        print(f"  agent: {what:34} -> {type(error).__name__}: {error.user_message}")


print(f"  agent: all I know is STRIPE_API_KEY={stripe.api_key[:10]}...")
for dollars in (12, 20, 15):
    attempt(f"a payment intent over ${dollars}",
            lambda: stripe.PaymentIntent.create(amount=dollars * 100, currency="usd"))
attempt("a payout of $500 to my own account",
        lambda: stripe.Payout.create(amount=50000, currency="usd"))
attempt("a payment intent over $20",
        lambda: stripe.PaymentIntent.create(amount=2000, currency="usd"))
