// The demo's journey through the generated TypeScript client; see run.py.
//
// Each step is a function. A call that does not answer what it should ends the journey.

import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";

import { client } from "../../target/sdk/typescript/client/client.gen.ts";
import {
  accessGet,
  accessGetOfSubscription,
  accessKeySet,
  accessTokenGet,
  auditLogList,
  checkoutSessionCreate,
  credentialsDelete,
  credentialsGet,
  credentialsPut,
  credentialsVerify,
  customerCreate,
  customerPatch,
  eventList,
  invoiceGet,
  invoiceGetUpcoming,
  invoiceList,
  invoicePay,
  operationGet,
  operationList,
  paymentMethodCreate,
  paymentMethodList,
  portalDelete,
  portalGet,
  portalPatch,
  portalPut,
  productImport,
  productPut,
  reconciliationCreate,
  serviceReadiness,
  setupIntentCreate,
  stripeModuleGet,
  stripeModulePut,
  subscriptionCancel,
  subscriptionCreate,
  subscriptionGet,
  subscriptionList,
  subscriptionUndoCancel,
  webhookEndpointCreate,
  webhookEndpointDelete,
  webhookEndpointRegister,
  type Event,
  type Operation,
  type PaymentMethod,
  type Problem,
  type Subscription,
} from "../../target/sdk/typescript/client/index.ts";

function setting(name: string): string {
  const value = process.env[name];
  assert(value, `${name} is not set`);
  return value;
}

const path = { portal: setting("PORTAL") };
const keys = { publishable_key: "pk_test_simulator", secret_key: "sk_test_simulator" };
const token = setting("TOKEN");
client.setConfig({ baseUrl: setting("BASE_URL"), auth: () => token });

interface Answered<Data, Refusal> {
  data?: Data;
  error?: Refusal;
  response?: Response;
}

/** The body of an answer that has to have this status. */
function expect<Data, Refusal>(status: number, answer: Answered<Data, Refusal>): NonNullable<Data> {
  const { data, error, response } = answer;
  assert.equal(response?.status, status, JSON.stringify(error));
  assert(data !== undefined && data !== null);
  return data;
}

/** What was made, where an operation that still runs would be an answer as well. */
function made<Thing extends object>(answer: Thing | Operation): Exclude<Thing, Operation> {
  assert(!("attempts" in answer), JSON.stringify(answer));
  return answer as Exclude<Thing, Operation>;
}

/** The problem of an answer that has to have this status. */
function expectProblem<Data>(status: number, answer: Answered<Data, Problem>): Problem {
  assert.equal(answer.response?.status, status);
  assert(answer.error);
  return answer.error;
}

/** What somebody does at Stripe's side, by the simulator's own routes. */
async function atStripe(route: string, body?: object): Promise<void> {
  const headers = { "Content-Type": "application/json" };
  const request = body && { method: "POST", headers, body: JSON.stringify(body) };
  const answer = await fetch(`${setting("STRIPE_URL")}/_simulator${route}`, request);
  assert(answer.ok, await answer.text());
}

/** Stripe's clock goes on; what it does on the way has been delivered when this is over. */
async function daysPass(days: number): Promise<void> {
  await atStripe("/clock", { advance_seconds: days * 86_400 });
  await atStripe("/webhooks/idle");
}

/** Looks until it is so: what happens at Stripe is heard of a moment later. */
async function until<Found>(look: () => Promise<Found>, isSo: (found: Found) => boolean): Promise<Found> {
  for (let looks = 0; looks < 2_000; looks++) {
    const found = await look();
    if (isSo(found)) return found;
  }
  throw new Error("it did not come to be");
}

const once = (key: string) => ({ "Idempotency-Key": `journey-${key}` });
const customer = { ...path, customer: "ext:weather-app-inc" };
const gold = { customer: customer.customer, product: "weather", plan: "gold", application: "production" };
let free: Subscription;
let paid: Subscription;
let card: PaymentMethod;

