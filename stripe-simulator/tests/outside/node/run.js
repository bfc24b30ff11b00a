'use strict';
// Drives the simulator with Stripe's official Node SDK: `run.js BASE_URL KEY`.
// The Python suite goes deeper; this one shows that a second client, with its
// own encoding of parameters and its own checks, sees the same Stripe.

const assert = require('node:assert/strict');
const http = require('node:http');
const Stripe = require('stripe');

const [base, key] = process.argv.slice(2);
const address = new URL(base);
const options = {
  host: address.hostname,
  port: address.port,
  protocol: 'http',
  maxNetworkRetries: 0,
  telemetry: false,
};
const stripe = new Stripe(key, options);
const DAY = 86400;
const checks = {};

async function admin(method, path, body) {
  const answer = await fetch(`${base}/_simulator${path}`, {
    method,
    headers: { 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  assert.equal(answer.ok, true, `${method} ${path}: ${answer.status}`);
  return answer.json().catch(() => null);
}

async function newClock(frozen_time = 1800000000) {
  return stripe.testHelpers.testClocks.create({ frozen_time });
}

async function advance(clock, seconds) {
  const { frozen_time } = await stripe.testHelpers.testClocks.retrieve(clock.id);
  await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: frozen_time + seconds });
  for (let turn = 0; turn < 500; turn += 1) {
    const found = await stripe.testHelpers.testClocks.retrieve(clock.id);
    if (found.status === 'ready') return;
  }
  assert.fail('the test clock never got ready');
}

async function newCustomer(card = 'pm_card_visa', params = {}) {
  const customer = await stripe.customers.create({ name: 'Ada Example', ...params });
  if (card) await defaultCard(customer, card);
  return customer;
}

async function defaultCard(customer, card) {
  const method = await stripe.paymentMethods.attach(card, { customer: customer.id });
  await stripe.customers.update(customer.id, {
    invoice_settings: { default_payment_method: method.id },
  });
  return method;
}

async function newPrice(unit_amount = 1500, params = {}) {
  return stripe.prices.create({
    currency: 'usd',
    unit_amount,
    recurring: { interval: 'month' },
    product_data: { name: 'Plan' },
    ...params,
  });
}

async function subscribe(customer, price, params = {}) {
  return stripe.subscriptions.create({
    customer: customer.id,
    items: [{ price: price.id }],
    ...params,
  });
}

async function invoicesOf(subscription) {
  const page = await stripe.invoices.list({ subscription: subscription.id, limit: 100 });
  return page.data.reverse();
}

checks.errorsCarryTypeCodeAndParam = async () => {
  await assert.rejects(new Stripe('sk_test_stranger', options).customers.list(), {
    type: 'StripeAuthenticationError',
    statusCode: 401,
  });
  await assert.rejects(stripe.customers.create({ colour: 'red' }), {
    type: 'StripeInvalidRequestError',
    code: 'parameter_unknown',
    param: 'colour',
  });
  await assert.rejects(stripe.customers.retrieve('cus_missing'), {
    statusCode: 404,
    code: 'resource_missing',
  });
};

checks.idempotencyReplays = async () => {
  const once = { idempotencyKey: 'node-replay' };
  const first = await stripe.customers.create({ email: 'node@example.com' }, once);
  const again = await stripe.customers.create({ email: 'node@example.com' }, once);
  assert.equal(again.id, first.id);
  assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true');
  await assert.rejects(stripe.customers.create({ email: 'other@example.com' }, once), {
    type: 'StripeIdempotencyError',
  });
};

checks.pagesCoverEverythingOnce = async () => {
  const made = [];
  for (let n = 0; n < 5; n += 1) {
    made.unshift((await stripe.customers.create({ email: 'nodepage@example.com' })).id);
  }
  const seen = [];
  for await (const row of stripe.customers.list({ email: 'nodepage@example.com', limit: 2 })) {
    seen.push(row.id);
  }
  assert.deepEqual(seen, made);
};

checks.searchAndExpand = async () => {
  const made = await stripe.customers.create({ metadata: { tag: 'node-search' } });
  const found = await stripe.customers.search({ query: "metadata['tag']:'node-search'" });
  assert.deepEqual(found.data.map((row) => row.id), [made.id]);
  const customer = await newCustomer();
  const subscription = await subscribe(customer, await newPrice(), {
    expand: ['latest_invoice', 'customer'],
  });
  assert.equal(subscription.latest_invoice.status, 'paid');
  assert.equal(subscription.customer.id, customer.id);
};

checks.aMonthLaterThereIsExactlyOneMorePaidInvoice = async () => {
  const clock = await newClock();
  const customer = await newCustomer('pm_card_visa', { test_clock: clock.id });
  const subscription = await subscribe(customer, await newPrice());
  assert.equal(subscription.status, 'active');
  await advance(clock, 32 * DAY);
  const invoices = await invoicesOf(subscription);
  assert.deepEqual(invoices.map((invoice) => invoice.status), ['paid', 'paid']);
  assert.deepEqual(invoices.map((invoice) => invoice.total), [1500, 1500]);
};

checks.trialsThenBill = async () => {
  const clock = await newClock();
  const customer = await newCustomer('pm_card_visa', { test_clock: clock.id });
  const subscription = await subscribe(customer, await newPrice(), { trial_period_days: 14 });
  assert.equal(subscription.status, 'trialing');
  await advance(clock, 15 * DAY);
  assert.equal((await stripe.subscriptions.retrieve(subscription.id)).status, 'active');
  assert.deepEqual((await invoicesOf(subscription)).map((i) => i.total), [0, 1500]);
};

checks.upgradesProrate = async () => {
  const clock = await newClock();
  const customer = await newCustomer('pm_card_visa', { test_clock: clock.id });
  const subscription = await subscribe(customer, await newPrice(1000));
  const [item] = subscription.items.data;
  await advance(clock, (item.current_period_end - item.current_period_start) / 2);
  const changed = await stripe.subscriptions.update(subscription.id, {
    items: [{ id: item.id, price: (await newPrice(3000)).id }],
    proration_behavior: 'always_invoice',
    expand: ['latest_invoice'],
  });
  const amounts = changed.latest_invoice.lines.data.map((line) => line.amount);
  assert.deepEqual(amounts.sort((a, b) => a - b), [-500, 1500]);
};

checks.failedRenewalsDunAndHeal = async () => {
  const clock = await newClock();
  const customer = await newCustomer('pm_card_visa', { test_clock: clock.id });
  const subscription = await subscribe(customer, await newPrice());
  await defaultCard(customer, 'pm_card_chargeCustomerFail');
  await advance(clock, 31 * DAY + 7200);
  assert.equal((await stripe.subscriptions.retrieve(subscription.id)).status, 'past_due');
  const good = await defaultCard(customer, 'pm_card_visa');
  const [, invoice] = await invoicesOf(subscription);
  await stripe.invoices.pay(invoice.id, { payment_method: good.id });
  assert.equal((await stripe.subscriptions.retrieve(subscription.id)).status, 'active');
};

checks.cardsDeclineAndAuthenticate = async () => {
  const pay = (payment_method) =>
    stripe.paymentIntents.create({
      amount: 900,
      currency: 'usd',
      payment_method,
      confirm: true,
      return_url: 'http://localhost/',
    });
  await assert.rejects(pay('pm_card_visa_chargeDeclinedInsufficientFunds'), {
    type: 'StripeCardError',
    statusCode: 402,
    decline_code: 'insufficient_funds',
  });
  const intent = await pay('pm_card_authenticationRequired');
  assert.equal(intent.status, 'requires_action');
  await admin('POST', `/bank/${intent.id}/approve`);
  assert.equal((await stripe.paymentIntents.retrieve(intent.id)).status, 'succeeded');
};

checks.setupIntentsSaveCards = async () => {
  const customer = await newCustomer(null);
  const intent = await stripe.setupIntents.create({
    customer: customer.id,
    payment_method: 'pm_card_visa',
    confirm: true,
    return_url: 'http://localhost/',
  });
  assert.equal(intent.status, 'succeeded');
  const { data } = await stripe.customers.listPaymentMethods(customer.id);
  assert.deepEqual(data.map((method) => method.card.last4), ['4242']);
};

checks.invoicesAndRefunds = async () => {
  const customer = await newCustomer();
  const draft = await stripe.invoices.create({ customer: customer.id, auto_advance: false });
  await stripe.invoiceItems.create({
    customer: customer.id,
    invoice: draft.id,
    amount: 1200,
    currency: 'usd',
  });
  const paid = await stripe.invoices.pay(draft.id, { expand: ['payments'] });
  assert.equal(paid.status, 'paid');
  await assert.rejects(stripe.invoices.voidInvoice(draft.id), { statusCode: 400 });
  const refund = await stripe.refunds.create({
    payment_intent: paid.payments.data[0].payment.payment_intent,
    amount: 200,
  });
  assert.equal(refund.status, 'succeeded');
};

checks.couponsAndPromotionCodes = async () => {
  const coupon = await stripe.coupons.create({ percent_off: 50, duration: 'forever' });
  const code = await stripe.promotionCodes.create({
    promotion: { type: 'coupon', coupon: coupon.id },
  });
  const subscription = await subscribe(await newCustomer(), await newPrice(2000), {
    discounts: [{ promotion_code: code.id }],
    expand: ['latest_invoice'],
  });
  assert.equal(subscription.latest_invoice.total, 1000);
};

checks.metersBillUsage = async () => {
  const clock = await newClock();
  const meter = await stripe.billing.meters.create({
    display_name: 'node calls',
    event_name: 'node_calls',
    default_aggregation: { formula: 'sum' },
  });
  const price = await newPrice(3, {
    recurring: { interval: 'month', usage_type: 'metered', meter: meter.id },
  });
  const customer = await newCustomer('pm_card_visa', { test_clock: clock.id });
  const subscription = await subscribe(customer, price);
  await stripe.billing.meterEvents.create({
    event_name: 'node_calls',
    timestamp: 1800000060,
    payload: { stripe_customer_id: customer.id, value: '100' },
  });
  await advance(clock, 32 * DAY);
  assert.equal((await invoicesOf(subscription))[1].total, 300);
};

checks.schedulesRun = async () => {
  const clock = await newClock();
  const customer = await newCustomer('pm_card_visa', { test_clock: clock.id });
  const month = { interval: 'month', interval_count: 1 };
  const schedule = await stripe.subscriptionSchedules.create({
    customer: customer.id,
    start_date: 'now',
    end_behavior: 'cancel',
    phases: [
      { items: [{ price: (await newPrice(1000)).id }], duration: month },
      { items: [{ price: (await newPrice(2000)).id }], duration: month },
    ],
  });
  await advance(clock, 32 * DAY);
  const totals = (await invoicesOf({ id: schedule.subscription })).map((i) => i.total);
  assert.deepEqual(totals, [1000, 2000]);
  await advance(clock, 32 * DAY);
  assert.equal((await stripe.subscriptions.retrieve(schedule.subscription)).status, 'canceled');
};

checks.checkoutAndPortal = async () => {
  const customer = await newCustomer(null);
  const session = await stripe.checkout.sessions.create({
    mode: 'subscription',
    customer: customer.id,
    line_items: [{ price: (await newPrice()).id, quantity: 1 }],
    success_url: 'http://localhost/done',
  });
  assert.equal((await fetch(session.url)).status, 200);
  await admin('POST', `/checkout/${session.id}/complete`, { payment_method: 'pm_card_visa' });
  const done = await stripe.checkout.sessions.retrieve(session.id, { expand: ['subscription'] });
  assert.equal(done.subscription.status, 'active');
  const portal = await stripe.billingPortal.sessions.create({ customer: customer.id });
  assert.equal((await fetch(portal.url)).status, 200);
};

checks.webhooksVerify = async () => {
  const delivered = {};
  const arrival = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('no delivery within 10 s')), 10000).unref();
    delivered.server = http.createServer((request, response) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => {
        response.end();
        resolve([Buffer.concat(chunks), request.headers['stripe-signature']]);
      });
    });
  });
  await new Promise((resolve) => delivered.server.listen(0, '127.0.0.1', resolve));
  const endpoint = await stripe.webhookEndpoints.create({
    url: `http://127.0.0.1:${delivered.server.address().port}/hook`,
    enabled_events: ['product.created'],
  });
  const product = await stripe.products.create({ name: 'Hooked' });
  const [body, signature] = await arrival.finally(() => delivered.server.close());
  const event = stripe.webhooks.constructEvent(body, signature, endpoint.secret, 1e10);
  assert.equal(event.data.object.id, product.id);
  assert.throws(() => stripe.webhooks.constructEvent(`${body} `, signature, endpoint.secret, 1e10));
  await stripe.webhookEndpoints.del(endpoint.id);
};

async function main() {
  let failed = 0;
  const names = Object.keys(checks);
  for (const name of names) {
    try {
      await checks[name]();
    } catch (error) {
      failed += 1;
      const own = (error.stack || '').split('\n').find((line) => line.includes('run.js'));
      console.log(`FAIL ${name} (${(own || '').trim()}): ${error.message.split('\n').join(' ')}`);
    }
  }
  console.log(`node ${Stripe.PACKAGE_VERSION || ''}: ${names.length - failed}/${names.length} checks pass`);
  process.exitCode = failed ? 1 : 0;
}

main();
