//! Invoices of which no event was heard.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    RECONCILIATIONS, customer, delete_at_stripe, found, invoices_found, reconcile, shop,
    subscriber, subscription, until, writes,
};
use crate::subscriptions::advance;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    invoices_that_nobody_told_of_are_taken_over,
    what_became_of_an_invoice_is_mended,
    all_lines_of_a_long_invoice_are_read,
    a_draft_that_grew_and_was_paid_is_read_anew,
    the_period_of_a_long_invoice_is_that_of_all_its_lines,
    the_invoices_of_others_are_left_alone,
    a_sweep_asks_for_what_is_old_and_open,
    a_sweep_asks_for_a_thousand_and_the_next_for_the_rest,
);

pub(super) const INVOICES: &str = "/v1/portals/acme/invoices";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// An invoice over items of a dollar each that somebody makes for a Customer in the dashboard; Stripe's id.
pub(super) async fn draft(service: &Service, owner: &str, items: usize) -> String {
    let form = [
        ("customer", owner),
        ("collection_method", "send_invoice"),
        ("days_until_due", "30"),
        ("auto_advance", "false"),
    ];
    let made = service.stripe("/v1/invoices", &form).await;
    let id = made["id"].as_str().unwrap().to_owned();
    grow(service, owner, &id, items).await;
    id
}

/// Puts items of a dollar each on a draft.
async fn grow(service: &Service, owner: &str, invoice: &str, items: usize) {
    for _ in 0..items {
        let form = [
            ("customer", owner),
            ("invoice", invoice),
            ("amount", "100"),
            ("currency", "usd"),
        ];
        service.stripe("/v1/invoiceitems", &form).await;
    }
}

pub(super) async fn act(service: &Service, invoice: &str, what: &str) {
    let path = format!("/v1/invoices/{invoice}/{what}");
    service.stripe(&path, &[]).await;
}

/// The one invoice that is this one at Stripe.
async fn shown(service: &Service, stripe_id: &str) -> Value {
    let list = service
        .get(&format!("{INVOICES}?limit=100"))
        .await
        .expect(200);
    let mut found = list["data"].as_array().unwrap().iter();
    let found = found.find(|it| it["stripe"]["invoice"] == stripe_id);
    found
        .unwrap_or_else(|| panic!("{stripe_id} in {list}"))
        .clone()
}

/// Stripe's id of a customer of ours.
async fn at_stripe(service: &Service, external_id: &str) -> String {
    let shown = customer(service, external_id).await;
    shown["stripe"]["customer"].as_str().unwrap().to_owned()
}

async fn invoices_that_nobody_told_of_are_taken_over(engine: Database) {
    let service = shop(engine, &[]).await;
    let subscribed = subscriber(&service, "globex", "gold").await;
    service.forget_calls().await;

    let looked = reconcile(&service, false).await;
    assert_eq!(
        invoices_found(&looked, false),
        ["invoice - missing_here".to_owned()]
    );
    let none = service.get(INVOICES).await.expect(200);
    assert_eq!(none["data"], json!([]));

    let mended = reconcile(&service, true).await;
    let list = service.get(INVOICES).await.expect(200);
    let invoice = &list["data"][0];
    assert_eq!(
        invoices_found(&mended, true),
        [format!(
            "invoice {} missing_here",
            invoice["id"].as_str().unwrap()
        )]
    );
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(invoice["status"], "paid");
    assert_eq!(invoice["subscription"], subscribed["id"]);
    assert_eq!(
        invoice["total"],
        json!({"amount": 1500, "currency": "usd"}),
        "{invoice}"
    );
    assert_eq!(invoice["lines"].as_array().unwrap().len(), 1);
    assert!(invoice["number"].is_string() && invoice["hosted_url"].is_string());
    let now = subscription(&service, &subscribed["id"]).await;
    assert_eq!(now["latest_invoice"], invoice["id"]);
    let feed = service
        .get("/v1/portals/acme/events?type=invoice.created")
        .await
        .expect(200);
    assert_eq!(feed["data"][0]["subject"], invoice["id"], "{feed}");
    let audited = service.audited().await;
    assert!(audited.iter().any(|action| action == "invoice.created"));

    let again = reconcile(&service, true).await;
    assert_eq!(again["drift_count"], 0, "{again}");
    assert_eq!(writes(&service).await, Vec::<String>::new());
}

