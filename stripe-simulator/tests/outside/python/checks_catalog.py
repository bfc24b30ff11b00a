"""Customers, tax ids, balances, products, prices, coupons, promotion codes, tax rates."""

import stripe

from harness import check, equal, fails


@check
def customers_live_and_die(c):
    customer = c.v1.customers.create({"name": "Grace", "address": {"country": "DE"}})
    equal(c.v1.customers.retrieve(customer.id).address.country, "DE", "country")
    equal(c.v1.customers.update(customer.id, {"name": "Hopper"}).name, "Hopper", "name")
    equal(c.v1.customers.delete(customer.id).deleted, True, "deleted")
    gone = c.v1.customers.retrieve(customer.id)
    equal(gone.deleted, True, "a deleted customer is a stub")
    kinds = [e.type for e in c.v1.events.list({"limit": 20}).data if e.data.object.id == customer.id]
    equal(kinds, ["customer.deleted", "customer.updated", "customer.created"], "events")


@check
def deleting_a_customer_cancels_its_subscriptions(c):
    customer = c.customer()
    subscription = c.subscribe(customer, c.price())
    c.v1.customers.delete(customer.id)
    equal(c.subscription(subscription).status, "canceled", "status")


@check
def tax_ids_belong_to_customers(c):
    customer = c.v1.customers.create()
    made = c.v1.customers.tax_ids.create(customer.id, {"type": "eu_vat", "value": "DE123456789"})
    equal(made.country, "DE", "country")
    equal([t.id for t in c.v1.customers.tax_ids.list(customer.id).data], [made.id], "listed")


@check
def balance_transactions_add_up_and_pay_invoices(c):
    customer = c.customer()
    c.v1.customers.balance_transactions.create(customer.id, {"amount": -1000, "currency": "usd"})
    equal(c.v1.customers.retrieve(customer.id).balance, -1000, "balance")
    subscription = c.subscribe(customer, c.price(1500), expand=["latest_invoice"])
    equal(subscription.latest_invoice.total, 1500, "total")
    equal(subscription.latest_invoice.amount_due, 500, "due after credit")
    equal(c.v1.customers.retrieve(customer.id).balance, 0, "credit is used up")
    ledger = c.v1.customers.balance_transactions.list(customer.id).data
    equal([t.amount for t in ledger], [1000, -1000], "ledger")


@check
def products_and_prices_are_made_and_archived(c):
    product = c.v1.products.create({"name": "API", "metadata": {"tier": "gold"}})
    price = c.v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 999,
         "recurring": {"interval": "year"}, "lookup_key": "gold-yearly"}
    )
    equal(price.recurring.interval_count, 1, "interval_count")
    equal(price.unit_amount_decimal, stripe_decimal("999"), "unit_amount_decimal")
    found = c.v1.prices.list({"lookup_keys": ["gold-yearly"]})
    equal([p.id for p in found.data], [price.id], "by lookup key")
    equal(c.v1.prices.update(price.id, {"active": False}).active, False, "archived")
    fails(stripe.InvalidRequestError, lambda: c.v1.products.delete(product.id), http_status=400)


def stripe_decimal(text):
    """The SDK reads decimal strings as `Decimal`."""
    from decimal import Decimal

    return Decimal(text)


@check
def a_price_does_not_change(c):
    price = c.price(700)
    options = {"unit_amount": 800}
    fails(stripe.InvalidRequestError, lambda: c.v1.prices.update(price.id, options), http_status=400)
    equal(c.v1.prices.retrieve(price.id).unit_amount, 700, "amount")


@check
def lookup_keys_transfer(c):
    first = c.price(lookup_key="current")
    fails(stripe.InvalidRequestError, lambda: c.price(lookup_key="current"), http_status=400)
    second = c.price(lookup_key="current", transfer_lookup_key=True)
    equal(c.v1.prices.retrieve(first.id).lookup_key, None, "taken away")
    equal(second.lookup_key, "current", "given")


