"""A list of checks, the helpers they share, and what prints the outcome."""

import itertools
import json
import sys
import traceback
import urllib.request

import stripe

CHECKS = []
NUMBERS = itertools.count(1)
DAY = 86_400


def check(function):
    """Registers a check; its docstring says what must hold."""
    CHECKS.append(function)
    return function


class Context:
    """The simulator under test, seen through the official SDK."""

    def __init__(self, base, key):
        self.base = base
        self.key = key
        self.client = self.client_for(key)
        self.v1 = self.client.v1

    def client_for(self, key, **options):
        addresses = {"api": self.base, "meter_events": self.base}
        options.setdefault("max_network_retries", 0)
        return stripe.StripeClient(key, base_addresses=addresses, **options)

    def admin(self, method, path, body=None):
        """Calls an admin route; answers its JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}/_simulator{path}", data, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    # What many checks need first.

    def clock(self, frozen_time=1_800_000_000):
        return self.v1.test_helpers.test_clocks.create({"frozen_time": frozen_time})

    def advance(self, clock, seconds):
        """Advances a test clock and waits until it is ready; answers the clock."""
        now = self.v1.test_helpers.test_clocks.retrieve(clock.id).frozen_time
        self.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": now + seconds})
        for _ in range(500):
            found = self.v1.test_helpers.test_clocks.retrieve(clock.id)
            if found.status == "ready":
                return found
        raise AssertionError("the test clock never got ready")

    def customer(self, card="pm_card_visa", **params):
        """A customer whose default payment method is `card` (None: no card)."""
        customer = self.v1.customers.create(
            {"name": "Ada Example", "email": "ada@example.com", **params}
        )
        if card:
            self.default_card(customer, card)
        return customer

    def default_card(self, customer, card):
        method = self.v1.payment_methods.attach(card, {"customer": customer.id})
        self.v1.customers.update(
            customer.id, {"invoice_settings": {"default_payment_method": method.id}}
        )
        return method

    def price(self, amount=1500, interval="month", **params):
        """A recurring price of a new product."""
        return self.v1.prices.create(
            {
                "currency": "usd",
                "unit_amount": amount,
                "recurring": {"interval": interval},
                "product_data": {"name": f"Plan {next(NUMBERS)}"},
                **params,
            }
        )

    def subscribe(self, customer, price, **params):
        return self.v1.subscriptions.create(
            {"customer": customer.id, "items": [{"price": price.id}], **params}
        )

    def invoices(self, subscription):
        """The subscription's invoices, oldest first."""
        page = self.v1.invoices.list({"subscription": subscription.id, "limit": 100})
        return list(reversed(page.data))

    def subscription(self, subscription):
        return self.v1.subscriptions.retrieve(subscription.id)

    def events(self, kind):
        return self.v1.events.list({"type": kind, "limit": 100}).data


def equal(actual, expected, what=""):
    assert actual == expected, f"{what}: {actual!r} is not {expected!r}"


def fails(kind, call, **wanted):
    """Runs `call`, which must raise the SDK's error `kind` with these attributes."""
    try:
        call()
    except kind as error:
        for name, value in wanted.items():
            if name == "decline_code":
                actual = error.json_body["error"].get("decline_code")
            else:
                actual = getattr(error, name)
            equal(actual, value, name)
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def run(context):
    """Runs every check; answers how many failed."""
    failed = 0
    for function in CHECKS:
        try:
            function(context)
        except Exception as error:  # every failure is reported, none ends the run
            failed += 1
            last = traceback.extract_tb(sys.exc_info()[2])
            own = [frame for frame in last if "/checks_" in frame.filename] or last
            place = f"{own[-1].filename.rsplit('/', 1)[-1]}:{own[-1].lineno}"
            print(f"FAIL {function.__name__} ({place}): {type(error).__name__}: {error}")
    print(f"python {stripe.VERSION}: {len(CHECKS) - failed}/{len(CHECKS)} checks pass")
    return failed
