//! What holds for a frozen request and its answer, whatever they are about.

use portal_billing::stripe::customers::{self, NewCustomer};
use portal_billing::stripe::subscriptions::{self, Cancellation};
use portal_billing::stripe::{
    CheckoutSession, CreditNote, Customer, Event, FrozenRequest, Invoice, InvoicePayment, List,
    Outcome, PaymentMethod, PortalSession, Price, Product, PromotionCode, Refund, Schedule,
    SetupIntent, Subscription, SubscriptionItem, TaxId,
};
use serde::de::DeserializeOwned;
use static_assertions::assert_not_impl_any;

use super::{client, idempotency_key, secret_key};
use crate::support::contract;
use crate::support::fake_stripe::{FakeStripe, Reaction, answer, answer_with};

assert_not_impl_any!(FrozenRequest: std::fmt::Display, serde::Serialize);
assert_not_impl_any!(portal_billing::stripe::RawReply: std::fmt::Display, serde::Serialize);

fn create() -> FrozenRequest {
    customers::create(&NewCustomer {
        name: Some("Ada & Söhne"),
        ..NewCustomer::default()
    })
}

#[tokio::test]
async fn the_same_bytes_are_sent_again_from_storage() {
    let stripe = FakeStripe::start(|_| {
        Reaction::Answer(answer_with(
            200,
            &[("Idempotent-Replayed", "true")],
            r#"{"id":"cus_1","name":"Canary"}"#,
        ))
    })
    .await;
    let client = client(stripe.base_url());
    let stored = create().to_text();
    for _ in 0..2 {
        let thawed = FrozenRequest::from_text(&stored).unwrap();
        let reply = client
            .send_frozen(&secret_key(), Some(&idempotency_key()), &thawed)
            .await
            .unwrap();
        assert!(reply.replayed);
        assert_eq!(reply.request_id.as_deref(), Some("req_fake"));
        assert_eq!(reply.raw_json(), r#"{"id":"cus_1","name":"Canary"}"#);
        assert!(!format!("{reply:?}").contains("Canary"));
        assert_eq!(reply.read::<Customer>().unwrap().id, "cus_1");
        let read = reply.into_reply::<Customer>().unwrap();
        assert_eq!(read.object.name.as_deref(), Some("Canary"));
        assert!(!format!("{read:?}").contains("Canary"));
    }
    let recorded = stripe.recorded();
    assert_eq!(recorded[0].body, recorded[1].body);
    assert_eq!(recorded[0].headers, recorded[1].headers);
}

#[tokio::test]
async fn a_write_without_a_key_is_not_sent_and_a_read_takes_none() {
    let stripe = FakeStripe::start(|_| Reaction::Answer(answer(200, r#"{"id":"cus_1"}"#))).await;
    let client = client(stripe.base_url());
    let delete = customers::delete("cus_1").unwrap();
    for write in [create(), delete] {
        let error = client
            .send_frozen(&secret_key(), None, &write)
            .await
            .unwrap_err();
        assert_eq!((error.outcome(), error.status()), (Outcome::Rejected, None));
    }
    let read = customers::retrieve("cus_1").unwrap();
    for key in [None, Some(idempotency_key())] {
        client
            .send_frozen(&secret_key(), key.as_ref(), &read)
            .await
            .unwrap();
    }
    let recorded = stripe.recorded();
    assert_eq!(recorded.len(), 2);
    for sent in recorded {
        assert_eq!(sent.header("idempotency-key"), None);
    }
}

#[tokio::test]
async fn the_parameters_of_a_delete_are_in_its_query() {
    let stripe = FakeStripe::start(|_| Reaction::Answer(answer(200, r#"{"id":"sub_1"}"#))).await;
    let cancellation = Cancellation {
        prorate: Some(true),
        ..Cancellation::default()
    };
    let request = subscriptions::cancel("sub_1", &cancellation).unwrap();
    client(stripe.base_url())
        .send_frozen(&secret_key(), Some(&idempotency_key()), &request)
        .await
        .unwrap();
    let sent = &stripe.recorded()[0];
    assert_eq!(
        (sent.query.as_str(), sent.body.as_str()),
        ("prorate=true", "")
    );
    assert_eq!(sent.header("idempotency-key"), Some("oper_1:1"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_no_success() {
    for body in [
        "<html>",
        "",
        r#"{"id":"cus_1""#,
        r#"{"id":"cus_1","livemode":true}"#,
    ] {
        let stripe = FakeStripe::start(move |_| Reaction::Answer(answer(200, body))).await;
        let client = client(stripe.base_url());
        let read = customers::retrieve("cus_1").unwrap();
        for (request, outcome) in [
            (create(), Outcome::OutcomeUnknown),
            (read, Outcome::Unavailable),
        ] {
            let error = client
                .send_frozen(&secret_key(), Some(&idempotency_key()), &request)
                .await
                .unwrap_err();
            assert_eq!(error.outcome(), outcome, "{body}");
            assert!(error.is_nonsense() && error.is_retryable());
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_something_else_is_told_by_who_reads_it() {
    let body = r#"{"object":"customer","email":"canary@example.com"}"#;
    let stripe = FakeStripe::start(move |_| Reaction::Answer(answer(200, body))).await;
    let client = client(stripe.base_url());
    let read = customers::retrieve("cus_1").unwrap();
    for (request, outcome) in [
        (create(), Outcome::OutcomeUnknown),
        (read, Outcome::Unavailable),
    ] {
        let reply = client
            .send_frozen(&secret_key(), Some(&idempotency_key()), &request)
            .await
            .unwrap();
        let error = reply.read::<Customer>().unwrap_err();
        assert_eq!(error.outcome(), outcome);
        assert_eq!(error.request_id(), Some("req_fake"));
        assert!(!error.log_text().contains("canary"));
    }
}

fn reads<T: DeserializeOwned>(resource: &str) -> T {
    let text = contract::fixture(resource);
    let whole =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{resource}: {error}: {text}"));
    // Nothing but the id is needed, and null is as good as absent.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let id = value["id"].clone();
    let mut nulls = value.as_object().unwrap().clone();
    for (name, value) in &mut nulls {
        if name != "id" {
            *value = serde_json::Value::Null;
        }
    }
    for little in [serde_json::json!({"id": id}), nulls.into()] {
        assert!(serde_json::from_value::<T>(little).is_ok(), "{resource}");
    }
    whole
}

#[test]
fn stripes_published_examples_are_read() {
    let customer: Customer = reads("customer");
    assert!(customer.id.starts_with("cus_"));
    assert!(customer.created.is_some());
    let method: PaymentMethod = reads("payment_method");
    let card = method.card.unwrap();
    assert_eq!(card.last4.as_deref(), Some("4242"));
    assert_eq!((card.exp_month, card.exp_year), (Some(8), Some(2030)));
    let intent: SetupIntent = reads("setup_intent");
    assert!(intent.client_secret.is_some());
    assert!(intent.next_action.is_some());
    let product: Product = reads("product");
    assert!(product.name.is_some());
    let price: Price = reads("price");
    assert_eq!(price.unit_amount, Some(2000));
    assert_eq!(price.unit_amount_decimal.as_deref(), Some("2000"));
    reads::<PromotionCode>("promotion_code");
    let subscription: Subscription = reads("subscription");
    assert_eq!(subscription.items.data.len(), 1);
    assert_eq!(
        subscription.current_period_end().unwrap().as_seconds(),
        976_287_773
    );
    assert_eq!(
        subscription.current_period_start().unwrap().as_seconds(),
        1_896_570_518
    );
    assert!(subscription.pause_collection.is_some());
    reads::<SubscriptionItem>("subscription_item");
    reads::<Schedule>("subscription_schedule");
    let invoice: Invoice = reads("invoice");
    assert_eq!(
        (invoice.total, invoice.amount_due),
        (Some(1000), Some(1000))
    );
    assert_eq!(invoice.subscription(), Some("subscription"));
    assert!(invoice.lines.data[0].is_proration());
    assert!(invoice.lines.data[0].period.is_some());
    reads::<InvoicePayment>("invoice_payment");
    reads::<Refund>("refund");
    reads::<CreditNote>("credit_note");
    let session: CheckoutSession = reads("checkout.session");
    assert!(session.mode.is_some());
    let portal: PortalSession = reads("billing_portal.session");
    assert!(portal.url.is_some());
    reads::<TaxId>("tax_id");
    let event: Event = reads("event");
    assert_eq!(
        (event.kind.as_str(), event.object_kind()),
        ("plan.created", Some("plan"))
    );
}

#[test]
fn a_list_of_examples_is_read() {
    let customer = contract::fixture("customer");
    let text = format!(r#"{{"object":"list","data":[{customer},{customer}],"has_more":true}}"#);
    let list: List<Customer> = serde_json::from_str(&text).unwrap();
    assert_eq!((list.data.len(), list.has_more), (2, true));
}
