//! Every request that the port can build, with all that it can say, over the wire to a server that
//! holds each against the request contract.

mod billing;
mod objects;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use portal_billing::clock::Timestamp;
use portal_billing::stripe::subscriptions::NewItem;
use portal_billing::stripe::{Created, FrozenRequest, Metadata, Page, StripeError};

use super::sender::parameters;
use super::{client, idempotency_key, secret_key};
use crate::support::contract;
use crate::support::fake_stripe::{FakeStripe, Reaction, answer};

const AT: Timestamp = Timestamp::from_seconds(1_900_000_000);

fn metadata() -> Metadata {
    Metadata::from([
        ("operation".to_owned(), "oper_1".to_owned()),
        ("portal".to_owned(), "demo & co".to_owned()),
    ])
}

const CREATED: Created = Created {
    from: Some(AT),
    before: Some(AT),
};

const PAGE: Page<'static> = Page {
    limit: Some(50),
    starting_after: Some("obj_9"),
};

const ITEM: NewItem<'static> = NewItem {
    price: "price_1",
    quantity: Some(3),
};

type Built = Vec<(&'static str, Result<FrozenRequest, StripeError>)>;

fn everything() -> Vec<(&'static str, FrozenRequest)> {
    [
        objects::of_customers(),
        objects::of_payment_methods(),
        objects::of_catalog(),
        billing::of_subscriptions(),
        billing::of_schedules(),
        billing::of_invoices(),
        objects::of_refunds(),
        objects::of_sessions_and_events(),
    ]
    .into_iter()
    .flatten()
    .map(|(name, request)| (name, request.unwrap()))
    .collect()
}

#[tokio::test]
async fn all_that_can_be_sent_is_what_stripe_takes() {
    let stripe = FakeStripe::start(|_| Reaction::Answer(answer(200, r#"{"id":"obj_1"}"#))).await;
    let client = client(stripe.base_url());
    let all = everything();
    for (_, request) in &all {
        client
            .send_frozen(&secret_key(), Some(&idempotency_key()), request)
            .await
            .unwrap();
    }
    let recorded = stripe.recorded();
    assert_eq!(recorded.len(), all.len());
    for ((name, request), sent) in all.iter().zip(&recorded) {
        assert_eq!(sent.method, request.method().as_str(), "{name}");
        assert_eq!(sent.path, request.path(), "{name}");
        let mut frozen = parameters(request);
        frozen.sort();
        assert_eq!(sent.parameters(), frozen, "{name}");
        let key = sent.header("idempotency-key");
        assert_eq!(key.is_none(), request.is_read(), "{name}");
        let has_body = !sent.body.is_empty();
        assert!(!has_body || sent.method == "POST", "{name}");
    }
    // The server holds each against the contract when it is dropped.
}

#[test]
fn the_contract_refuses_what_stripe_would_refuse() {
    let misspelt = [("colour".to_owned(), "red".to_owned())];
    for (_, request) in everything() {
        let found = contract::violations(request.method().as_str(), request.path(), &misspelt);
        assert!(!found.is_empty(), "{request:?}");
    }
}

/// The functions of the port that build requests, as `module::function`.
fn builders() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/stripe");
    let mut found = BTreeSet::new();
    for module in [
        "catalog",
        "customers",
        "events",
        "invoices",
        "payment_methods",
        "refunds",
        "schedules",
        "sessions",
        "setup_intents",
        "subscriptions",
    ] {
        let one = folder.join(format!("{module}.rs"));
        let files = if one.exists() {
            vec![one]
        } else {
            let entries = fs::read_dir(folder.join(module)).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        for file in files {
            let text = fs::read_to_string(file).unwrap();
            for function in text.split("\npub fn ").skip(1) {
                let (head, _) = function.split_once('{').unwrap();
                if head.contains("FrozenRequest") {
                    let (name, _) = head.split_once('(').unwrap();
                    found.insert(format!("{module}::{name}"));
                }
            }
        }
    }
    found
}

#[test]
fn no_request_of_the_port_is_left_out() {
    let checked: BTreeSet<String> = everything()
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .collect();
    assert!(checked.len() > 40);
    assert_eq!(builders(), checked);
}

#[test]
fn endpoints_have_the_names_of_the_contract() {
    for (name, request) in everything() {
        let operation = request.operation();
        let (method, template) = operation.split_once(' ').unwrap();
        assert!(
            contract::has_template(method, template),
            "{name}: {operation}"
        );
    }
}
