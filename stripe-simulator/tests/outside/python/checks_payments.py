"""Payment methods, SetupIntents, PaymentIntents, charges, refunds, disputes."""

import stripe

from harness import check, equal, fails


@check
def cards_attach_and_detach_for_good(c):
    customer = c.customer(card=None)
    method = c.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    equal((method.card.brand, method.card.last4, method.customer), ("visa", "4242", customer.id))
    listed = c.v1.customers.payment_methods.list(customer.id)
    equal([m.id for m in listed.data], [method.id], "listed")
    equal(c.v1.payment_methods.detach(method.id).customer, None, "detached")
    fails(
        stripe.InvalidRequestError,
        lambda: c.v1.payment_methods.attach(method.id, {"customer": customer.id}),
        http_status=400,
    )


@check
def a_declined_card_does_not_attach(c):
    customer = c.customer(card=None)
    fails(
        stripe.CardError,
        lambda: c.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer.id}),
        http_status=402,
        code="card_declined",
        decline_code="generic_decline",
    )
    equal(c.v1.customers.payment_methods.list(customer.id).data, [], "nothing attached")


@check
def payments_succeed_and_refund_up_to_the_charge(c):
    customer = c.customer()
    intent = c.v1.payment_intents.create(
        {"amount": 2000, "currency": "usd", "customer": customer.id,
         "payment_method": "pm_card_visa", "confirm": True, "off_session": True}
    )
    equal((intent.status, intent.amount_received), ("succeeded", 2000))
    refund = c.v1.refunds.create({"payment_intent": intent.id, "amount": 500})
    equal((refund.status, refund.amount), ("succeeded", 500))
    charge = c.v1.charges.retrieve(intent.latest_charge)
    equal((charge.amount_refunded, charge.refunded), (500, False))
    fails(
        stripe.InvalidRequestError,
        lambda: c.v1.refunds.create({"charge": charge.id, "amount": 1501}),
        http_status=400,
    )
    c.v1.refunds.create({"charge": charge.id})
    charge = c.v1.charges.retrieve(charge.id)
    equal((charge.amount_refunded, charge.refunded), (2000, True))
    fails(
        stripe.InvalidRequestError,
        lambda: c.v1.refunds.create({"charge": charge.id}),
        code="charge_already_refunded",
    )


