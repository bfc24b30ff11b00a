//! Checkout, the hosted portal and events at the simulator.

use portal_billing::stripe::customers::{self, NewCustomer};
use portal_billing::stripe::events::{self, EventFilter};
use portal_billing::stripe::sessions::{
    self, CheckoutMode, CheckoutPurpose, CheckoutStatus, NewCheckoutSession,
};
use portal_billing::stripe::subscriptions::{self, MissingPaymentMethod, NewItem, Trial};
use portal_billing::stripe::{
    CheckoutSession, Created, Customer, Event, List, Metadata, Outcome, Page, PortalSession,
    SetupIntentStatus, Subscription, SubscriptionStatus,
};
use secrecy::ExposeSecret;
use serde_json::json;

use super::sender::Sender;
use crate::support::simulator::admin;

fn metadata() -> Metadata {
    Metadata::from([("operation".to_owned(), "oper_1".to_owned())])
}

fn session<'a>(customer: &'a str, purpose: CheckoutPurpose<'a>) -> NewCheckoutSession<'a> {
    NewCheckoutSession {
        purpose,
        customer,
        success_url: "https://portal.example/ok?s={CHECKOUT_SESSION_ID}",
        cancel_url: "https://portal.example/back",
        client_reference_id: Some("org_1"),
        expires_at: None,
        metadata: metadata(),
    }
}

async fn complete(stripe: &Sender, session: &str) {
    let path = format!("/checkout/{session}/complete");
    let body = json!({"payment_method": "pm_card_visa"});
    admin(&stripe.simulator, &path, &body).await;
}

#[tokio::test]
async fn a_page_saves_a_card() {
    let mut stripe = Sender::start();
    let customer: Customer = stripe
        .send(customers::create(&NewCustomer::default()))
        .await;
    let setup = || CheckoutPurpose::Setup {
        currency: "eur",
        metadata: metadata(),
    };
    let new = session(&customer.id, setup());
    let open: CheckoutSession = stripe.send(sessions::create_checkout(&new)).await;
    assert_eq!(open.status, Some(CheckoutStatus::Open));
    assert_eq!(open.mode, Some(CheckoutMode::Setup));
    assert_eq!(open.metadata, metadata());
    assert_eq!(open.client_reference_id.as_deref(), Some("org_1"));
    assert!(open.expires_at > open.created);
    assert!(
        open.url
            .as_ref()
            .unwrap()
            .expose_secret()
            .starts_with("http")
    );
    complete(&stripe, &open.id).await;
    let done: CheckoutSession = stripe
        .send(sessions::retrieve_checkout(&open.id).unwrap())
        .await;
    assert_eq!(done.status, Some(CheckoutStatus::Complete));
    let intent = done.setup_intent.as_ref().unwrap().object().unwrap();
    assert_eq!(intent.status, Some(SetupIntentStatus::Succeeded));
    assert_eq!(intent.metadata, metadata());
    assert!(intent.payment_method.is_some());

    let unused: CheckoutSession = stripe.send(sessions::create_checkout(&new)).await;
    let ended: CheckoutSession = stripe
        .send(sessions::expire_checkout(&unused.id).unwrap())
        .await;
    assert_eq!(ended.status, Some(CheckoutStatus::Expired));
    let error = stripe
        .refused(sessions::expire_checkout(&done.id).unwrap())
        .await;
    assert_eq!(error.outcome(), Outcome::Rejected);
    stripe.finish();
}

#[tokio::test]
async fn a_page_subscribes() {
    let mut stripe = Sender::start();
    let customer: Customer = stripe
        .send(customers::create(&NewCustomer::default()))
        .await;
    let price = stripe.monthly("pb_gold", 1_000).await;
    let items = [NewItem {
        price: &price,
        quantity: Some(2),
    }];
    let purpose = CheckoutPurpose::Subscription {
        items: &items,
        trial: Some(Trial::Days(14)),
        missing_payment_method: Some(MissingPaymentMethod::Cancel),
        one_time_charges: &[],
        promotion_codes: false,
        metadata: metadata(),
    };
    let new = session(&customer.id, purpose);
    let open: CheckoutSession = stripe.send(sessions::create_checkout(&new)).await;
    complete(&stripe, &open.id).await;
    let done: CheckoutSession = stripe
        .send(sessions::retrieve_checkout(&open.id).unwrap())
        .await;
    let id = done.subscription.as_ref().unwrap().id();
    let made: Subscription = stripe.send(subscriptions::retrieve(id, &[]).unwrap()).await;
    assert_eq!(made.status, Some(SubscriptionStatus::Trialing));
    assert_eq!(made.metadata, metadata());
    assert_eq!(made.items.data[0].quantity, Some(2));
    stripe.finish();
}

#[tokio::test]
async fn a_customer_gets_a_page_of_the_hosted_portal() {
    let mut stripe = Sender::start();
    let customer: Customer = stripe
        .send(customers::create(&NewCustomer::default()))
        .await;
    let page: PortalSession = stripe
        .send(sessions::create_portal(
            &customer.id,
            "https://portal.example",
        ))
        .await;
    assert_eq!(page.customer.as_deref(), Some(customer.id.as_str()));
    assert_eq!(page.return_url.as_deref(), Some("https://portal.example"));
    assert!(page.url.unwrap().expose_secret().starts_with("http"));
    stripe.finish();
}

#[tokio::test]
async fn events_tell_what_happened_and_by_which_request() {
    let mut stripe = Sender::start();
    let mut made = Vec::new();
    for name in ["Ada", "Grace"] {
        let new = NewCustomer {
            name: Some(name),
            ..NewCustomer::default()
        };
        made.push(stripe.send::<Customer>(customers::create(&new)).await);
    }
    let change = customers::CustomerChange {
        name: portal_billing::stripe::Change::To("Lovelace"),
        ..Default::default()
    };
    let _: Customer = stripe
        .send(customers::update(&made[0].id, &change).unwrap())
        .await;
    let filter = EventFilter {
        types: &["customer.created", "customer.updated"],
        created: Created::since(made[0].created.unwrap()),
        page: Page {
            limit: Some(2),
            starting_after: None,
        },
    };
    let newest: List<Event> = stripe.send(events::list(&filter)).await;
    assert_eq!((newest.data.len(), newest.has_more), (2, true));
    let updated = &newest.data[0];
    assert_eq!(updated.kind, "customer.updated");
    let before = updated.data.previous_attributes.as_ref().unwrap();
    assert_eq!(before["name"], "Ada");
    let now: Customer = updated.object().unwrap();
    assert_eq!(now.name.as_deref(), Some("Lovelace"));
    let key = updated.request.as_ref().unwrap().idempotency_key.as_deref();
    assert_eq!(key, Some("oper_1:3"));
    let filter = EventFilter {
        page: Page::largest(Some(&newest.data[1].id)),
        ..filter
    };
    let rest: List<Event> = stripe.send(events::list(&filter)).await;
    let ids: Vec<_> = rest.data.iter().map(Event::object_id).collect();
    assert_eq!(ids, [Some(made[0].id.as_str())]);
    let read: Event = stripe.send(events::retrieve(&updated.id).unwrap()).await;
    assert!(read == *updated);
    stripe.finish();
}