@check
def sub_cent_prices_are_exact(c):
    price = c.v1.prices.create(
        {"currency": "usd", "unit_amount_decimal": "0.3", "recurring": {"interval": "month"},
         "product_data": {"name": "requests"}}
    )
    equal(price.unit_amount, None, "no integer amount")
    customer = c.customer()
    subscription = c.v1.subscriptions.create(
        {"customer": customer.id, "items": [{"price": price.id, "quantity": 12_345}],
         "expand": ["latest_invoice"]}
    )
    equal(subscription.latest_invoice.total, 3704, "0.3 x 12345 = 3703.5 rounds up")


@check
def graduated_volume_and_package_prices_add_up(c):
    tiers = [{"up_to": 10, "unit_amount": 100, "flat_amount": 500}, {"up_to": "inf", "unit_amount": 50}]
    cases = [
        ({"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": tiers}, 15, 1750),
        ({"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": tiers}, 15, 750),
        ({"unit_amount": 300, "transform_quantity": {"divide_by": 10, "round": "up"}}, 15, 600),
    ]
    customer = c.customer()
    for shape, quantity, total in cases:
        price = c.v1.prices.create(
            {"currency": "usd", "recurring": {"interval": "month"},
             "product_data": {"name": "shape"}, **shape}
        )
        made = c.v1.subscriptions.create(
            {"customer": customer.id, "items": [{"price": price.id, "quantity": quantity}],
             "expand": ["latest_invoice"]}
        )
        equal(made.latest_invoice.total, total, str(shape))


@check
def currency_options_pick_the_customers_currency(c):
    price = c.price(1000, currency_options={"eur": {"unit_amount": 900}})
    customer = c.customer()
    made = c.subscribe(customer, price, currency="eur", expand=["latest_invoice"])
    equal(made.latest_invoice.currency, "eur", "currency")
    equal(made.latest_invoice.total, 900, "total")


@check
def zero_and_three_decimal_currencies(c):
    for currency, amount in (("jpy", 1500), ("kwd", 12340)):
        price = c.price(amount, currency=currency)
        made = c.subscribe(c.customer(), price, expand=["latest_invoice"])
        equal(made.latest_invoice.total, amount, currency)
        equal(made.latest_invoice.status, "paid", currency)


@check
def coupons_and_promotion_codes_discount(c):
    coupon = c.v1.coupons.create({"percent_off": 25, "duration": "once"})
    code = c.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SPRING25"}
    )
    made = c.subscribe(
        c.customer(), c.price(2000), discounts=[{"promotion_code": code.id}],
        expand=["latest_invoice"],
    )
    equal(made.latest_invoice.total, 1500, "total")
    equal(made.latest_invoice.subtotal, 2000, "subtotal")
    equal(made.latest_invoice.total_discount_amounts[0].amount, 500, "discount")
    equal(c.v1.coupons.retrieve(coupon.id).times_redeemed, 1, "times_redeemed")
    equal(c.v1.promotion_codes.retrieve(code.id).times_redeemed, 1, "code redeemed")


@check
def a_once_coupon_is_gone_at_renewal(c):
    clock = c.clock()
    coupon = c.v1.coupons.create({"amount_off": 300, "currency": "usd", "duration": "once"})
    customer = c.customer(test_clock=clock.id)
    subscription = c.subscribe(customer, c.price(1000), discounts=[{"coupon": coupon.id}])
    c.advance(clock, 32 * 86_400)
    equal([i.total for i in c.invoices(subscription)], [700, 1000], "totals")


@check
def tax_rates_are_added_or_included(c):
    added = c.v1.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": False})
    inside = c.v1.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": True})
    for rate, total, tax in ((added, 1190, 190), (inside, 1000, 160)):
        made = c.subscribe(
            c.customer(), c.price(1000), default_tax_rates=[rate.id], expand=["latest_invoice"]
        )
        equal(made.latest_invoice.total, total, "total")
        equal(sum(t.amount for t in made.latest_invoice.total_taxes), tax, "tax")


@check
def automatic_tax_uses_the_customers_country(c):
    customer = c.customer(address={"country": "DE", "postal_code": "10115", "city": "Berlin"})
    made = c.subscribe(
        customer, c.price(1000, tax_behavior="exclusive"), automatic_tax={"enabled": True},
        expand=["latest_invoice"],
    )
    equal(made.latest_invoice.automatic_tax.status, "complete", "status")
    equal(made.latest_invoice.total, 1190, "19 % in Germany")
