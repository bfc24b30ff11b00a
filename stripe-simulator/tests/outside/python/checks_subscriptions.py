"""Subscriptions in all states, changes with proration, schedules."""

import stripe

from harness import DAY, check, equal, fails


@check
def a_month_later_there_is_exactly_one_more_paid_invoice(c):
    clock = c.clock()
    subscription = c.subscribe(c.customer(test_clock=clock.id), c.price(1500))
    equal(subscription.status, "active", "status")
    equal([i.billing_reason for i in c.invoices(subscription)], ["subscription_create"])
    c.advance(clock, 32 * DAY)
    invoices = c.invoices(subscription)
    equal([i.status for i in invoices], ["paid", "paid"], "both paid")
    equal(invoices[1].billing_reason, "subscription_cycle", "renewal")
    item = c.subscription(subscription)["items"].data[0]
    equal(item.current_period_start, subscription["items"].data[0].current_period_end, "period")


@check
def renewal_invoices_are_drafts_for_an_hour(c):
    clock = c.clock()
    subscription = c.subscribe(c.customer(test_clock=clock.id), c.price(1500))
    end = subscription["items"].data[0].current_period_end
    c.advance(clock, end - subscription.created + 60)
    equal(c.invoices(subscription)[1].status, "draft", "just after the period")
    c.advance(clock, 3600)
    equal(c.invoices(subscription)[1].status, "paid", "an hour later")


@check
def month_ends_clamp_and_come_back(c):
    clock = c.clock(1_801_353_600)  # 31 January 2027
    subscription = c.subscribe(c.customer(test_clock=clock.id), c.price(100))
    c.advance(clock, 95 * DAY)
    import datetime

    starts = [
        datetime.datetime.fromtimestamp(i.lines.data[0].period.start, datetime.UTC).strftime("%m-%d")
        for i in c.invoices(subscription)
    ]
    equal(starts, ["01-31", "02-28", "03-31", "04-30"], "periods")


@check
def a_declined_first_payment_by_payment_behavior(c):
    customer, price = c.customer("pm_card_chargeCustomerFail"), c.price()
    waiting = c.subscribe(customer, price, payment_behavior="allow_incomplete")
    equal(waiting.status, "incomplete", "allow_incomplete")
    fails(
        stripe.CardError,
        lambda: c.subscribe(customer, price, payment_behavior="error_if_incomplete"),
        http_status=402,
    )
    listed = c.v1.subscriptions.list({"customer": customer.id, "status": "all"}).data
    equal([s.id for s in listed], [waiting.id], "the error left nothing behind")
    default = c.subscribe(c.customer(), price, payment_behavior="default_incomplete",
                          expand=["latest_invoice.confirmation_secret"])
    equal((default.status, default.latest_invoice.status), ("incomplete", "open"))
    assert "_secret_" in default.latest_invoice.confirmation_secret.client_secret


@check
def an_incomplete_subscription_expires_after_23_hours(c):
    clock = c.clock()
    customer = c.customer("pm_card_chargeCustomerFail", test_clock=clock.id)
    subscription = c.subscribe(customer, c.price())
    c.advance(clock, 23 * 3600 - 60)
    equal(c.subscription(subscription).status, "incomplete", "before")
    c.advance(clock, 120)
    equal(c.subscription(subscription).status, "incomplete_expired", "after")
    equal([i.status for i in c.invoices(subscription)], ["void"], "its invoice")


@check
def paying_the_first_invoice_activates(c):
    customer = c.customer("pm_card_chargeCustomerFail")
    subscription = c.subscribe(customer, c.price())
    paid = c.v1.invoices.pay(subscription.latest_invoice, {"payment_method": c.default_card(customer, "pm_card_visa").id})
    equal(paid.status, "paid", "invoice")
    equal(c.subscription(subscription).status, "active", "subscription")


@check
def three_d_secure_on_the_first_invoice(c):
    customer = c.customer("pm_card_authenticationRequired")
    subscription = c.subscribe(customer, c.price(), expand=["latest_invoice.payments"])
    equal(subscription.status, "incomplete", "waits")
    intent = subscription.latest_invoice.payments.data[0].payment.payment_intent
    equal(c.v1.payment_intents.retrieve(intent).status, "requires_action", "intent")
    c.admin("POST", f"/bank/{intent}/approve")
    equal(c.subscription(subscription).status, "active", "after the bank's approval")


@check
def trials_start_free_and_then_bill(c):
    clock = c.clock()
    subscription = c.subscribe(c.customer(test_clock=clock.id), c.price(1500), trial_period_days=14)
    equal(subscription.status, "trialing", "status")
    equal([i.total for i in c.invoices(subscription)], [0], "first invoice")
    c.advance(clock, 15 * DAY)
    equal(c.subscription(subscription).status, "active", "after the trial")
    equal([i.total for i in c.invoices(subscription)], [0, 1500], "billed")
    kinds = {e.type for e in c.events("customer.subscription.trial_will_end")
             if e.data.object.id == subscription.id}
    equal(kinds, {"customer.subscription.trial_will_end"}, "warned three days before")


