"""Invoices from draft to paid, void or uncollectible; dunning; credit notes; meters."""

import urllib.request

import stripe

from harness import DAY, check, equal, fails


def one_off(c, customer, amount=1200, **params):
    """A draft invoice with one item."""
    invoice = c.v1.invoices.create({"customer": customer.id, "auto_advance": False, **params})
    c.v1.invoice_items.create(
        {"customer": customer.id, "invoice": invoice.id, "amount": amount, "currency": "usd",
         "description": "Set-up"}
    )
    return c.v1.invoices.retrieve(invoice.id)


@check
def an_invoice_goes_from_draft_to_paid(c):
    invoice = one_off(c, c.customer())
    equal((invoice.status, invoice.total), ("draft", 1200))
    done = c.v1.invoices.finalize_invoice(invoice.id)
    equal(done.status, "open", "finalized")
    assert done.number and done.hosted_invoice_url and done.invoice_pdf, done
    paid = c.v1.invoices.pay(invoice.id)
    equal((paid.status, paid.amount_paid, paid.amount_remaining), ("paid", 1200, 0))
    equal(sum(line.amount for line in c.v1.invoices.line_items.list(invoice.id).data), 1200)
    payments = c.v1.invoice_payments.list({"invoice": invoice.id}).data
    equal([(p.status, p.amount_paid) for p in payments], [("paid", 1200)], "payments")


@check
def a_paid_invoice_cannot_be_voided_or_paid_again(c):
    invoice = one_off(c, c.customer())
    c.v1.invoices.pay(invoice.id)
    fails(stripe.InvalidRequestError, lambda: c.v1.invoices.void_invoice(invoice.id), http_status=400)
    fails(stripe.InvalidRequestError, lambda: c.v1.invoices.pay(invoice.id), http_status=400)
    equal(c.v1.invoices.retrieve(invoice.id).status, "paid", "unchanged")


@check
def invoices_are_voided_written_off_and_deleted(c):
    customer = c.customer()
    void = c.v1.invoices.finalize_invoice(one_off(c, customer).id)
    equal(c.v1.invoices.void_invoice(void.id).status, "void", "void")
    lost = c.v1.invoices.finalize_invoice(one_off(c, customer).id)
    equal(c.v1.invoices.mark_uncollectible(lost.id).status, "uncollectible", "written off")
    equal(c.v1.invoices.pay(lost.id).status, "paid", "and paid after all")
    draft = one_off(c, customer)
    equal(c.v1.invoices.delete(draft.id).deleted, True, "a draft can go")
    fails(stripe.InvalidRequestError, lambda: c.v1.invoices.delete(void.id), http_status=400)


@check
def numbers_count_up_per_customer(c):
    customer = c.customer()
    numbers = [c.v1.invoices.finalize_invoice(one_off(c, customer).id).number for _ in range(3)]
    prefixes = {number.rsplit("-", 1)[0] for number in numbers}
    equal(len(prefixes), 1, "prefix")
    equal([int(number.rsplit("-", 1)[1]) for number in numbers], [1, 2, 3], "sequence")


@check
def invoices_sent_for_payment_have_a_due_date(c):
    invoice = one_off(c, c.customer(card=None), collection_method="send_invoice", days_until_due=30)
    sent = c.v1.invoices.send_invoice(invoice.id)
    equal(sent.status, "open", "open")
    assert sent.due_date is not None, "due_date"
    paid = c.v1.invoices.pay(invoice.id, {"paid_out_of_band": True})
    equal((paid.status, paid.amount_paid), ("paid", 1200), "out of band")


@check
def hosted_page_and_pdf_open(c):
    invoice = c.v1.invoices.finalize_invoice(one_off(c, c.customer()).id)
    page = urllib.request.urlopen(invoice.hosted_invoice_url, timeout=10)
    assert invoice.number in page.read().decode(), "the page shows the number"
    document = urllib.request.urlopen(invoice.invoice_pdf, timeout=10).read()
    assert document.startswith(b"%PDF-") and b"%%EOF" in document[-32:], document[:20]


@check
def previews_charge_nothing(c):
    customer, price = c.customer(), c.price(4200)
    preview = c.v1.invoices.create_preview(
        {"customer": customer.id, "subscription_details": {"items": [{"price": price.id}]}}
    )
    equal(preview.total, 4200, "total")
    equal(c.v1.invoices.list({"customer": customer.id}).data, [], "no invoice")
    equal(c.v1.subscriptions.list({"customer": customer.id}).data, [], "no subscription")


def failing_renewal(c):
    clock = c.clock()
    customer = c.customer(test_clock=clock.id)
    subscription = c.subscribe(customer, c.price())
    c.default_card(customer, "pm_card_chargeCustomerFail")
    c.advance(clock, 31 * DAY + 2 * 3600)
    return clock, customer, subscription


