//! Customers, tax ids, payment methods and setup intents at the simulator.

use portal_billing::stripe::customers::{
    self, CustomerChange, CustomerFilter, NewCustomer, NewTaxId,
};
use portal_billing::stripe::payment_methods::{self, CardFunding, PaymentMethodKind};
use portal_billing::stripe::setup_intents::{self, NewSetupIntent, SetupIntentFilter};
use portal_billing::stripe::{
    Address, Change, Created, Customer, Deleted, List, Metadata, Outcome, Page, PaymentMethod,
    SetupIntent, SetupIntentStatus, TaxId,
};
use secrecy::ExposeSecret;

use super::sender::Sender;

fn metadata() -> Metadata {
    Metadata::from([("operation".to_owned(), "oper_1".to_owned())])
}

#[tokio::test]
async fn a_customer_lives_and_dies() {
    let mut stripe = Sender::start();
    let address = Address {
        line1: Some("Straße 1 & Co".to_owned()),
        line2: Some("2nd floor".to_owned()),
        country: Some("DE".to_owned()),
        ..Address::default()
    };
    let vat = NewTaxId {
        kind: "eu_vat",
        value: "DE123456789",
    };
    let new = NewCustomer {
        name: Some("Ada"),
        email: Some("ada@example.com"),
        address: Some(&address),
        tax_ids: &[vat],
        metadata: metadata(),
        ..NewCustomer::default()
    };
    let made: Customer = stripe.send(customers::create(&new)).await;
    assert_eq!(made.name.as_deref(), Some("Ada"));
    assert_eq!(made.address, Some(address));
    assert_eq!(made.metadata, metadata());
    let ids: List<TaxId> = stripe
        .send(customers::list_tax_ids(&made.id, Page::largest(None)).unwrap())
        .await;
    assert_eq!(ids.data[0].value.as_deref(), Some("DE123456789"));

    let moved = Address {
        line1: Some("Elsewhere 2".to_owned()),
        country: Some("US".to_owned()),
        ..Address::default()
    };
    let change = CustomerChange {
        name: Change::To("Grace"),
        email: Change::Clear,
        address: Change::To(&moved),
        metadata: Metadata::from([("operation".to_owned(), String::new())]),
        ..CustomerChange::default()
    };
    let changed: Customer = stripe
        .send(customers::update(&made.id, &change).unwrap())
        .await;
    assert_eq!(
        (changed.name.as_deref(), changed.email),
        (Some("Grace"), None)
    );
    let address = changed.address.unwrap();
    assert_eq!(address.line1.as_deref(), Some("Elsewhere 2"));
    // What the new address does not have is gone.
    assert_eq!(address.line2.filter(|line| !line.is_empty()), None);
    assert!(changed.metadata.is_empty());
    let change = CustomerChange {
        address: Change::Clear,
        ..CustomerChange::default()
    };
    let changed: Customer = stripe
        .send(customers::update(&made.id, &change).unwrap())
        .await;
    assert_eq!(changed.address, None);

    let deleted: Deleted = stripe.send(customers::delete(&made.id).unwrap()).await;
    assert!(deleted.deleted);
    let gone: Customer = stripe.send(customers::retrieve(&made.id).unwrap()).await;
    assert!(gone.deleted);
    let error = stripe
        .refused(customers::retrieve("cus_nobody").unwrap())
        .await;
    assert_eq!(error.outcome(), Outcome::Missing);
    stripe.finish();
}

#[tokio::test]
async fn customers_are_found_by_address_and_time() {
    let mut stripe = Sender::start();
    let mut made = Vec::new();
    for email in ["a@example.com", "b@example.com", "a@example.com"] {
        let new = NewCustomer {
            email: Some(email),
            ..NewCustomer::default()
        };
        made.push(stripe.send::<Customer>(customers::create(&new)).await);
    }
    let filter = CustomerFilter {
        email: Some("a@example.com"),
        created: Created::since(made[0].created.unwrap()),
        page: Page {
            limit: Some(1),
            starting_after: None,
        },
    };
    let first: List<Customer> = stripe.send(customers::list(&filter)).await;
    assert_eq!(
        (&first.data, first.has_more),
        (&vec![made[2].clone()], true)
    );
    let filter = CustomerFilter {
        page: Page::largest(Some(&made[2].id)),
        ..filter
    };
    let rest: List<Customer> = stripe.send(customers::list(&filter)).await;
    assert_eq!((&rest.data, rest.has_more), (&vec![made[0].clone()], false));
    let filter = CustomerFilter {
        created: Created {
            from: None,
            before: made[0].created,
        },
        ..CustomerFilter::default()
    };
    let none: List<Customer> = stripe.send(customers::list(&filter)).await;
    assert!(none.data.is_empty());
    stripe.finish();
}

#[tokio::test]
async fn tax_ids_come_and_go() {
    let mut stripe = Sender::start();
    let made: Customer = stripe
        .send(customers::create(&NewCustomer::default()))
        .await;
    let vat = NewTaxId {
        kind: "eu_vat",
        value: "DE123456789",
    };
    let id: TaxId = stripe
        .send(customers::create_tax_id(&made.id, vat).unwrap())
        .await;
    assert_eq!(id.kind.as_deref(), Some("eu_vat"));
    assert!(id.verification.unwrap().status.is_some());
    let deleted: Deleted = stripe
        .send(customers::delete_tax_id(&made.id, &id.id).unwrap())
        .await;
    assert!(deleted.deleted);
    let left: List<TaxId> = stripe
        .send(customers::list_tax_ids(&made.id, Page::default()).unwrap())
        .await;
    assert!(left.data.is_empty());
    stripe.finish();
}