@check
def a_trial_without_a_card_ends_as_set(c):
    for behavior, status in (("cancel", "canceled"), ("pause", "paused"), ("create_invoice", "past_due")):
        clock = c.clock()
        customer = c.customer(card=None, test_clock=clock.id)
        subscription = c.subscribe(
            customer, c.price(), trial_period_days=7,
            trial_settings={"end_behavior": {"missing_payment_method": behavior}},
        )
        c.advance(clock, 7 * DAY + 2 * 3600)
        equal(c.subscription(subscription).status, status, behavior)


@check
def a_paused_subscription_resumes(c):
    clock = c.clock()
    customer = c.customer(card=None, test_clock=clock.id)
    subscription = c.subscribe(
        customer, c.price(), trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )
    c.advance(clock, 8 * DAY)
    c.default_card(customer, "pm_card_visa")
    c.v1.subscriptions.resume(subscription.id, {"billing_cycle_anchor": {"type": "now"}})
    equal(c.subscription(subscription).status, "active", "resumed")


@check
def cancelling_now_at_period_end_and_undoing(c):
    clock = c.clock()
    customer = c.customer(test_clock=clock.id)
    now = c.subscribe(customer, c.price())
    equal(c.v1.subscriptions.cancel(now.id).status, "canceled", "now")
    later = c.subscribe(customer, c.price())
    flagged = c.v1.subscriptions.update(later.id, {"cancel_at_period_end": True})
    equal((flagged.status, flagged.cancel_at_period_end), ("active", True))
    undone = c.v1.subscriptions.update(later.id, {"cancel_at_period_end": False})
    equal(undone.cancel_at, None, "undone")
    c.v1.subscriptions.update(later.id, {"cancel_at_period_end": True})
    c.advance(clock, 32 * DAY)
    ended = c.subscription(later)
    equal(ended.status, "canceled", "at period end")
    equal(len(c.invoices(later)), 1, "no renewal")
    fails(
        stripe.InvalidRequestError,
        lambda: c.v1.subscriptions.update(later.id, {"metadata": {"a": "b"}, "cancel_at_period_end": False}),
    )


@check
def upgrades_prorate_to_the_second(c):
    clock = c.clock()
    customer = c.customer(test_clock=clock.id)
    small, large = c.price(1000), c.price(3000)
    subscription = c.subscribe(customer, small)
    item = subscription["items"].data[0]
    half = (item.current_period_end - item.current_period_start) // 2
    c.advance(clock, half)
    changed = c.v1.subscriptions.update(
        subscription.id,
        {"items": [{"id": item.id, "price": large.id}], "proration_behavior": "always_invoice",
         "expand": ["latest_invoice"]},
    )
    lines = sorted(line.amount for line in changed.latest_invoice.lines.data)
    equal(lines, [-500, 1500], "credit and debit")
    equal((changed.latest_invoice.total, changed.latest_invoice.status), (1000, "paid"))