@check
def a_failed_renewal_is_past_due_and_heals(c):
    _, customer, subscription = failing_renewal(c)
    equal(c.subscription(subscription).status, "past_due", "status")
    invoice = c.invoices(subscription)[1]
    equal((invoice.status, invoice.attempt_count), ("open", 1), "invoice")
    assert invoice.next_payment_attempt is not None, "a retry is planned"
    good = c.default_card(customer, "pm_card_visa")
    c.v1.invoices.pay(invoice.id, {"payment_method": good.id})
    equal(c.subscription(subscription).status, "active", "healed")


@check
def a_retry_succeeds_by_itself_with_a_new_card(c):
    clock, customer, subscription = failing_renewal(c)
    c.default_card(customer, "pm_card_visa")
    c.advance(clock, 8 * DAY)
    equal(c.subscription(subscription).status, "active", "status")
    equal(c.invoices(subscription)[1].status, "paid", "invoice")


@check
def dunning_ends_in_cancellation(c):
    clock, _, subscription = failing_renewal(c)
    c.advance(clock, 29 * DAY)
    equal(c.subscription(subscription).status, "canceled", "status")
    invoice = c.invoices(subscription)[1]
    assert invoice.attempt_count >= 4, invoice.attempt_count
    equal(invoice.next_payment_attempt, None, "no more retries")


@check
def credit_notes_refund_or_reduce(c):
    customer = c.customer()
    paid = c.v1.invoices.pay(one_off(c, customer).id)
    note = c.v1.credit_notes.create({"invoice": paid.id, "amount": 200, "refund_amount": 200})
    equal((note.status, note.total), ("issued", 200))
    equal(c.v1.invoices.retrieve(paid.id).post_payment_credit_notes_amount, 200, "after payment")
    waiting = c.v1.invoices.finalize_invoice(one_off(c, customer).id)
    c.v1.credit_notes.create({"invoice": waiting.id, "amount": 1200})
    covered = c.v1.invoices.retrieve(waiting.id)
    equal((covered.status, covered.amount_due), ("paid", 0), "credited in full")
    fails(
        stripe.InvalidRequestError,
        lambda: c.v1.credit_notes.create({"invoice": paid.id, "amount": 1001, "refund_amount": 1001}),
        http_status=400,
    )


def meter(c, name):
    return c.v1.billing.meters.create(
        {"display_name": name, "event_name": name, "default_aggregation": {"formula": "sum"}}
    )


@check
def metered_usage_is_billed_in_arrears(c):
    clock = c.clock()
    found = meter(c, "calls_arrears")
    price = c.price(2, recurring={"interval": "month", "usage_type": "metered", "meter": found.id})
    customer = c.customer(test_clock=clock.id)
    subscription = c.subscribe(customer, price)
    equal([i.total for i in c.invoices(subscription)], [0], "nothing in advance")
    for index, value in enumerate((100, 250)):
        c.v1.billing.meter_events.create(
            {"event_name": "calls_arrears", "identifier": f"use-{clock.id}-{index}",
             "timestamp": 1_800_000_000 + 60,
             "payload": {"stripe_customer_id": customer.id, "value": str(value)}}
        )
    c.advance(clock, 32 * DAY)
    equal(c.invoices(subscription)[1].total, 700, "350 x 2")


@check
def meter_events_count_once_and_sum_up(c):
    found = meter(c, "calls_once")
    customer = c.v1.customers.create()
    event = {"event_name": "calls_once", "identifier": "same",
             "payload": {"stripe_customer_id": customer.id, "value": "7"}}
    made = c.v1.billing.meter_events.create(event)
    fails(stripe.InvalidRequestError, lambda: c.v1.billing.meter_events.create(event), http_status=400)
    start = made.timestamp - made.timestamp % 60
    summaries = c.v1.billing.meters.event_summaries.list(
        found.id, {"customer": customer.id, "start_time": start - 60, "end_time": start + 120}
    )
    equal(sum(s.aggregated_value for s in summaries.data), 7, "once")
    equal(c.v1.billing.meters.deactivate(found.id).status, "inactive", "deactivated")


@check
def credit_grants_pay_metered_usage(c):
    clock = c.clock()
    found = meter(c, "calls_granted")
    price = c.price(10, recurring={"interval": "month", "usage_type": "metered", "meter": found.id})
    customer = c.customer(test_clock=clock.id)
    c.v1.billing.credit_grants.create(
        {"customer": customer.id, "category": "paid", "name": "prepaid",
         "amount": {"type": "monetary", "monetary": {"value": 400, "currency": "usd"}},
         "applicability_config": {"scope": {"price_type": "metered"}}}
    )
    subscription = c.subscribe(customer, price)
    c.v1.billing.meter_events.create(
        {"event_name": "calls_granted", "timestamp": 1_800_000_060,
         "payload": {"stripe_customer_id": customer.id, "value": "100"}}
    )
    c.advance(clock, 32 * DAY)
    equal(c.invoices(subscription)[1].amount_due, 600, "1000 less the grant of 400")
