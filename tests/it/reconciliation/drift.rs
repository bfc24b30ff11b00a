//! Drift made at Stripe itself.

use serde_json::{Value, json};

use super::{
    at_stripe, customer, delete_at_stripe, found, invoices_found, publish, reconcile, shop,
    subscriber, subscriber_of, subscription, writes,
};
use crate::support::billing::PORTAL;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::{PUBLISHABLE_KEY, SECRET_KEY, Service};

on_both_databases!(
    where_nothing_was_lost_nothing_differs,
    each_difference_is_named_and_mended_and_then_there_is_none,
    a_subscription_that_stripe_has_no_more_is_canceled,
    the_portals_of_an_account_are_left_alone_by_each_other,
);

async fn where_nothing_was_lost_nothing_differs(engine: Database) {
    let service = shop(engine, &[]).await;
    subscriber(&service, "globex", "gold").await;
    subscriber(&service, "initech", "seats").await;
    // No event of Stripe's arrives here, so that their invoices are known from now on.
    let first = reconcile(&service, true).await;
    assert_eq!(invoices_found(&first, true).len(), 2);
    service.forget_calls().await;
    let done = reconcile(&service, true).await;
    assert_eq!(done["drift_count"], 0, "{done}");
    assert_eq!(
        done["compared"],
        json!({
            "customers": 2, "payment_methods": 2, "subscriptions": 2, "invoices": 2, "foreign": 0,
        })
    );
    assert_eq!(writes(&service).await, Vec::<String>::new());
    // One page each of customers, subscriptions and invoices, and one of methods per customer.
    assert_eq!(done["requests"], 5);
    assert_eq!(service.calls().await.len(), 5);
}

/// The one payment method of whose a subscription is.
async fn method_of(service: &Service, subscribed: &Value) -> Value {
    let owner = subscribed["customer"].as_str().unwrap();
    let path = format!("/v1/portals/{PORTAL}/customers/{owner}/payment-methods");
    service.get(&path).await.expect(200)["data"][0].clone()
}

/// What was made at Stripe and not told here, and how it is to be named.
async fn go_behind(service: &Service) -> Vec<String> {
    let subscribed = subscriber(service, "canceled", "gold").await;
    let there = subscribed["stripe"]["subscription"].as_str().unwrap();
    delete_at_stripe(service, &format!("/v1/subscriptions/{there}")).await;
    let mut wanted = vec![format!(
        "subscription {} differs status+canceled_at+ended_at",
        subscribed["id"].as_str().unwrap()
    )];

    let subscribed = subscriber(service, "larger", "seats").await;
    let there = subscribed["stripe"]["subscription"].as_str().unwrap();
    let all = at_stripe(service, "subscription").await;
    let object = all.iter().find(|object| object["id"] == there).unwrap();
    let item = object["items"]["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][quantity]", "5"),
        ("proration_behavior", "none"),
    ];
    service
        .stripe(&format!("/v1/subscriptions/{there}"), &form)
        .await;
    wanted.push(format!(
        "subscription {} differs quantity",
        subscribed["id"].as_str().unwrap()
    ));

    let subscribed = subscriber(service, "renamed", "gold").await;
    let there = subscribed["stripe"]["customer"].as_str().unwrap();
    let form = [("name", "Globex Corp")];
    service
        .stripe(&format!("/v1/customers/{there}"), &form)
        .await;
    wanted.push(format!(
        "customer {} differs name",
        subscribed["customer"].as_str().unwrap()
    ));

    let subscribed = subscriber(service, "deleted", "gold").await;
    wanted.push(format!(
        "payment_method {} missing_at_stripe",
        method_of(service, &subscribed).await["id"]
            .as_str()
            .unwrap()
    ));
    let there = subscribed["stripe"]["customer"].as_str().unwrap();
    delete_at_stripe(service, &format!("/v1/customers/{there}")).await;
    wanted.push(format!(
        "customer {} missing_at_stripe",
        subscribed["customer"].as_str().unwrap()
    ));
    wanted.push(format!(
        "subscription {} differs status+canceled_at+ended_at",
        subscribed["id"].as_str().unwrap()
    ));

    let subscribed = subscriber(service, "detached", "gold").await;
    let owner = subscribed["customer"].as_str().unwrap();
    let saved = method_of(service, &subscribed).await;
    let method = saved["id"].as_str().unwrap();
    let there = saved["stripe"]["payment_method"].as_str().unwrap();
    service
        .stripe(&format!("/v1/payment_methods/{there}/detach"), &[])
        .await;
    wanted.push(format!("customer {owner} differs default_payment_method"));
    wanted.push(format!("payment_method {method} missing_at_stripe"));
    wanted.sort();
    wanted
}