async fn what_became_of_an_invoice_is_mended(engine: Database) {
    let service = shop(engine, &[]).await;
    subscriber(&service, "globex", "gold").await;
    let owner = at_stripe(&service, "globex").await;
    let (paid, void, gone) = (
        draft(&service, &owner, 1).await,
        draft(&service, &owner, 2).await,
        draft(&service, &owner, 3).await,
    );
    reconcile(&service, true).await;
    for it in [&paid, &void, &gone] {
        assert_eq!(shown(&service, it).await["status"], "draft");
    }
    let ours = async |it: &str| shown(&service, it).await["id"].as_str().unwrap().to_owned();

    act(&service, &paid, "finalize").await;
    act(&service, &void, "finalize").await;
    delete_at_stripe(&service, &format!("/v1/invoices/{gone}")).await;
    let mut wanted = vec![
        format!(
            "invoice {} differs number+status+hosted_url+pdf_url",
            ours(&paid).await
        ),
        format!(
            "invoice {} differs number+status+hosted_url+pdf_url",
            ours(&void).await
        ),
        format!("invoice {} missing_at_stripe", ours(&gone).await),
    ];
    wanted.sort();
    let looked = reconcile(&service, false).await;
    assert_eq!(invoices_found(&looked, false), wanted);
    assert_eq!(shown(&service, &gone).await["status"], "draft");
    let mended = reconcile(&service, true).await;
    assert_eq!(invoices_found(&mended, true), wanted);
    assert_eq!(shown(&service, &paid).await["status"], "open");
    assert_eq!(shown(&service, &gone).await["status"], "void");

    let form = [("paid_out_of_band", "true")];
    service
        .stripe(&format!("/v1/invoices/{paid}/pay"), &form)
        .await;
    act(&service, &void, "void").await;
    let mended = reconcile(&service, true).await;
    assert_eq!(invoices_found(&mended, true).len(), 2, "{mended}");
    assert_eq!(shown(&service, &paid).await["status"], "paid");
    assert_eq!(shown(&service, &void).await["status"], "void");
    let again = reconcile(&service, true).await;
    assert_eq!(again["drift_count"], 0, "{again}");
    // Each version was told of, as webhooks would have told of it.
    let told = "SELECT COUNT(*) AS count FROM events WHERE event_type IN ('invoice.paid', 'invoice.voided')";
    assert_eq!(service.database.count(told).await, 3);
}

async fn all_lines_of_a_long_invoice_are_read(engine: Database) {
    let service = shop(engine, &[]).await;
    subscriber(&service, "globex", "gold").await;
    let owner = at_stripe(&service, "globex").await;
    let long = draft(&service, &owner, 25).await;
    reconcile(&service, true).await;
    let it = shown(&service, &long).await;
    assert_eq!(it["lines"].as_array().unwrap().len(), 25);
    assert_eq!(it["total"]["amount"], 2_500);
    let again = reconcile(&service, true).await;
    assert_eq!(again["drift_count"], 0, "{again}");
}