#[tokio::test]
async fn a_payment_method_is_attached_made_the_default_and_detached() {
    let mut stripe = Sender::start();
    let made: Customer = stripe
        .send(customers::create(&NewCustomer::default()))
        .await;
    let card: PaymentMethod = stripe
        .send(payment_methods::attach("pm_card_visa", &made.id).unwrap())
        .await;
    assert_eq!(card.kind, Some(PaymentMethodKind::Card));
    assert_eq!(card.customer.as_ref().unwrap().id(), made.id);
    let shown = card.card.as_ref().unwrap();
    assert_eq!(shown.brand.as_deref(), Some("visa"));
    assert_eq!(shown.last4.as_deref(), Some("4242"));
    assert_eq!(shown.funding, Some(CardFunding::Credit));
    assert!(shown.fingerprint.is_some());

    let change = CustomerChange {
        default_payment_method: Change::To(&card.id),
        ..CustomerChange::default()
    };
    let changed: Customer = stripe
        .send(customers::update(&made.id, &change).unwrap())
        .await;
    let default = changed.invoice_settings.default_payment_method.unwrap();
    assert_eq!(default.id(), card.id);
    let change = CustomerChange {
        default_payment_method: Change::Clear,
        ..CustomerChange::default()
    };
    let changed: Customer = stripe
        .send(customers::update(&made.id, &change).unwrap())
        .await;
    assert_eq!(changed.invoice_settings.default_payment_method, None);

    for list in [
        payment_methods::list(&made.id, Some("card"), Page::default()).unwrap(),
        payment_methods::list_in_account(&made.id, Some("card"), Page::default()),
    ] {
        let listed: List<PaymentMethod> = stripe.send(list).await;
        assert_eq!(listed.data, std::slice::from_ref(&card));
    }
    let read: PaymentMethod = stripe
        .send(payment_methods::retrieve(&card.id).unwrap())
        .await;
    assert_eq!(read, card);
    let detached: PaymentMethod = stripe
        .send(payment_methods::detach(&card.id).unwrap())
        .await;
    assert_eq!(detached.customer, None);
    let error = stripe
        .refused(payment_methods::attach("pm_card_chargeDeclinedLostCard", &made.id).unwrap())
        .await;
    assert_eq!(error.outcome(), Outcome::Declined);
    assert_eq!(error.decline_code(), Some("lost_card"));
    stripe.finish();
}

#[tokio::test]
async fn a_setup_intent_saves_a_card_or_says_why_not() {
    let mut stripe = Sender::start();
    let made: Customer = stripe
        .send(customers::create(&NewCustomer::default()))
        .await;
    let new = |payment_method, confirm| NewSetupIntent {
        customer: &made.id,
        payment_method,
        confirm,
        return_url: confirm.map(|_| "https://portal.example/back"),
        metadata: metadata(),
        ..NewSetupIntent::default()
    };
    let open: SetupIntent = stripe.send(setup_intents::create(&new(None, None))).await;
    assert_eq!(open.status, Some(SetupIntentStatus::RequiresPaymentMethod));
    assert_eq!(open.metadata, metadata());
    let secret = open.client_secret.unwrap();
    assert!(secret.expose_secret().starts_with(&open.id));

    let done = setup_intents::create(&new(Some("pm_card_visa"), Some(true)));
    let done: SetupIntent = stripe.send(done).await;
    assert_eq!(done.status, Some(SetupIntentStatus::Succeeded));
    let read: SetupIntent = stripe
        .send(setup_intents::retrieve(&done.id).unwrap())
        .await;
    let method = read.payment_method.as_ref().unwrap().object().unwrap();
    assert_eq!(method.card.as_ref().unwrap().last4.as_deref(), Some("4242"));
    assert_eq!(read.customer.as_ref().unwrap().id(), made.id);

    let asked = Some("pm_card_authenticationRequiredOnSetup");
    let asked: SetupIntent = stripe
        .send(setup_intents::create(&new(asked, Some(true))))
        .await;
    assert_eq!(asked.status, Some(SetupIntentStatus::RequiresAction));
    assert!(asked.next_action.unwrap().kind.is_some());
    let given_up: SetupIntent = stripe.send(setup_intents::cancel(&open.id).unwrap()).await;
    assert_eq!(given_up.status, Some(SetupIntentStatus::Canceled));

    let declined = new(Some("pm_card_chargeDeclined"), Some(true));
    let error = stripe.refused(setup_intents::create(&declined)).await;
    assert_eq!(error.outcome(), Outcome::Declined);

    let filter = SetupIntentFilter {
        customer: Some(&made.id),
        created: Created::since(done.created.unwrap()),
        page: Page::largest(None),
    };
    let listed: List<SetupIntent> = stripe.send(setup_intents::list(&filter)).await;
    let failed = listed
        .data
        .iter()
        .find_map(|own| own.last_setup_error.clone());
    assert_eq!(failed.unwrap().code.as_deref(), Some("card_declined"));
    assert!(listed.data.iter().any(|own| own.id == done.id));
    stripe.finish();
}
