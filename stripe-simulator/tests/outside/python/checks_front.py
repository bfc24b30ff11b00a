"""Keys, errors, idempotency, pages, expansion, search: what every call goes through."""

import stripe

from harness import check, equal, fails


@check
def unknown_keys_are_refused(c):
    stranger = c.client_for("sk_test_nobody_registered_this")
    error = fails(
        stripe.AuthenticationError, lambda: stranger.v1.customers.list(), http_status=401
    )
    assert "Invalid API Key" in str(error), error


@check
def the_pinned_version_and_request_id_come_back(c):
    response = c.v1.customers.list().last_response
    assert response.request_id.startswith("req_"), response.request_id
    equal(response.headers["stripe-version"], stripe.api_version, "Stripe-Version")


@check
def unknown_parameters_are_named(c):
    fails(
        stripe.InvalidRequestError,
        lambda: c.v1.customers.create({"colour": "red"}),
        http_status=400,
        code="parameter_unknown",
        param="colour",
    )


@check
def missing_parameters_are_named(c):
    fails(
        stripe.InvalidRequestError,
        lambda: c.v1.prices.create({"unit_amount": 100}),
        code="parameter_missing",
        param="currency",
    )


@check
def nested_parameters_are_named_with_brackets(c):
    error = fails(
        stripe.InvalidRequestError,
        lambda: c.v1.prices.create(
            {"currency": "usd", "unit_amount": 1, "recurring": {"interval": "fortnight"},
             "product_data": {"name": "x"}}
        ),
        http_status=400,
    )
    equal(error.param, "recurring[interval]", "param")


@check
def missing_objects_are_404(c):
    fails(
        stripe.InvalidRequestError,
        lambda: c.v1.customers.retrieve("cus_doesnotexist"),
        http_status=404,
        code="resource_missing",
        param="id",
    )


@check
def a_replayed_key_has_no_second_effect(c):
    options = {"idempotency_key": "replay-1"}
    params = {"email": "replay@example.com"}
    first = c.v1.customers.create(params, options)
    again = c.v1.customers.create(params, options)
    equal(again.id, first.id, "same customer")
    equal(again.last_response.headers.get("idempotent-replayed"), "true", "replay header")
    equal(len(c.v1.customers.list({"email": "replay@example.com"}).data), 1, "customers")


@check
def a_key_with_other_parameters_is_an_error(c):
    options = {"idempotency_key": "replay-2"}
    c.v1.customers.create({"name": "one"}, options)
    fails(
        stripe.IdempotencyError,
        lambda: c.v1.customers.create({"name": "two"}, options),
        http_status=400,
    )


@check
def pages_cover_everything_once_newest_first(c):
    made = [c.v1.customers.create({"email": "page@example.com"}).id for _ in range(7)]
    page = c.v1.customers.list({"email": "page@example.com", "limit": 3})
    equal(page.has_more, True, "has_more")
    seen = [row.id for row in page.auto_paging_iter()]
    equal(seen, list(reversed(made)), "all, newest first")
    before = c.v1.customers.list(
        {"email": "page@example.com", "limit": 2, "ending_before": made[3]}
    )
    equal([row.id for row in before.data], [made[5], made[4]], "ending_before")


@check
def created_ranges_filter(c):
    clock = c.clock(1_700_000_000)
    old = c.v1.customers.create({"test_clock": clock.id})
    equal(old.created, 1_700_000_000, "created on its clock")
    listed = c.v1.customers.list(
        {"test_clock": clock.id, "created": {"gte": 1_700_000_000, "lt": 1_700_000_001}}
    )
    equal([row.id for row in listed.data], [old.id], "in range")
    nothing = c.v1.customers.list({"test_clock": clock.id, "created": {"gt": 1_700_000_000}})
    equal(nothing.data, [], "out of range")


@check
def expand_replaces_ids_by_objects(c):
    customer, price = c.customer(), c.price()
    made = c.subscribe(customer, price, expand=["latest_invoice.payments", "customer"])
    equal(made.customer.id, customer.id, "customer")
    equal(made.latest_invoice.status, "paid", "latest_invoice.status")
    equal(len(made.latest_invoice.payments.data), 1, "payments")
    listed = c.v1.subscriptions.list({"customer": customer.id, "expand": ["data.customer"]})
    equal(listed.data[0].customer.email, "ada@example.com", "data.customer")


@check
def unexpandable_fields_are_refused(c):
    fails(
        stripe.InvalidRequestError,
        lambda: c.v1.customers.list({"expand": ["data.nothing"]}),
        http_status=400,
    )


@check
def metadata_merges_and_unsets(c):
    customer = c.v1.customers.create({"metadata": {"a": "1", "b": "2"}})
    changed = c.v1.customers.update(customer.id, {"metadata": {"b": "", "c": "3"}})
    equal(changed.metadata.to_dict(), {"a": "1", "c": "3"}, "merged")
    equal(c.v1.customers.update(customer.id, {"metadata": ""}).metadata.to_dict(), {}, "cleared")


@check
def search_finds_by_metadata(c):
    customer = c.v1.customers.create({"metadata": {"order": "search-77"}})
    found = c.v1.customers.search({"query": "metadata['order']:'search-77'"})
    equal([row.id for row in found.data], [customer.id], "found")


@check
def the_account_is_readable(c):
    account = c.v1.accounts.retrieve_current()
    assert account.id.startswith("acct_"), account.id
    equal(account.charges_enabled, True, "charges_enabled")
