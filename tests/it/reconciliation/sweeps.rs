//! Regular sweeps: what webhooks have lost is right again after at most two of them (R6).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::invoices::{INVOICES, act, draft};
use super::{
    RECONCILIATIONS, at_stripe, delete_at_stripe, found, reconcile, shop, subscriber, subscription,
    until,
};
use crate::reliability::of_tier;
use crate::support::billing::PORTAL;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    a_sweep_mends_and_two_servers_make_one,
    what_webhooks_have_lost_is_right_after_two_sweeps,
);

const HOUR_MS: i64 = 60 * 60 * 1000;
const SWEPT: [(&str, &str); 2] = [
    ("reconciliation.sweep_minutes", "60"),
    ("reconciliation.poll_ms", "20"),
];

/// The sweep after an hour.
async fn next_sweep(service: &Service, before: usize) -> Value {
    service.clock.advance_millis(HOUR_MS);
    let path = format!("{RECONCILIATIONS}?status=done&limit=100");
    let sweeps = |body: &Value| {
        let all = body["data"].as_array().unwrap().iter();
        all.filter(|it| it["sweep"] == true).count()
    };
    let list = until(service, &path, |body| sweeps(body) > before).await;
    assert_eq!(sweeps(&list), before + 1);
    let id = list["data"][0]["id"].as_str().unwrap();
    service
        .get(&format!("{RECONCILIATIONS}/{id}"))
        .await
        .expect(200)
}

