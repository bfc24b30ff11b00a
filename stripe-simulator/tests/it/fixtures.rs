//! Our objects have the fields of Stripe's own examples, and no others.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::Stripe;

fn contract(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contract")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn fields(value: &Value) -> BTreeSet<String> {
    value
        .as_object()
        .map(|map| map.keys().cloned().collect())
        .unwrap_or_default()
}

/// Makes at least one object of every resource that the fixtures show.
fn populate(stripe: &Stripe) {
    let post = |path: &str, form: &[(&str, &str)]| {
        let made = stripe.post(path, form).ok();
        made["id"].as_str().unwrap_or_default().to_owned()
    };
    let customer = post(
        "/v1/customers",
        &[
            ("payment_method", "pm_card_visa"),
            ("invoice_settings[default_payment_method]", "pm_card_visa"),
            ("balance", "-100"),
            ("tax_id_data[0][type]", "eu_vat"),
            ("tax_id_data[0][value]", "DE123456789"),
        ],
    );
    let coupon = post(
        "/v1/coupons",
        &[("percent_off", "10"), ("duration", "forever")],
    );
    let code = [
        ("promotion[type]", "coupon"),
        ("promotion[coupon]", coupon.as_str()),
    ];
    let code = post("/v1/promotion_codes", &code);
    post(
        "/v1/tax_rates",
        &[
            ("display_name", "VAT"),
            ("percentage", "19"),
            ("inclusive", "false"),
        ],
    );
    let price = [
        ("currency", "usd"),
        ("unit_amount", "1000"),
        ("product_data[name]", "Plan"),
    ];
    let price = post(
        "/v1/prices",
        &[&price[..], &[("recurring[interval]", "month")]].concat(),
    );
    let subscription = [
        ("customer", customer.as_str()),
        ("items[0][price]", &price),
        ("discounts[0][promotion_code]", &code),
    ];
    post("/v1/subscriptions", &subscription);
    let item = [
        ("customer", customer.as_str()),
        ("amount", "500"),
        ("currency", "usd"),
    ];
    post("/v1/invoiceitems", &item);
    schedule_and_hosted(stripe, &customer, &price);
    payments(stripe, &customer);
    usage_and_webhooks(stripe, &customer);
}

fn schedule_and_hosted(stripe: &Stripe, customer: &str, price: &str) {
    let schedule = [
        ("customer", customer),
        ("start_date", "now"),
        ("phases[0][items][0][price]", price),
    ];
    stripe.post("/v1/subscription_schedules", &schedule).ok();
    let line = ("line_items[0][price]", price);
    stripe
        .post("/v1/quotes", &[("customer", customer), line])
        .ok();
    let count = ("line_items[0][quantity]", "1");
    stripe.post("/v1/payment_links", &[line, count]).ok();
    let session = [
        ("mode", "subscription"),
        line,
        count,
        ("success_url", "http://localhost/"),
    ];
    stripe.post("/v1/checkout/sessions", &session).ok();
    let features = [("features[invoice_history][enabled]", "true")];
    stripe
        .post("/v1/billing_portal/configurations", &features)
        .ok();
    stripe
        .post("/v1/billing_portal/sessions", &[("customer", customer)])
        .ok();
}

fn payments(stripe: &Stripe, customer: &str) {
    let pay = [
        ("amount", "900"),
        ("currency", "usd"),
        ("customer", customer),
        ("payment_method", "pm_card_createDispute"),
        ("confirm", "true"),
        ("return_url", "http://localhost/"),
    ];
    stripe.post("/v1/payment_intents", &pay).ok();
    let fine = [&pay[..3], &[("payment_method", "pm_card_visa")], &pay[4..]].concat();
    let paid = stripe.post("/v1/payment_intents", &fine).id();
    stripe
        .post("/v1/refunds", &[("payment_intent", &paid)])
        .ok();
    stripe
        .post("/v1/setup_intents", &[("customer", customer)])
        .ok();
    let invoice = [
        ("customer", customer),
        ("collection_method", "send_invoice"),
        ("days_until_due", "9"),
    ];
    let invoice = stripe.post("/v1/invoices", &invoice).id();
    let item = [
        ("customer", customer),
        ("invoice", &invoice),
        ("amount", "800"),
        ("currency", "usd"),
    ];
    stripe.post("/v1/invoiceitems", &item).ok();
    stripe
        .post(&format!("/v1/invoices/{invoice}/finalize"), &[])
        .ok();
    stripe
        .post(
            "/v1/credit_notes",
            &[("invoice", &invoice), ("amount", "100")],
        )
        .ok();
}

fn usage_and_webhooks(stripe: &Stripe, customer: &str) {
    let meter = [
        ("display_name", "calls"),
        ("event_name", "calls"),
        ("default_aggregation[formula]", "sum"),
    ];
    stripe.post("/v1/billing/meters", &meter).ok();
    let grant = [
        ("customer", customer),
        ("category", "paid"),
        ("amount[type]", "monetary"),
        ("amount[monetary][value]", "400"),
        ("amount[monetary][currency]", "usd"),
        ("applicability_config[scope][price_type]", "metered"),
    ];
    stripe.post("/v1/billing/credit_grants", &grant).ok();
    let hook = [
        ("url", "http://127.0.0.1:1/"),
        ("enabled_events[]", "plan.created"),
    ];
    stripe.post("/v1/webhook_endpoints", &hook).ok();
    stripe
        .post(
            "/v1/test_helpers/test_clocks",
            &[("frozen_time", "1800000000")],
        )
        .ok();
}

/// Fields of Stripe's examples that an ordinary answer leaves out.
const CONDITIONAL: [(&str, &str); 4] = [
    // Shown for connected accounts, not for one's own.
    ("account", "external_accounts"),
    ("account", "future_requirements"),
    ("account", "tos_acceptance"),
    // Since 2022-11-15 only with `expand`.
    ("charge", "refunds"),
];

#[test]
fn objects_have_the_fields_of_stripes_fixtures() {
    let stripe = Stripe::start();
    populate(&stripe);
    let state = stripe.get("/_simulator/state").ok();
    let fixtures = contract("fixtures3.json");
    let shapes = contract("responses.json");
    let mut compared = 0;
    let mut differences = Vec::new();
    for (object, made) in state["objects"].as_object().or(state.as_object()).unwrap() {
        let Some(ours) = made.as_array().and_then(|made| made.last()) else {
            continue;
        };
        let fixture = &fixtures["resources"][object];
        let Some(shape) = shapes["objects"][object].as_str() else {
            continue;
        };
        let known = fields(&shapes["$defs"][shape]["properties"]);
        if fixture.is_null() {
            continue;
        }
        compared += 1;
        let ours = fields(ours);
        for field in fields(fixture)
            .intersection(&known)
            .filter(|field| !ours.contains(*field))
        {
            if !CONDITIONAL.contains(&(object.as_str(), field.as_str())) {
                differences.push(format!(
                    "{object}.{field}: Stripe's example has it, ours does not"
                ));
            }
        }
        for field in ours.difference(&known) {
            differences.push(format!("{object}.{field}: ours has it, Stripe does not"));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(compared >= 25, "only {compared} resources were compared");
}