async fn each_difference_is_named_and_mended_and_then_there_is_none(engine: Database) {
    let service = shop(engine, &[]).await;
    let wanted = go_behind(&service).await;
    service
        .stripe("/v1/customers", &[("name", "Somebody")])
        .await;
    let paid = at_stripe(&service, "charge").await.len();
    let subscriptions = at_stripe(&service, "subscription").await.len();
    service.forget_calls().await;

    // Looking changes nothing, however often.
    let before = service.get(super::SUBSCRIPTIONS).await.expect(200);
    for _ in 0..2 {
        let looked = reconcile(&service, false).await;
        assert_eq!(found(&looked, false), wanted);
        assert_eq!(looked["compared"]["foreign"], 1);
    }
    assert_eq!(service.get(super::SUBSCRIPTIONS).await.expect(200), before);

    let mended = reconcile(&service, true).await;
    assert_eq!(found(&mended, true), wanted);
    let again = reconcile(&service, true).await;
    assert_eq!(found(&again, true), Vec::<String>::new());

    let list = service.get(super::SUBSCRIPTIONS).await.expect(200);
    for shown in list["data"].as_array().unwrap() {
        let there = at_stripe(&service, "subscription").await;
        let id = &shown["stripe"]["subscription"];
        let there = there.iter().find(|object| object["id"] == *id).unwrap();
        assert_eq!(shown["status"], there["status"], "{shown}");
        let quantity = &there["items"]["data"][0]["quantity"];
        assert_eq!(shown["quantity"], *quantity, "{shown}");
        let allowed = there["status"] == "active";
        let decision = if allowed { "allow" } else { "deny" };
        assert_eq!(shown["access"]["decision"], decision, "{shown}");
    }
    assert_eq!(customer(&service, "renamed").await["name"], "Globex Corp");
    let detached = customer(&service, "detached").await;
    assert_eq!(detached["default_payment_method"], Value::Null);
    assert_eq!(customer(&service, "deleted").await["stripe"], Value::Null);

    // Nothing was charged, made or changed there; each change here was audited and told of.
    assert_eq!(writes(&service).await, Vec::<String>::new());
    assert_eq!(at_stripe(&service, "charge").await.len(), paid);
    assert_eq!(
        at_stripe(&service, "subscription").await.len(),
        subscriptions
    );
    let audited = service.audited().await;
    let started = audited
        .iter()
        .filter(|action| *action == "reconciliation.started");
    assert_eq!(started.count(), 4);
    assert!(
        audited
            .iter()
            .any(|action| action == "payment_method.deleted")
    );
}

async fn a_subscription_that_stripe_has_no_more_is_canceled(engine: Database) {
    let service = shop(engine, &[]).await;
    let subscribed = subscriber(&service, "globex", "gold").await;
    // As if Stripe had never had it.
    let statement = "UPDATE stripe_objects SET stripe_id = 'sub_gone' WHERE kind = 'subscription'; \
                     UPDATE subscriptions SET stripe_id = 'sub_gone';";
    let there = subscribed["stripe"]["subscription"].as_str().unwrap();
    delete_at_stripe(&service, &format!("/v1/subscriptions/{there}")).await;
    service.database.execute(statement).await;
    let wanted = [format!(
        "subscription {} missing_at_stripe",
        subscribed["id"].as_str().unwrap()
    )];
    assert_eq!(found(&reconcile(&service, false).await, false), wanted);
    let shown = subscription(&service, &subscribed["id"]).await;
    assert_eq!(shown["status"], "active");
    assert_eq!(found(&reconcile(&service, true).await, true), wanted);
    let shown = subscription(&service, &subscribed["id"]).await;
    assert_eq!(shown["status"], "canceled");
    assert_eq!(shown["access"]["decision"], "deny");
    let again = reconcile(&service, true).await;
    assert_eq!(found(&again, true), Vec::<String>::new());
}

async fn the_portals_of_an_account_are_left_alone_by_each_other(engine: Database) {
    let service = shop(engine, &[]).await;
    service.enabled_portal("other").await;
    service
        .put_credentials("other", SECRET_KEY, PUBLISHABLE_KEY)
        .await
        .expect(201);
    publish(&service, "other").await;
    let theirs = subscriber_of(&service, "other", "globex", "gold").await;
    let ours = subscriber(&service, "globex", "gold").await;
    for subscribed in [&theirs, &ours] {
        let there = subscribed["stripe"]["subscription"].as_str().unwrap();
        delete_at_stripe(&service, &format!("/v1/subscriptions/{there}")).await;
    }
    let mended = reconcile(&service, true).await;
    assert_eq!(found(&mended, true).len(), 1);
    assert_eq!(mended["drift"][0]["object"], ours["id"]);
    assert_eq!(mended["compared"]["foreign"], 3);
    let path = format!(
        "/v1/portals/other/subscriptions/{}",
        theirs["id"].as_str().unwrap()
    );
    let shown = service.get(&path).await.expect(200);
    assert_eq!((&shown["status"], &shown), (&json!("active"), &theirs));
    // Nor is one portal's reconciliation another's to read.
    let id = mended["id"].as_str().unwrap();
    service
        .get(&format!("/v1/portals/other/reconciliations/{id}"))
        .await
        .problem(404, "not_found");
}