@check
def declines_say_why(c):
    cases = {
        "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
        "pm_card_visa_chargeDeclinedLostCard": ("card_declined", "lost_card"),
        "pm_card_chargeDeclinedExpiredCard": ("expired_card", None),
        "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", None),
        "pm_card_chargeDeclinedProcessingError": ("processing_error", None),
    }
    for card, (code, decline_code) in cases.items():
        error = fails(
            stripe.CardError,
            lambda card=card: c.v1.payment_intents.create(
                {"amount": 900, "currency": "usd", "payment_method": card, "confirm": True,
                 "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
            ),
            http_status=402,
            code=code,
        )
        if decline_code:
            equal(error.json_body["error"]["decline_code"], decline_code, card)
        intent = c.v1.payment_intents.retrieve(error.error.payment_intent.id)
        equal(intent.status, "requires_payment_method", card)
        equal(intent.last_payment_error.code, code, card)


@check
def a_declined_payment_recovers_with_another_card(c):
    intent = c.v1.payment_intents.create({"amount": 700, "currency": "usd"})
    equal(intent.status, "requires_payment_method", "new")
    bad = {"payment_method": "pm_card_visa_chargeDeclined", "return_url": "http://localhost/"}
    fails(stripe.CardError, lambda: c.v1.payment_intents.confirm(intent.id, bad))
    good = {"payment_method": "pm_card_mastercard", "return_url": "http://localhost/"}
    equal(c.v1.payment_intents.confirm(intent.id, good).status, "succeeded", "second card")
    charges = c.v1.charges.list({"payment_intent": intent.id}).data
    equal([charge.status for charge in charges], ["succeeded", "failed"], "charges")


@check
def manual_capture_and_cancel(c):
    params = {"amount": 1000, "currency": "usd", "capture_method": "manual", "confirm": True,
              "payment_method": "pm_card_visa", "return_url": "http://localhost/"}
    held = c.v1.payment_intents.create(params)
    equal((held.status, held.amount_capturable), ("requires_capture", 1000))
    taken = c.v1.payment_intents.capture(held.id, {"amount_to_capture": 600})
    equal((taken.status, taken.amount_received), ("succeeded", 600))
    dropped = c.v1.payment_intents.cancel(c.v1.payment_intents.create(params).id)
    equal(dropped.status, "canceled", "canceled")
    fails(
        stripe.InvalidRequestError,
        lambda: c.v1.payment_intents.confirm(dropped.id, {"payment_method": "pm_card_visa"}),
        code="payment_intent_unexpected_state",
    )


@check
def three_d_secure_waits_for_the_bank(c):
    for verdict, status in (("approve", "succeeded"), ("deny", "requires_payment_method")):
        intent = c.v1.payment_intents.create(
            {"amount": 800, "currency": "usd", "payment_method": "pm_card_authenticationRequired",
             "confirm": True, "return_url": "http://localhost/"}
        )
        equal(intent.status, "requires_action", "asks the bank")
        assert intent.next_action.type in ("redirect_to_url", "use_stripe_sdk"), intent.next_action
        c.admin("POST", f"/bank/{intent.id}/{verdict}")
        equal(c.v1.payment_intents.retrieve(intent.id).status, status, verdict)


@check
def setup_intents_save_a_method_for_later(c):
    customer = c.customer(card=None)
    intent = c.v1.setup_intents.create({"customer": customer.id, "usage": "off_session"})
    equal(intent.status, "requires_payment_method", "new")
    assert intent.client_secret.startswith(intent.id + "_secret_"), intent.client_secret
    done = c.v1.setup_intents.confirm(
        intent.id, {"payment_method": "pm_card_visa", "return_url": "http://localhost/"}
    )
    equal(done.status, "succeeded", "confirmed")
    equal(c.v1.payment_methods.retrieve(done.payment_method).customer, customer.id, "attached")


@check
def setup_with_three_d_secure_then_charging_off_session(c):
    customer = c.customer(card=None)
    intent = c.v1.setup_intents.create(
        {"customer": customer.id, "payment_method": "pm_card_authenticationRequiredOnSetup",
         "confirm": True, "usage": "off_session", "return_url": "http://localhost/"}
    )
    equal(intent.status, "requires_action", "asks the bank")
    c.admin("POST", f"/bank/{intent.id}/approve")
    saved = c.v1.setup_intents.retrieve(intent.id)
    equal(saved.status, "succeeded", "approved")
    paid = c.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "customer": customer.id, "confirm": True,
         "payment_method": saved.payment_method, "off_session": True}
    )
    equal(paid.status, "succeeded", "off session")


@check
def off_session_payment_that_needs_the_customer(c):
    customer = c.customer("pm_card_authenticationRequired")
    method = c.v1.customers.payment_methods.list(customer.id).data[0]
    error = fails(
        stripe.CardError,
        lambda: c.v1.payment_intents.create(
            {"amount": 500, "currency": "usd", "customer": customer.id, "confirm": True,
             "payment_method": method.id, "off_session": True}
        ),
        http_status=402,
        code="authentication_required",
    )
    equal(error.error.payment_intent.status, "requires_payment_method", "status")


@check
def a_bank_debit_settles_later(c):
    clock = c.clock()
    customer = c.customer(card=None, test_clock=clock.id)
    intent = c.v1.payment_intents.create(
        {"amount": 5000, "currency": "usd", "customer": customer.id, "confirm": True,
         "payment_method": "pm_usBankAccount_success",
         "allowed_payment_method_types": ["us_bank_account"],
         "mandate_data": {"customer_acceptance": {"type": "offline"}}}
    )
    equal(intent.status, "processing", "processing")
    c.advance(clock, 8 * 86_400)
    equal(c.v1.payment_intents.retrieve(intent.id).status, "succeeded", "settled")


@check
def a_disputed_charge_tells_of_it(c):
    intent = c.v1.payment_intents.create(
        {"amount": 900, "currency": "usd", "payment_method": "pm_card_createDispute",
         "confirm": True, "return_url": "http://localhost/"}
    )
    equal(c.v1.charges.retrieve(intent.latest_charge).disputed, True, "disputed")
    disputes = c.v1.disputes.list({"payment_intent": intent.id}).data
    equal([d.amount for d in disputes], [900], "dispute")