async fn a_sweep_mends_and_two_servers_make_one(engine: Database) {
    let service = shop(engine, &SWEPT).await;
    let subscribed = subscriber(&service, "globex", "gold").await;
    let other = service.one_more(&[]).await;
    // None is due for what is younger than an hour.
    let list = service.get(RECONCILIATIONS).await.expect(200);
    assert_eq!(list["data"], json!([]));

    let there = subscribed["stripe"]["subscription"].as_str().unwrap();
    delete_at_stripe(&service, &format!("/v1/subscriptions/{there}")).await;
    let first = next_sweep(&service, 0).await;
    assert_eq!(
        (&first["repair"], &first["sweep"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(found(&first, true).len(), 1);
    let shown = subscription(&service, &subscribed["id"]).await;
    assert_eq!(shown["status"], "canceled");
    assert_eq!(shown["access"]["decision"], "deny");
    let second = next_sweep(&service, 1).await;
    assert_eq!(found(&second, true), Vec::<String>::new());
    // Whoever changed it is named.
    let path = format!("/v1/portals/{PORTAL}/audit-log?limit=100");
    let log = service.get(&path).await.expect(200);
    let swept = log["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["actor"]["subject"] == "reconciliation")
        .unwrap();
    assert_eq!(swept["action"], "subscription.updated");
    drop(other);
}

/// Invoices are here as Stripe has them; with a Customer that was deleted its invoices are out of reach.
async fn invoices_are_as_there(service: &Service, all: &[Value]) {
    let deleted: Vec<&Value> = all
        .iter()
        .skip(2)
        .step_by(5)
        .map(|subscribed| &subscribed["stripe"]["customer"])
        .collect();
    let mut here = HashMap::new();
    let mut next = format!("{INVOICES}?limit=100");
    loop {
        let page = service.get(&next).await.expect(200);
        for it in page["data"].as_array().unwrap() {
            let id = it["stripe"]["invoice"].as_str().unwrap().to_owned();
            assert!(here.insert(id, it.clone()).is_none(), "twice: {it}");
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        next = format!("{INVOICES}?limit=100&cursor={cursor}");
    }
    let mut compared = 0;
    for there in at_stripe(service, "invoice").await {
        if deleted.contains(&&there["customer"]) {
            continue;
        }
        compared += 1;
        let it = &here[there["id"].as_str().unwrap()];
        for field in ["status", "number"] {
            assert_eq!(it[field], there[field], "{field}: {it} {there}");
        }
        for field in ["subtotal", "total", "amount_due", "amount_paid"] {
            assert_eq!(it[field]["amount"], there[field], "{field}: {it} {there}");
        }
        let amounts = |lines: &Value, path: &str| -> Vec<Value> {
            let lines = lines.as_array().unwrap().iter();
            lines
                .map(|line| line.pointer(path).unwrap().clone())
                .collect()
        };
        assert_eq!(
            amounts(&it["lines"], "/amount/amount"),
            amounts(&there["lines"]["data"], "/amount"),
            "{it} {there}"
        );
    }
    // One of each subscription, and what was billed to every fifth by hand.
    let by_hand = all.iter().skip(4).step_by(5).count();
    assert_eq!(compared, all.len() - deleted.len() + by_hand);
}

/// Something that happens at Stripe to the subscription of this number.
async fn happen(service: &Service, number: usize, subscribed: &Value) {
    let there = subscribed["stripe"]["subscription"].as_str().unwrap();
    let owner = subscribed["stripe"]["customer"].as_str().unwrap();
    let path = format!("/v1/subscriptions/{there}");
    match number % 5 {
        0 => delete_at_stripe(service, &path).await,
        1 => {
            let form = [("cancel_at_period_end", "true")];
            service.stripe(&path, &form).await;
        }
        2 => delete_at_stripe(service, &format!("/v1/customers/{owner}")).await,
        3 => {
            let form = [("email", "money@globex.example")];
            service
                .stripe(&format!("/v1/customers/{owner}"), &form)
                .await;
        }
        _ => {
            let billed = draft(service, owner, 1 + number % 3).await;
            act(service, &billed, "finalize").await;
            if number.is_multiple_of(2) {
                act(service, &billed, "void").await;
            } else {
                let form = [("paid_out_of_band", "true")];
                service
                    .stripe(&format!("/v1/invoices/{billed}/pay"), &form)
                    .await;
            }
        }
    }
}

async fn what_webhooks_have_lost_is_right_after_two_sweeps(engine: Database) {
    let service = shop(engine, &SWEPT).await;
    service
        .post(
            "/v1/portals/acme/modules/stripe/webhook-endpoint",
            Value::Null,
        )
        .await
        .expect(201);
    let mut all = Vec::new();
    for number in 0..of_tier(60, 1_000) {
        all.push(subscriber(&service, &format!("globex-{number}"), "gold").await);
    }
    let charges = at_stripe(&service, "charge").await.len();
    let mut sweeps = 0;
    for (round, loss) in [10, 100, 1_000].into_iter().enumerate() {
        service
            .simulator(
                reqwest::Method::POST,
                "/webhooks/plan",
                json!({"loss_permille": loss}),
            )
            .await;
        for (number, subscribed) in all.iter().enumerate().filter(|(it, _)| it % 3 == round) {
            happen(&service, number, subscribed).await;
        }
        next_sweep(&service, sweeps).await;
        next_sweep(&service, sweeps + 1).await;
        sweeps += 2;
        let looked = reconcile(&service, false).await;
        assert_eq!(looked["drift_count"], 0, "{loss}: {looked}");
    }
    // What is shown is what Stripe has, and access follows it.
    let there = at_stripe(&service, "subscription").await;
    assert_eq!(there.len(), all.len());
    for subscribed in &all {
        let shown = subscription(&service, &subscribed["id"]).await;
        let id = &subscribed["stripe"]["subscription"];
        let there = there.iter().find(|object| object["id"] == *id).unwrap();
        assert_eq!(shown["status"], there["status"]);
        assert_eq!(
            shown["cancel_at"].is_string(),
            there["cancel_at"].is_i64(),
            "{shown} {there}"
        );
        let live = there["status"] == "active";
        let decision = if live { "allow" } else { "deny" };
        assert_eq!(shown["access"]["decision"], decision);
    }
    assert_eq!(at_stripe(&service, "charge").await.len(), charges);
    invoices_are_as_there(&service, &all).await;
    // Every version was told of once, without a gap.
    let gaps = "SELECT COUNT(*) AS count FROM events WHERE seq > 1 AND NOT EXISTS (SELECT 1 FROM \
                events AS earlier WHERE earlier.subject = events.subject AND earlier.seq = \
                events.seq - 1)";
    assert_eq!(service.database.count(gaps).await, 0);
}