async function savedCard(name: string, more: { replaces?: string }): Promise<PaymentMethod> {
  const body = { payment_method: `pm_card_${name}`, default: true, ...more };
  return made(expect(201, await paymentMethodCreate({ path: customer, body, headers: once(`card-${name}`) })));
}

const subscription = (it: Subscription) => ({ ...path, subscription: it.id });
const now = async (it: Subscription) => expect(200, await subscriptionGet({ path: subscription(it) }));
const decided = async (it: Subscription) => expect(200, await accessGetOfSubscription({ path: subscription(it) }));

const steps = {
  async "service is ready"() {
    const readiness = expect(200, await serviceReadiness());
    assert.equal(readiness.status, "ready");
  },

  async "portal is made and changed"() {
    const body = { title: "Acme developer portal", metadata: { team: "apis" } };
    const headers = { "If-None-Match": "*" };
    const portal = expect(201, await portalPut({ path, body, headers }));
    assert.equal(portal.id, path.portal);
    assert.deepEqual(portal.metadata, { team: "apis" });
    const refused = await portalPut({ path, body, headers });
    assert.equal(expectProblem(412, refused).code, "precondition_failed");
    const changes = { metadata: { team: null, region: "eu" } };
    const changed = await portalPatch({ path, body: changes });
    assert.deepEqual(expect(200, changed).metadata, { region: "eu" });
    const tag = changed.response?.headers.get("etag");
    assert(tag);
    const same = await portalGet({ path, headers: { "If-None-Match": tag } });
    assert.equal(same.response?.status, 304);
  },

  async "problem names the field"() {
    const problem = expectProblem(422, await portalPut({ path, body: { title: "" } }));
    assert.deepEqual(problem.errors?.map((error) => error.pointer), ["/title"]);
  },

  async "module is enabled"() {
    const allowed_return_origins = ["https://portal.acme.example"];
    const settings = { grace_period_days: 5, on_unpaid: "allow", allowed_return_origins } as const;
    const module = expect(201, await stripeModulePut({ path, body: { enabled: true, settings } }));
    assert.equal(module.status, "unconfigured");
    assert(module.mode === null && module.account === null);
    assert.equal(module.settings.grace_period_days, 5);
    assert.equal(module.settings.on_unpaid, "allow");
    assert.equal(module.settings.proration, "create_prorations");
  },

  async "mistyped key is refused"() {
    const body = { ...keys, secret_key: "sk_test_mistyped" };
    const problem = expectProblem(424, await credentialsPut({ path, body }));
    assert.equal(problem.code, "stripe_credentials_invalid");
  },

  async "credentials are stored"() {
    const stored = expect(201, await credentialsPut({ path, body: keys }));
    assert(stored.mode === "test" && stored.secret_key.kind === "secret");
    assert.equal(stored.rotated_at, null);
    const verified = expect(200, await credentialsVerify({ path }));
    assert(verified.verification.accepted);
    const read = expect(200, await credentialsGet({ path }));
    assert.equal(read.id, stored.id);
    assert.deepEqual(read.versions.map((each) => each.version), [1]);
  },

  async "webhook endpoint is registered"() {
    const endpoint = expect(201, await webhookEndpointRegister({ path }));
    assert(endpoint.registered_at !== null && !endpoint.stripe.livemode);
  },

  async "portal is ready"() {
    const module = expect(200, await stripeModuleGet({ path }));
    assert(module.mode === "test" && module.account !== null);
    assert.deepEqual(module.checks.filter((check) => check.status === "fail"), []);
    assert.equal(module.status, "ready");
  },

  async "product with a free and a paid plan is published"() {
    const body = {
      title: "Weather",
      version: "1.0.0",
      state: "published",
      plans: [
        { id: "free", title: "Free", pricing: { model: "free" } },
        {
          id: "gold",
          title: "Gold",
          pricing: {
            model: "flat",
            price: { amount: 1500, currency: "usd" },
            interval: { unit: "month", count: 1 },
          },
        },
      ],
    } as const;
    const at = { ...path, product: "weather" };
    const product = made(expect(201, await productPut({ path: at, body: { ...body, plans: [...body.plans] } })));
    const [first, second] = product.plans;
    assert(first?.pricing.model === "free" && first.stripe === null);
    assert(second?.pricing.model === "flat" && second.stripe !== null);
    assert.deepEqual(second.pricing.price, { amount: 1500, currency: "usd" });
  },

  async "product document is tried"() {
    const text = "product: 1.0.0\ninfo: {name: tides, title: Tides, version: 1.0.0}\nplans: {visitor: {title: Visitor}}\n";
    const query = { dry_run: true };
    // It is sent as it is, not as JSON.
    const tried = await productImport({ path, query, body: new Blob([text]), bodySerializer: null });
    const report = made(expect(200, tried));
    assert(!report.imported && report.product === null);
    assert.deepEqual(report.plans.map((plan) => [plan.id, plan.model]), [["visitor", "free"]]);
  },

  async "organization becomes a customer"() {
    const body = { external_id: "weather-app-inc", name: "Weather App Inc.", email: "billing@weather-app.example" };
    const known = expect(201, await customerCreate({ path, body }));
    assert(known.stripe === null && known.default_payment_method === null);
    assert.equal(expectProblem(409, await customerCreate({ path, body })).code, "customer_exists");
    const address = { line1: "1 Cloud Street", city: "Galway", country: "IE" };
    const moved = made(expect(200, await customerPatch({ path: customer, body: { address } })));
    assert.equal(moved.address?.country, "IE");
  },

  async "free plan is subscribed to"() {
    const body = { ...gold, plan: "free", application: "try-out" };
    free = made(expect(201, await subscriptionCreate({ path, body, headers: once("free") })));
    assert(free.status === "active" && free.access.reason === "free" && free.stripe === null);
  },

  async "paid plan needs a payment method"() {
    const refused = await subscriptionCreate({ path, body: gold, headers: once("too-early") });
    assert.equal(expectProblem(409, refused).code, "payment_method_required");
  },

  async "setup intent is made"() {
    const intent = made(expect(201, await setupIntentCreate({ path: customer })));
    assert.equal(intent.publishable_key, keys.publishable_key);
    assert(intent.client_secret.startsWith(intent.id));
  },

  async "card is saved on a Checkout page"() {
    const page = "https://portal.acme.example/billing";
    const body = { mode: "setup", success_url: page, cancel_url: page } as const;
    const session = made(expect(201, await checkoutSessionCreate({ path: customer, body })));
    assert(session.url.startsWith("http") && session.expires_at !== null);
    await atStripe(`/checkout/${session.id}/complete`, { payment_method: "pm_card_visa" });
    const source = { checkout_session: session.id };
    const saved = await paymentMethodCreate({ path: customer, body: source, headers: once("card-page") });
    // Stripe's event may have been quicker: then it is there already.
    const status = saved.response?.status === 200 ? 200 : 201;
    card = made(expect(status, saved));
    assert(card.status === "usable" && card.default && card.card?.brand === "visa");
    const all = expect(200, await paymentMethodList({ path: customer }));
    assert.deepEqual(all.data.map((method) => method.id), [card.id]);
  },

  async "paid plan is subscribed to once"() {
    const request = { path, body: gold, headers: once("gold") };
    paid = made(expect(201, await subscriptionCreate(request)));
    assert(paid.status === "active" && paid.access.decision === "allow" && paid.stripe !== null);
    const again = await subscriptionCreate(request);
    assert.deepEqual(expect(201, again), paid);
    assert.equal(again.response?.headers.get("idempotency-replayed"), "true");
    const all = expect(200, await subscriptionList({ path, query: { customer: customer.customer, status: "active" } }));
    assert.deepEqual(all.data.map((each) => each.id), [paid.id, free.id]);
  },

  async "month passes and is paid"() {
    const coming = expect(200, await invoiceGetUpcoming({ path: customer }));
    assert.deepEqual([coming.subscription, coming.total.amount], [paid.id, 1500]);
    await daysPass(32);
    const look = async () => expect(200, await invoiceList({ path, query: { subscription: paid.id, status: "paid" } }));
    const { data } = await until(look, (page) => page.data.length === 2);
    const reasons = data.map((invoice) => invoice.reason);
    assert.deepEqual(reasons, ["subscription_cycle", "subscription_create"]);
    const [last] = data;
    assert(last && last.hosted_url !== null && last.action === null);
    assert.deepEqual(last.amount_paid, { amount: 1500, currency: "usd" });
    const read = expect(200, await invoiceGet({ path: { ...path, invoice: last.id } }));
    assert.equal(read.lines[0]?.amount.amount, 1500);
    assert.equal((await now(paid)).latest_invoice, last.id);
  },

  async "access is asked for"() {
    const query = { customer: customer.customer, product: "weather", application: "production" };
    const asked = await accessGet({ path, query });
    const answer = expect(200, asked);
    assert(answer.decision === "allow" && answer.subscription === paid.id && answer.plan === "gold");
    const tag = asked.response?.headers.get("etag");
    assert(tag);
    const same = await accessGet({ path, query, headers: { "If-None-Match": tag } });
    assert.equal(same.response?.status, 304);
    const none = expect(200, await accessGet({ path, query: { ...query, application: "another" } }));
    assert(none.decision === "deny" && none.reason === "no_subscription" && none.subscription === null);
  },

  async "access token is verified with the published keys"() {
    const query = { customer: customer.customer, product: "weather", application: "production" };
    const answer = expect(200, await accessTokenGet({ path, query }));
    const [header, claims, signature] = answer.token.split(".");
    assert(header && claims && signature);
    const part = (text: string) => JSON.parse(Buffer.from(text, "base64url").toString());
    const { kid, alg } = part(header);
    const { keys: published } = expect(200, await accessKeySet());
    const jwk = published.find((key) => key.kid === kid);
    assert(jwk && alg === "EdDSA");
    const key = createPublicKey({ key: { kty: jwk.kty, crv: jwk.crv, x: jwk.x }, format: "jwk" });
    assert(verify(null, Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, "base64url")));
    const { aud, sub, decision } = part(claims);
    assert(aud.includes(`portal-billing-access:${path.portal}`));
    assert.deepEqual([sub, decision], [paid.id, "allow"]);
  },

  async "card that fails ends in grace, and paying restores access"() {
    const failing = await savedCard("chargeCustomerFail", { replaces: card.id });
    await daysPass(31);
    const behind = await until(() => decided(paid), (answer) => answer.decision === "grace");
    assert(behind.reason === "past_due" && behind.until !== null);
    const open = expect(200, await invoiceList({ path, query: { subscription: paid.id, status: "open" } }));
    const [invoice] = open.data;
    assert(invoice && invoice.attempt_count > 0 && invoice.next_attempt_at !== null);
    const at = { ...path, invoice: invoice.id };
    const declined = expectProblem(402, await invoicePay({ path: at, headers: once("pay-declined") }));
    assert.equal(declined.code, "payment_declined");
    assert(declined.stripe?.decline_code);
    card = await savedCard("mastercard", { replaces: failing.id });
    const settled = made(expect(200, await invoicePay({ path: at, headers: once("pay") })));
    assert(settled.status === "paid" && settled.amount_paid.amount === 1500);
    const answer = await decided(paid);
    assert(answer.decision === "allow" && answer.reason === "active");
  },

  async "bank that wants to see who pays is answered"() {
    const asking = await savedCard("authenticationRequired", { replaces: card.id });
    const body = { ...gold, application: "staging" };
    const begun = made(expect(201, await subscriptionCreate({ path, body, headers: once("bank") })));
    assert(begun.status === "incomplete" && begun.action?.type === "authenticate");
    const [intent] = begun.action.client_secret?.split("_secret_") ?? [];
    assert(intent);
    await atStripe(`/bank/${intent}/approve`, {});
    const finished = await until(() => now(begun), (it) => it.status === "active");
    assert(finished.action === null && finished.access.decision === "allow");
    const ended = await subscriptionCancel({ path: subscription(begun), body: { at: "now" } });
    assert.equal(made(expect(200, ended)).status, "canceled");
    card = await savedCard("visa", { replaces: asking.id });
  },

  async "subscription is cancelled, kept, and cancelled"() {
    const at = subscription(paid);
    const later = made(expect(200, await subscriptionCancel({ path: at, body: { at: "period_end" } })));
    assert(later.status === "active" && later.cancel_at === later.current_period?.end);
    const kept = made(expect(200, await subscriptionUndoCancel({ path: at })));
    assert.equal(kept.cancel_at, null);
    const ended = made(expect(200, await subscriptionCancel({ path: at, body: { at: "now" } })));
    assert(ended.status === "canceled" && ended.access.decision === "deny" && ended.ended_at !== null);
  },

  async "event feed is read to its end"() {
    const events: Event[] = [];
    let page = expect(200, await eventList({ path, query: { limit: 10 } }));
    for (;;) {
      events.push(...page.data);
      if (!page.has_more) break;
      page = expect(200, await eventList({ path, query: { limit: 10, cursor: page.next_cursor } }));
    }
    const types = new Set(events.map((event) => event.type));
    for (const type of ["customer.created", "product.created", "subscription.created", "invoice.paid"]) {
      assert(types.has(type), type);
    }
    const ofPaid = events.filter((event) => event.subject === paid.id);
    assert.deepEqual(ofPaid.map((event) => event.sequence), ofPaid.map((_, index) => index + 1));
    // Which resource `data` is follows from the type.
    const last = ofPaid.at(-1)?.data as Subscription | null | undefined;
    assert.equal(last?.status, "canceled");
  },

  async "operations are read"() {
    const page = expect(200, await operationList({ path, query: { subject: paid.id, status: "succeeded" } }));
    assert(page.data.some((operation) => operation.kind === "create_subscription"));
    const [operation] = page.data;
    assert(operation);
    const read = expect(200, await operationGet({ path: { ...path, operation: operation.id } }));
    assert(read.status === "succeeded" && read.error === null && read.finished_at !== null);
    const failed = expect(200, await operationList({ path, query: { status: "attention" } }));
    assert.deepEqual(failed.data, []);
  },

  async "nothing has drifted from Stripe"() {
    const headers = { Prefer: "wait=30" };
    const found = expect(200, await reconciliationCreate({ path, headers }));
    assert.deepEqual([found.status, found.drift], ["done", []]);
    assert(found.compared.customers === 1 && found.compared.subscriptions > 0);
  },

  async "receiver of events comes and goes"() {
    const body = { url: "https://portal.acme.example/hooks", events: ["subscription.updated"] };
    const { endpoint, secret } = expect(201, await webhookEndpointCreate({ path, body }));
    assert(secret.startsWith("whsec_"));
    const gone = await webhookEndpointDelete({ path: { ...path, endpoint: endpoint.id } });
    assert.equal(gone.response?.status, 204);
  },

  async "audit log is read page by page"() {
    const actions: string[] = [];
    let page = expect(200, await auditLogList({ path, query: { limit: 2 } }));
    for (;;) {
      actions.push(...page.data.map((entry) => entry.action));
      if (page.next_cursor === null) break;
      const query = { limit: 2, cursor: page.next_cursor };
      page = expect(200, await auditLogList({ path, query }));
    }
    assert.equal(actions.at(-1), "portal.created");
    assert(actions.includes("credentials.stored"));
  },

  async "everything is removed"() {
    assert.equal(expectProblem(409, await portalDelete({ path })).code, "portal_in_use");
    const ended = await subscriptionCancel({ path: subscription(free), body: { at: "now" } });
    assert.equal(made(expect(200, ended)).status, "canceled");
    assert.equal((await credentialsDelete({ path })).response?.status, 204);
    assert.equal((await portalDelete({ path })).response?.status, 204);
    assert.equal(expectProblem(404, await portalGet({ path })).code, "not_found");
  },
};

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log(`  ${name}`);
}