async fn a_draft_that_grew_and_was_paid_is_read_anew(engine: Database) {
    let service = shop(engine, &[]).await;
    subscriber(&service, "globex", "gold").await;
    let owner = at_stripe(&service, "globex").await;
    let long = draft(&service, &owner, 12).await;
    reconcile(&service, true).await;
    grow(&service, &owner, &long, 13).await;
    act(&service, &long, "finalize").await;
    let form = [("paid_out_of_band", "true")];
    service
        .stripe(&format!("/v1/invoices/{long}/pay"), &form)
        .await;
    reconcile(&service, true).await;
    let it = shown(&service, &long).await;
    assert_eq!(it["status"], "paid");
    assert_eq!(it["total"]["amount"], 2_500);
    assert_eq!(it["lines"].as_array().unwrap().len(), 25);
    // What is settled on both sides is not read again.
    service.forget_calls().await;
    let again = reconcile(&service, true).await;
    assert_eq!(again["drift_count"], 0, "{again}");
    let lines = format!("GET /v1/invoices/{long}/lines");
    assert!(!service.calls().await.contains(&lines));
}

async fn the_period_of_a_long_invoice_is_that_of_all_its_lines(engine: Database) {
    let service = shop(engine, &[]).await;
    let subscribed = subscriber(&service, "globex", "seats").await;
    let there = subscribed["stripe"]["subscription"].as_str().unwrap();
    let path = format!("/v1/subscriptions/{there}");
    let object = &service.objects_at_stripe("subscription").await[0];
    let item = object["items"]["data"][0]["id"].as_str().unwrap();
    for quantity in 2..9 {
        advance(&service, DAY_MS / 1000).await;
        let form = [
            ("items[0][id]", item),
            ("items[0][quantity]", &quantity.to_string()),
            ("proration_behavior", "create_prorations"),
        ];
        service.stripe(&path, &form).await;
    }
    advance(&service, 30 * DAY_MS / 1000).await;
    let object = &service.objects_at_stripe("subscription").await[0];
    let renewed = object["latest_invoice"].as_str().unwrap();
    reconcile(&service, true).await;
    let it = shown(&service, renewed).await;
    assert_eq!(it["status"], "paid", "{it}");
    let lines = it["lines"].as_array().unwrap();
    // An invoice comes with its first ten lines.
    let regular: Vec<usize> = (0..lines.len())
        .filter(|place| lines[*place]["proration"] == false)
        .collect();
    assert_eq!(regular, [lines.len() - 1], "{it}");
    assert!(lines.len() > 10);
    let period = &lines[lines.len() - 1]["period"];
    assert_eq!(it["period"], *period);
    let again = reconcile(&service, true).await;
    assert_eq!(again["drift_count"], 0, "{again}");
    assert_eq!(shown(&service, renewed).await["period"], *period);
}

async fn the_invoices_of_others_are_left_alone(engine: Database) {
    let service = shop(engine, &[]).await;
    subscriber(&service, "globex", "gold").await;
    let somebody = service
        .stripe("/v1/customers", &[("name", "Somebody")])
        .await;
    draft(&service, somebody["id"].as_str().unwrap(), 1).await;
    let done = reconcile(&service, true).await;
    assert_eq!(found(&done, true), Vec::<String>::new());
    assert_eq!(invoices_found(&done, true).len(), 1);
    // The Customer and its invoice.
    assert_eq!(done["compared"]["foreign"], 2);
    assert_eq!(done["compared"]["invoices"], 1);
}

