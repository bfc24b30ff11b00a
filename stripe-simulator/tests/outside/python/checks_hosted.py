"""Checkout, the billing portal, webhooks out, events, test clocks, faults."""

import http.server
import threading
import urllib.error
import urllib.parse
import urllib.request

import stripe

from harness import DAY, check, equal, fails


@check
def checkout_subscribes_through_its_page(c):
    customer, price = c.customer(card=None), c.price(1900)
    session = c.v1.checkout.sessions.create(
        {"mode": "subscription", "customer": customer.id, "line_items": [{"price": price.id, "quantity": 1}],
         "success_url": "http://localhost/done?id={CHECKOUT_SESSION_ID}"}
    )
    equal((session.status, session.payment_status), ("open", "unpaid"))
    equal(urllib.request.urlopen(session.url, timeout=10).status, 200, "the page opens")
    c.admin("POST", f"/checkout/{session.id}/complete", {"payment_method": "pm_card_visa"})
    done = c.v1.checkout.sessions.retrieve(session.id)
    equal((done.status, done.payment_status), ("complete", "paid"))
    equal(c.v1.subscriptions.retrieve(done.subscription).status, "active", "subscription")


@check
def checkout_saves_a_card(c):
    customer = c.customer(card=None)
    session = c.v1.checkout.sessions.create(
        {"mode": "setup", "currency": "usd", "customer": customer.id, "success_url": "http://localhost/"}
    )
    c.admin("POST", f"/checkout/{session.id}/complete", {"payment_method": "pm_card_visa"})
    done = c.v1.checkout.sessions.retrieve(session.id)
    intent = c.v1.setup_intents.retrieve(done.setup_intent)
    equal(intent.status, "succeeded", "set up")
    equal(c.v1.payment_methods.retrieve(intent.payment_method).customer, customer.id, "attached")


@check
def checkout_sessions_expire(c):
    session = c.v1.checkout.sessions.create(
        {"mode": "setup", "currency": "usd", "success_url": "http://localhost/"}
    )
    equal(c.v1.checkout.sessions.expire(session.id).status, "expired", "expired")
    fails(stripe.InvalidRequestError, lambda: c.v1.checkout.sessions.expire(session.id), http_status=400)


@check
def the_billing_portal_has_a_page(c):
    configuration = c.v1.billing_portal.configurations.create(
        {"features": {"invoice_history": {"enabled": True}}}
    )
    session = c.v1.billing_portal.sessions.create(
        {"customer": c.customer().id, "configuration": configuration.id, "return_url": "http://localhost/"}
    )
    equal(urllib.request.urlopen(session.url, timeout=10).status, 200, "the page opens")


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent; answers as told."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((body, self.headers["Stripe-Signature"]))
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.send_response(status)
        self.end_headers()
        with self.server.arrived:
            self.server.arrived.notify_all()

    def log_message(self, *_):
        pass


class Listening:
    """A webhook receiver on a free port for the length of a `with`."""

    def __init__(self, *answers):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.server.seen, self.server.answers = [], list(answers)
        self.server.arrived = threading.Condition()

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    def wait(self, count):
        """Waits until `count` deliveries have arrived; answers them."""
        with self.server.arrived:
            self.server.arrived.wait_for(lambda: len(self.server.seen) >= count, timeout=10)
        equal(len(self.server.seen) >= count, True, f"{count} deliveries, {len(self.server.seen)} seen")
        return self.server.seen


@check
def webhooks_are_signed_and_retried(c):
    with Listening(500) as receiver:
        endpoint = c.v1.webhook_endpoints.create(
            {"url": receiver.url, "enabled_events": ["customer.created"]}
        )
        assert endpoint.secret.startswith("whsec_"), endpoint.secret
        customer = c.v1.customers.create({"name": "Hook"})
        receiver.wait(1)
        c.admin("POST", "/clock", {"advance_seconds": DAY})
        deliveries = receiver.wait(2)
        events = [stripe.Event.construct_from(
            __import__("json").loads(body), c.key) for body, _ in deliveries]
        equal({event.id for event in events}, {events[0].id}, "the same event again")
        body, signature = deliveries[-1]
        event = stripe.Webhook.construct_event(body, signature, endpoint.secret, tolerance=None)
        equal((event.type, event.data.object.id), ("customer.created", customer.id))
        fails(
            stripe.SignatureVerificationError,
            lambda: stripe.Webhook.construct_event(body + b" ", signature, endpoint.secret, tolerance=None),
        )
        c.v1.webhook_endpoints.delete(endpoint.id)
    hidden = c.v1.webhook_endpoints.list()
    assert all(row.id != endpoint.id for row in hidden.data), "deleted"


@check
def events_keep_their_order_and_data(c):
    customer = c.v1.customers.create({"name": "Before"})
    c.v1.customers.update(customer.id, {"name": "After"})
    listed = [e for e in c.v1.events.list({"types": ["customer.created", "customer.updated"]}).data
              if e.data.object.id == customer.id]
    equal([e.type for e in listed], ["customer.updated", "customer.created"], "newest first")
    equal(listed[0].data.previous_attributes.to_dict(), {"name": "Before"}, "previous")
    equal(listed[1].data.object.name, "Before", "as it was then")
    equal(c.v1.events.retrieve(listed[0].id).id, listed[0].id, "retrieved")


@check
def test_clocks_never_go_back_and_take_their_customers_along(c):
    clock = c.clock()
    customer = c.customer(test_clock=clock.id)
    fails(
        stripe.InvalidRequestError,
        lambda: c.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": 1_799_999_999}),
        http_status=400,
    )
    equal(c.v1.test_helpers.test_clocks.delete(clock.id).deleted, True, "deleted")
    equal(c.v1.customers.retrieve(customer.id).deleted, True, "its customer too")


@check
def quotes_become_subscriptions(c):
    customer, price = c.customer(), c.price(5000)
    quote = c.v1.quotes.create({"customer": customer.id, "line_items": [{"price": price.id}]})
    equal((quote.status, quote.amount_total), ("draft", 5000))
    equal(c.v1.quotes.finalize_quote(quote.id).status, "open", "open")
    accepted = c.v1.quotes.accept(quote.id)
    equal(accepted.status, "accepted", "accepted")
    equal(c.v1.subscriptions.retrieve(accepted.subscription).customer, customer.id, "subscribed")