@check
def prorations_wait_for_the_renewal_or_are_left_out(c):
    for behavior, total in (("create_prorations", 4000), ("none", 3000)):
        clock = c.clock()
        subscription = c.subscribe(c.customer(test_clock=clock.id), c.price(1000))
        item = subscription["items"].data[0]
        c.advance(clock, (item.current_period_end - item.current_period_start) // 2)
        c.v1.subscriptions.update(
            subscription.id,
            {"items": [{"id": item.id, "price": c.price(3000).id}], "proration_behavior": behavior},
        )
        equal(len(c.invoices(subscription)), 1, "nothing yet")
        c.advance(clock, 20 * DAY)
        equal(c.invoices(subscription)[1].total, total, behavior)


@check
def there_and_back_costs_nothing(c):
    clock = c.clock()
    customer = c.customer(test_clock=clock.id)
    small, large = c.price(999), c.price(3333)
    subscription = c.subscribe(customer, small)
    item = subscription["items"].data[0]
    c.advance(clock, 10 * DAY + 12_345)
    for price in (large, small):
        c.v1.subscriptions.update(subscription.id, {"items": [{"id": item.id, "price": price.id}]})
    preview = c.v1.invoices.create_preview({"subscription": subscription.id})
    prorations = [line.amount for line in preview.lines.data
                  if line.parent.subscription_item_details and line.parent.subscription_item_details.proration
                  or line.parent.invoice_item_details and line.parent.invoice_item_details.proration]
    equal(len(prorations), 4, "two credits, two debits")
    assert abs(sum(prorations)) <= 1, prorations


@check
def quantities_and_items_change(c):
    subscription = c.subscribe(c.customer(), c.price(200))
    item = subscription["items"].data[0]
    c.v1.subscription_items.update(item.id, {"quantity": 5, "proration_behavior": "none"})
    extra = c.v1.subscription_items.create(
        {"subscription": subscription.id, "price": c.price(300).id, "proration_behavior": "none"}
    )
    preview = c.v1.invoices.create_preview({"subscription": subscription.id})
    equal(preview.total, 1300, "5 x 200 + 300")
    equal(c.v1.subscription_items.delete(extra.id, {"proration_behavior": "none"}).deleted, True)
    listed = c.v1.subscription_items.list({"subscription": subscription.id})
    equal([i.quantity for i in listed.data], [5], "left")


@check
def the_billing_cycle_moves_to_now(c):
    clock = c.clock()
    subscription = c.subscribe(c.customer(test_clock=clock.id), c.price(3000))
    c.advance(clock, 10 * DAY)
    moved = c.v1.subscriptions.update(
        subscription.id, {"billing_cycle_anchor": {"type": "now"}, "proration_behavior": "create_prorations"}
    )
    equal(moved["items"].data[0].current_period_start, 1_800_000_000 + 10 * DAY, "new period")
    equal(len(c.invoices(subscription)), 2, "billed at once")


@check
def pause_collection_keeps_or_voids(c):
    for behavior, status in (("keep_as_draft", "draft"), ("void", "void"),
                             ("mark_uncollectible", "uncollectible")):
        clock = c.clock()
        subscription = c.subscribe(c.customer(test_clock=clock.id), c.price())
        c.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": behavior}})
        c.advance(clock, 32 * DAY)
        equal(c.invoices(subscription)[1].status, status, behavior)
        equal(c.subscription(subscription).status, "active", "stays active")


@check
def a_pending_update_applies_when_paid(c):
    customer = c.customer()
    subscription = c.subscribe(customer, c.price(1000))
    c.default_card(customer, "pm_card_chargeCustomerFail")
    item = subscription["items"].data[0]
    large = c.price(9000)
    held = c.v1.subscriptions.update(
        subscription.id,
        {"items": [{"id": item.id, "price": large.id}], "payment_behavior": "pending_if_incomplete",
         "proration_behavior": "always_invoice", "expand": ["latest_invoice"]},
    )
    assert held.pending_update is not None, "the change waits"
    equal(held["items"].data[0].price.id, item.price.id, "still the old price")
    good = c.default_card(customer, "pm_card_visa")
    c.v1.invoices.pay(held.latest_invoice.id, {"payment_method": good.id})
    applied = c.subscription(subscription)
    equal(applied.pending_update, None, "applied")
    equal(applied["items"].data[0].price.id, large.id, "new price")


@check
def schedules_change_the_price_at_the_phase(c):
    clock = c.clock()
    customer = c.customer(test_clock=clock.id)
    first, second = c.price(1000), c.price(2000)
    schedule = c.v1.subscription_schedules.create(
        {"customer": customer.id, "start_date": "now", "end_behavior": "release",
         "phases": [
             {"items": [{"price": first.id}], "duration": {"interval": "month", "interval_count": 1}},
             {"items": [{"price": second.id}], "duration": {"interval": "month", "interval_count": 1}},
         ]}
    )
    equal(schedule.status, "active", "started")
    subscription = c.v1.subscriptions.retrieve(schedule.subscription)
    c.advance(clock, 32 * DAY)
    equal([i.total for i in c.invoices(subscription)], [1000, 2000], "totals")
    c.advance(clock, 32 * DAY)
    equal(c.v1.subscription_schedules.retrieve(schedule.id).status, "released", "released")
    equal(c.subscription(subscription).status, "active", "lives on")


@check
def a_schedule_from_a_subscription_is_released(c):
    subscription = c.subscribe(c.customer(), c.price())
    schedule = c.v1.subscription_schedules.create({"from_subscription": subscription.id})
    equal(c.subscription(subscription).schedule, schedule.id, "attached")
    equal(c.v1.subscription_schedules.release(schedule.id).status, "released", "released")
    equal(c.subscription(subscription).schedule, None, "free")


@check
def idempotent_creation_makes_one_subscription(c):
    customer, price = c.customer(), c.price()
    params = {"customer": customer.id, "items": [{"price": price.id}]}
    ids = {c.v1.subscriptions.create(params, {"idempotency_key": f"sub-{customer.id}"}).id
           for _ in range(3)}
    equal(len(ids), 1, "one id")
    equal(len(c.v1.subscriptions.list({"customer": customer.id}).data), 1, "one subscription")