async fn a_sweep_asks_for_what_is_old_and_open(engine: Database) {
    let swept = [
        ("reconciliation.sweep_minutes", "60"),
        ("reconciliation.poll_ms", "20"),
    ];
    let service = shop(engine, &swept).await;
    subscriber(&service, "globex", "gold").await;
    let owner = at_stripe(&service, "globex").await;
    let old = draft(&service, &owner, 1).await;
    act(&service, &old, "finalize").await;
    reconcile(&service, true).await;
    assert_eq!(shown(&service, &old).await["status"], "open");

    // Where the list of a sweep does not reach.
    service.clock.advance_millis(50 * DAY_MS);
    let form = [("paid_out_of_band", "true")];
    service
        .stripe(&format!("/v1/invoices/{old}/pay"), &form)
        .await;
    service.forget_calls().await;
    let path = format!("{RECONCILIATIONS}?status=done&limit=100");
    let is_swept = |body: &Value| {
        let all = body["data"].as_array().unwrap();
        all.iter().any(|it| it["sweep"] == true)
    };
    service.clock.advance_millis(60 * 60 * 1000);
    until(&service, &path, is_swept).await;
    assert_eq!(shown(&service, &old).await["status"], "paid");
    let log = service
        .simulator(Method::GET, "/requests", Value::Null)
        .await;
    let lists = log["data"].as_array().unwrap().iter();
    let lists = lists.filter(|call| call["template"] == "/v1/invoices" && call["method"] == "GET");
    for call in lists {
        let query = call.to_string();
        assert!(query.contains("created"), "{query}");
    }
}

/// So many further rows like the one there is, of invoices that Stripe does not have.
async fn multiply(service: &Service, rows: i64) {
    let kept = "portal_id, customer_id, status, reason, currency, subtotal, total, amount_due, \
                amount_paid, attempt_count, stripe_account, stripe_livemode, stripe_at, version, \
                created_at, updated_at";
    let sql = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows}) \
         INSERT INTO invoices (id, stripe_id, {kept}) \
         SELECT substr(id, 1, length(id) - 5) || CAST(10000 + n AS TEXT), \
         'in_gone' || CAST(10000 + n AS TEXT), {kept} FROM invoices, numbers"
    );
    service.database.execute(&sql).await;
}

async fn a_sweep_asks_for_a_thousand_and_the_next_for_the_rest(engine: Database) {
    let swept = [
        ("reconciliation.sweep_minutes", "60"),
        ("reconciliation.poll_ms", "20"),
    ];
    let mut service = shop(engine, &swept).await;
    let made = service.customer("globex").await;
    let customer = made["id"].as_str().unwrap();
    let card = service.card("visa").await;
    let saved = service.save(customer, "save-0001", json!({"payment_method": card}));
    saved.await.expect(201);
    let owner = at_stripe(&service, "globex").await;
    let old = draft(&service, &owner, 1).await;
    act(&service, &old, "finalize").await;
    reconcile(&service, true).await;
    multiply(&service, 4).await;
    let open = "SELECT COUNT(*) AS count FROM invoices WHERE status = 'open'";
    let path = format!("{RECONCILIATIONS}?status=done&limit=100");
    let sweeps = |body: &Value| {
        let all = body["data"].as_array().unwrap().iter();
        all.filter(|it| it["sweep"] == true).count()
    };
    let asked = async |service: &Service| {
        let template = "GET /v1/invoices/{invoice}";
        service.calls_to_stripe(template).await
    };
    // A sweep comes to the first old invoice, and to nothing more.
    let fault = json!({"kind": "error_before", "path": "/v1/invoices/{invoice}", "times": 0});
    service.simulator(Method::POST, "/faults", fault).await;
    service.clock.advance_millis(50 * DAY_MS);
    while asked(&service).await == 0 {}
    service.stop();
    service
        .simulator(Method::DELETE, "/faults", Value::Null)
        .await;
    // As if it had asked for all of a thousand but two.
    let almost = "UPDATE reconciliations SET place = '998 ' WHERE status = 'running'";
    service.database.execute(almost).await;
    service.forget_calls().await;
    service.run().await;
    service.clock.advance_millis(5 * 60_000);
    until(&service, &path, |body| sweeps(body) == 1).await;
    assert_eq!(asked(&service).await, 2);
    service.clock.advance_millis(60 * 60_000);
    until(&service, &path, |body| sweeps(body) == 2).await;
    assert_eq!(asked(&service).await, 2 + 3);
    // Only what Stripe has is open still.
    assert_eq!(service.database.count(open).await, 1);
    assert_eq!(shown(&service, &old).await["status"], "open");
}
