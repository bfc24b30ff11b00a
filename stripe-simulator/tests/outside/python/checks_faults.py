"""The fault plan, rate limits, keys and webhook disturbances, as a client meets them."""

import stripe

from checks_hosted import Listening
from harness import check, equal, fails


def fault(c, **rule):
    c.admin("POST", "/faults", {"path": "/v1/customers", "method": "POST", **rule})


def made(c, email):
    return len(c.v1.customers.list({"email": email}).data)


@check
def a_lost_answer_is_replayed_by_the_sdks_own_retry(c):
    client = c.client_for(c.key, max_network_retries=2)
    for kind in ("reset_before", "reset_after", "bad_gateway_after", "conflict"):
        email = f"{kind}@example.com"
        fault(c, kind=kind)
        client.v1.customers.create({"email": email})
        equal(made(c, email), 1, kind)


@check
def what_the_sdk_does_not_retry_had_its_effect_or_none(c):
    client = c.client_for(c.key, max_network_retries=2)
    # A 500 is stored under the key, so the retry gets it again; half a body is not retried.
    for kind, effect in (("error_before", 0), ("truncated_body", 1)):
        email = f"{kind}@example.com"
        fault(c, kind=kind)
        fails(stripe.StripeError, lambda email=email: client.v1.customers.create({"email": email}))
        equal(made(c, email), effect, kind)


@check
def rate_limits_and_lock_timeouts_are_429(c):
    fault(c, kind="rate_limit", retry_after=7)
    error = fails(
        stripe.RateLimitError, lambda: c.v1.customers.create({"email": "limit@example.com"}),
        http_status=429,
    )
    # The SDK keeps a rate limit's code in the body only.
    equal(error.json_body["error"]["code"], "rate_limit", "code")
    equal(error.headers["retry-after"], "7", "Retry-After")
    fault(c, kind="lock_timeout")
    error = fails(
        stripe.StripeError, lambda: c.v1.customers.create({"email": "limit@example.com"}),
        http_status=429,
    )
    equal(error.json_body["error"]["code"], "lock_timeout", "code")
    equal(made(c, "limit@example.com"), 0, "no effect")


@check
def an_error_after_the_effect_leaves_one_object(c):
    fault(c, kind="error_after")
    options = {"idempotency_key": "after-effect"}
    params = {"email": "after@example.com"}
    for _ in range(2):
        fails(stripe.APIError, lambda: c.v1.customers.create(params, options), http_status=500)
    equal(made(c, "after@example.com"), 1, "the effect happened, once")


@check
def nonsense_instead_of_json_is_an_error(c):
    fault(c, kind="not_json")
    fails(stripe.APIError, lambda: c.v1.customers.create({"email": "html@example.com"}))
    fault(c, kind="not_found_plain")
    fails(stripe.APIError, lambda: c.v1.customers.create({"email": "html@example.com"}))
    equal(made(c, "html@example.com"), 1, "only the first had an effect")


@check
def stale_lists_catch_up(c):
    customer = c.v1.customers.create({"email": "stale@example.com"})
    c.admin("POST", "/faults", {"kind": "stale_list", "path": "/v1/customers", "method": "GET"})
    equal(made(c, "stale@example.com"), 0, "stale")
    equal(made(c, "stale@example.com"), 1, "fresh")
    equal(c.v1.customers.retrieve(customer.id).id, customer.id, "a retrieve is never stale")


@check
def search_lags_as_set(c):
    c.admin("POST", "/settings", {"search_lag_seconds": 60})
    try:
        c.v1.customers.create({"metadata": {"lag": "yes"}})
        query = {"query": "metadata['lag']:'yes'"}
        equal(c.v1.customers.search(query).data, [], "not yet")
        c.admin("POST", "/clock", {"advance_seconds": 61})
        equal(len(c.v1.customers.search(query).data), 1, "a minute later")
    finally:
        c.admin("POST", "/settings", {"search_lag_seconds": 0})


@check
def restricted_and_revoked_keys(c):
    key = "rk_test_outside"
    c.admin("POST", "/keys", {"key": key, "permissions": ["rak_customer_read"]})
    limited = c.client_for(key)
    limited.v1.customers.list()
    error = fails(
        stripe.PermissionError, lambda: limited.v1.customers.update("cus_none"), http_status=403
    )
    assert "rak_customer_write" in str(error), error
    c.admin("POST", "/keys/revoke", {"key": key})
    fails(stripe.AuthenticationError, lambda: limited.v1.customers.list(), http_status=401)


@check
def accounts_and_modes_are_apart(c):
    c.admin("POST", "/keys", {"key": "sk_test_other", "account": "acct_other"})
    c.admin("POST", "/keys", {"key": "sk_live_simulator"})
    mine = c.v1.customers.create({"email": "apart@example.com"})
    for key, livemode in (("sk_test_other", False), ("sk_live_simulator", True)):
        other = c.client_for(key)
        fails(stripe.InvalidRequestError, lambda: other.v1.customers.retrieve(mine.id), http_status=404)
        equal(other.v1.customers.create().livemode, livemode, key)


@check
def webhooks_come_twice_out_of_order_and_signed_by_both_secrets(c):
    with Listening() as receiver:
        endpoint = c.v1.webhook_endpoints.create(
            {"url": receiver.url, "enabled_events": ["product.created"]}
        )
        rolled = c.admin(
            "POST", f"/webhooks/endpoints/{endpoint.id}/roll_secret", {"overlap_seconds": 3600}
        )
        c.admin("POST", "/webhooks/plan", {"hold": True, "duplicates": 1})
        try:
            names = ["one", "two", "three"]
            for name in names:
                c.v1.products.create({"name": name})
            c.admin("POST", "/webhooks/release", {"order": "reverse"})
            seen = receiver.wait(6)
            for secret in (endpoint.secret, rolled["secret"]):
                events = [
                    stripe.Webhook.construct_event(body, signature, secret, tolerance=None)
                    for body, signature in seen
                ]
            order = [event.data.object.name for event in events]
            equal(sorted(order), sorted(names * 2), "each twice")
            assert order[0] == "three" and order[-1] == "one", order
        finally:
            c.admin("POST", "/webhooks/plan", {"hold": False, "duplicates": 0})
            c.v1.webhook_endpoints.delete(endpoint.id)


@check
def dunning_ends_as_the_account_is_set(c):
    from checks_invoices import failing_renewal
    from harness import DAY

    for state in ("unpaid", "past_due", "canceled"):
        c.admin("POST", "/billing", {"end_state": state})
        clock, _, subscription = failing_renewal(c)
        c.advance(clock, 29 * DAY)
        equal(c.subscription(subscription).status, state, state)
