//! Subscriptions at the simulator: beginning, changing, pausing, ending.

use portal_billing::stripe::customers::{self, NewCustomer};
use portal_billing::stripe::invoices::{self, Preview};
use portal_billing::stripe::subscriptions::{
    self, BillFor, CancelAt, Cancellation, Cycle, Discount, ItemChange, MissingPaymentMethod,
    NewItem, NewSubscription, OneTimeCharge, PauseBehavior, PauseCollection, PauseOptions,
    PaymentBehavior, ProrationBehavior, ResumeOptions, SubscriptionChange, SubscriptionFilter,
    Trial, TrialEnd,
};
use portal_billing::stripe::{
    Change, Created, Customer, Invoice, InvoiceStatus, List, Metadata, Outcome, Page, Subscription,
    SubscriptionStatus,
};
use secrecy::ExposeSecret;

use super::sender::Sender;

fn item(price: &str) -> NewItem<'_> {
    NewItem {
        price,
        quantity: Some(2),
    }
}

fn metadata() -> Metadata {
    Metadata::from([("operation".to_owned(), "oper_1".to_owned())])
}

#[tokio::test]
async fn a_subscription_is_paid_with_its_setup_fee_and_discount() {
    let mut stripe = Sender::start();
    let (customer, method) = stripe.customer_with("pm_card_visa").await;
    let price = stripe.monthly("pb_gold", 1_000).await;
    stripe.monthly("pb_fee", 1).await;
    let coupon = "percent_off=50&duration=forever&applies_to[products][0]=pb_gold";
    let coupon = stripe.post("/v1/coupons", coupon).await;
    let form = format!(
        "promotion[type]=coupon&promotion[coupon]={}&code=HALF",
        coupon["id"].as_str().unwrap()
    );
    let promotion = stripe.post("/v1/promotion_codes", &form).await;
    let fee = OneTimeCharge {
        product: "pb_fee",
        currency: "eur",
        unit_amount: 4_900,
        tax_behavior: None,
    };
    let new = NewSubscription {
        customer: &customer,
        items: &[item(&price)],
        default_payment_method: Some(&method),
        payment_behavior: Some(PaymentBehavior::ErrorIfIncomplete),
        off_session: Some(true),
        one_time_charges: &[fee],
        promotion_codes: &[promotion["id"].as_str().unwrap()],
        metadata: metadata(),
        expand: &[subscriptions::EXPAND_PAYMENTS],
        ..NewSubscription::default()
    };
    let made: Subscription = stripe.send(subscriptions::create(&new)).await;
    assert_eq!(made.status, Some(SubscriptionStatus::Active));
    assert_eq!(made.metadata, metadata());
    assert_eq!(made.currency.as_deref(), Some("eur"));
    assert_eq!(made.default_payment_method.as_ref().unwrap().id(), method);
    assert_eq!(made.discounts.len(), 1);
    let (start, end) = (made.current_period_start(), made.current_period_end());
    let days = end.unwrap().millis_since(start.unwrap()) / 86_400_000;
    assert!((28..=31).contains(&days), "{days}");
    let own = &made.items.data[0];
    assert_eq!(own.price.as_ref().unwrap().id, price);
    assert_eq!(own.quantity, Some(2));
    let invoice = made.latest_invoice.as_ref().unwrap().object().unwrap();
    assert_eq!(invoice.status, Some(InvoiceStatus::Paid));
    assert_eq!(invoice.total, Some(1_000 + 4_900));
    assert_eq!(invoice.amount_paid, invoice.total);
    assert_eq!(invoice.subscription(), Some(made.id.as_str()));
    let payment = &invoice.payments.as_ref().unwrap().data[0];
    assert!(payment.payment.as_ref().unwrap().payment_intent.is_some());
    let with_price = invoice
        .lines
        .data
        .iter()
        .find(|line| line.price() == Some(&price));
    assert_eq!(with_price.unwrap().amount, Some(2_000));
    stripe.finish();
}

#[tokio::test]
async fn a_browser_gets_what_it_needs_to_pay() {
    let mut stripe = Sender::start();
    let customer: Customer = stripe
        .send(customers::create(&NewCustomer::default()))
        .await;
    let price = stripe.monthly("pb_gold", 1_000).await;
    let items = [item(&price)];
    let new = NewSubscription {
        customer: &customer.id,
        items: &items,
        payment_behavior: Some(PaymentBehavior::DefaultIncomplete),
        save_default_payment_method: Some(true),
        expand: &[subscriptions::EXPAND_CONFIRMATION_SECRET],
        ..NewSubscription::default()
    };
    let made: Subscription = stripe.send(subscriptions::create(&new)).await;
    assert_eq!(made.status, Some(SubscriptionStatus::Incomplete));
    let invoice = made.latest_invoice.as_ref().unwrap().object().unwrap();
    assert_eq!(invoice.status, Some(InvoiceStatus::Open));
    let secret = invoice.confirmation_secret.as_ref().unwrap();
    let secret = secret.client_secret.as_ref().unwrap().expose_secret();
    assert!(secret.contains("_secret_"));
    assert!(!format!("{made:?}").contains(secret));

    let trial = NewSubscription {
        trial: Some(Trial::Days(14)),
        missing_payment_method: Some(MissingPaymentMethod::Cancel),
        expand: &[subscriptions::EXPAND_PENDING_SETUP_INTENT],
        ..new
    };
    let made: Subscription = stripe.send(subscriptions::create(&trial)).await;
    assert_eq!(made.status, Some(SubscriptionStatus::Trialing));
    assert!(made.trial_end > made.trial_start);
    let intent = made.pending_setup_intent.as_ref().unwrap();
    assert!(intent.object().unwrap().client_secret.is_some());
    // The trial ends without a payment method.
    stripe.advance_days(15).await;
    let ended: Subscription = stripe
        .send(subscriptions::retrieve(&made.id, &[]).unwrap())
        .await;
    assert_eq!(ended.status, Some(SubscriptionStatus::Canceled));
    assert!(ended.ended_at.is_some());
    stripe.finish();
}

#[tokio::test]
async fn a_refused_first_payment_leaves_nothing_behind() {
    let mut stripe = Sender::start();
    let (customer, _) = stripe.customer_with("pm_card_chargeCustomerFail").await;
    let price = stripe.monthly("pb_gold", 1_000).await;
    let new = NewSubscription {
        customer: &customer,
        items: &[item(&price)],
        payment_behavior: Some(PaymentBehavior::ErrorIfIncomplete),
        ..NewSubscription::default()
    };
    let error = stripe.refused(subscriptions::create(&new)).await;
    assert_eq!(error.outcome(), Outcome::Declined);
    let filter = SubscriptionFilter {
        customer: Some(&customer),
        ..SubscriptionFilter::default()
    };
    let none: List<Subscription> = stripe.send(subscriptions::list(&filter)).await;
    assert!(none.data.is_empty());
    stripe.finish();
}

async fn active(stripe: &mut Sender) -> (Subscription, String, String) {
    let (customer, method) = stripe.customer_with("pm_card_visa").await;
    let price = stripe.monthly("pb_gold", 1_000).await;
    let new = NewSubscription {
        customer: &customer,
        items: &[item(&price)],
        metadata: metadata(),
        ..NewSubscription::default()
    };
    let made: Subscription = stripe.send(subscriptions::create(&new)).await;
    assert_eq!(made.status, Some(SubscriptionStatus::Active));
    (made, customer, method)
}

async fn change(stripe: &mut Sender, id: &str, change: SubscriptionChange<'_>) -> Subscription {
    stripe
        .send(subscriptions::update(id, &change).unwrap())
        .await
}

#[tokio::test]
async fn a_change_costs_what_its_preview_said() {
    let mut stripe = Sender::start();
    let (made, customer, _) = active(&mut stripe).await;
    let dearer = stripe.monthly("pb_platinum", 3_000).await;
    stripe.advance_days(10).await;
    let items = [ItemChange {
        id: Some(&made.items.data[0].id),
        price: Some(&dearer),
        quantity: Some(3),
        deleted: false,
    }];
    let at = made.created.unwrap().plus_millis(10 * 86_400_000);
    let preview = Preview {
        customer: Some(&customer),
        subscription: Some(&made.id),
        items: &items,
        proration_behavior: Some(ProrationBehavior::AlwaysInvoice),
        proration_date: Some(at),
        ..Preview::default()
    };
    let preview: Invoice = stripe.send(invoices::create_preview(&preview)).await;
    assert!(preview.id.starts_with("upcoming_in_"), "{}", preview.id);
    let prorations = preview.lines.data.iter().filter(|line| line.is_proration());
    assert_eq!(prorations.count(), 2);
    let changed = change(
        &mut stripe,
        &made.id,
        SubscriptionChange {
            items: &items,
            proration_behavior: Some(ProrationBehavior::AlwaysInvoice),
            proration_date: Some(at),
            payment_behavior: Some(PaymentBehavior::ErrorIfIncomplete),
            expand: &["latest_invoice"],
            ..SubscriptionChange::default()
        },
    )
    .await;
    let own = &changed.items.data[0];
    assert_eq!(
        (own.id.as_str(), own.quantity),
        (made.items.data[0].id.as_str(), Some(3))
    );
    assert_eq!(own.price.as_ref().unwrap().id, dearer);
    let invoice = changed.latest_invoice.as_ref().unwrap().object().unwrap();
    assert_eq!(invoice.total, preview.total);
    assert!(invoice.total > Some(0));
    stripe.finish();
}

#[tokio::test]
async fn what_is_set_can_be_cleared() {
    let mut stripe = Sender::start();
    let (made, _, method) = active(&mut stripe).await;
    let ends = made.created.unwrap().plus_millis(90 * 86_400_000);
    let coupon = stripe
        .post("/v1/coupons", "percent_off=20&duration=forever")
        .await;
    let form = format!(
        "promotion[type]=coupon&promotion[coupon]={}&code=SPRING",
        coupon["id"].as_str().unwrap()
    );
    let promotion = stripe.post("/v1/promotion_codes", &form).await;
    let discounts = [Discount::PromotionCode(promotion["id"].as_str().unwrap())];
    let set = SubscriptionChange {
        cancel_at: Change::To(CancelAt::At(ends)),
        default_payment_method: Change::To(&method),
        pause_collection: Change::To(PauseCollection {
            behavior: PauseBehavior::KeepAsDraft,
            resumes_at: Some(ends),
        }),
        discounts: Change::To(&discounts),
        description: Change::To("Gold for all"),
        metadata: Metadata::from([("portal".to_owned(), "demo".to_owned())]),
        ..SubscriptionChange::default()
    };
    let changed = change(&mut stripe, &made.id, set).await;
    assert_eq!(changed.cancel_at.unwrap().as_seconds(), ends.as_seconds());
    assert_eq!(
        changed.default_payment_method.as_ref().unwrap().id(),
        method
    );
    let pause = changed.pause_collection.as_ref().unwrap();
    assert_eq!(pause.behavior.as_deref(), Some("keep_as_draft"));
    assert_eq!(pause.resumes_at.unwrap().as_seconds(), ends.as_seconds());
    assert_eq!(changed.discounts.len(), 1);
    assert_eq!(changed.metadata.len(), 2);
    let cleared = SubscriptionChange {
        cancel_at: Change::Clear,
        default_payment_method: Change::Clear,
        pause_collection: Change::Clear,
        discounts: Change::Clear,
        description: Change::Clear,
        metadata: Metadata::from([("portal".to_owned(), String::new())]),
        ..SubscriptionChange::default()
    };
    let changed = change(&mut stripe, &made.id, cleared).await;
    assert_eq!(changed.cancel_at, None);
    assert!(changed.default_payment_method.is_none());
    assert_eq!(changed.pause_collection, None);
    assert!(changed.discounts.is_empty());
    assert_eq!(changed.metadata, metadata());
    stripe.finish();
}

#[tokio::test]
async fn a_subscription_ends_with_its_period_unless_that_is_undone() {
    let mut stripe = Sender::start();
    let (made, ..) = active(&mut stripe).await;
    let with_period = |ends| SubscriptionChange {
        cancel_at_period_end: Some(ends),
        ..SubscriptionChange::default()
    };
    let ending = change(&mut stripe, &made.id, with_period(true)).await;
    assert!(ending.cancel_at_period_end);
    assert_eq!(ending.cancel_at, made.current_period_end());
    let reason = ending.cancellation_details.reason;
    assert_eq!(reason.as_deref(), Some("cancellation_requested"));
    let going_on = change(&mut stripe, &made.id, with_period(false)).await;
    assert!(!going_on.cancel_at_period_end);
    assert_eq!(going_on.cancel_at, None);
    change(&mut stripe, &made.id, with_period(true)).await;
    stripe.advance_days(32).await;
    let ended: Subscription = stripe
        .send(subscriptions::retrieve(&made.id, &[]).unwrap())
        .await;
    assert_eq!(ended.status, Some(SubscriptionStatus::Canceled));
    assert_eq!(ended.ended_at, made.current_period_end());
    stripe.finish();
}

#[tokio::test]
async fn a_subscription_pauses_and_goes_on() {
    let mut stripe = Sender::start();
    let (made, ..) = active(&mut stripe).await;
    let how = PauseOptions {
        unused_time_from: Some(BillFor::Now),
        invoice_outstanding_usage: Some(false),
        invoice_now: Some(false),
    };
    let paused: Subscription = stripe
        .send(subscriptions::pause(&made.id, &how).unwrap())
        .await;
    assert_eq!(paused.status, Some(SubscriptionStatus::Paused));
    stripe.advance_days(40).await;
    let how = ResumeOptions {
        billing_cycle_anchor: Some(Cycle::Now),
        proration_behavior: Some(ProrationBehavior::None),
        ..ResumeOptions::default()
    };
    let resumed: Subscription = stripe
        .send(subscriptions::resume(&made.id, &how).unwrap())
        .await;
    assert_eq!(resumed.status, Some(SubscriptionStatus::Active));
    assert!(resumed.current_period_start() > made.current_period_end());
    let error = stripe
        .refused(subscriptions::resume(&made.id, &how).unwrap())
        .await;
    assert_eq!(error.outcome(), Outcome::Rejected);
    stripe.finish();
}

#[tokio::test]
async fn a_trial_ends_when_it_is_told_to() {
    let mut stripe = Sender::start();
    let (customer, _) = stripe.customer_with("pm_card_visa").await;
    let price = stripe.monthly("pb_gold", 1_000).await;
    let new = NewSubscription {
        customer: &customer,
        items: &[item(&price)],
        trial: Some(Trial::Days(30)),
        ..NewSubscription::default()
    };
    let made: Subscription = stripe.send(subscriptions::create(&new)).await;
    assert_eq!(made.status, Some(SubscriptionStatus::Trialing));
    let now = SubscriptionChange {
        trial_end: Some(TrialEnd::Now),
        expand: &["latest_invoice"],
        ..SubscriptionChange::default()
    };
    let paid = change(&mut stripe, &made.id, now).await;
    assert_eq!(paid.status, Some(SubscriptionStatus::Active));
    let invoice = paid.latest_invoice.as_ref().unwrap().object().unwrap();
    assert_eq!(invoice.amount_paid, Some(2_000));
    stripe.finish();
}

#[tokio::test]
async fn an_ended_subscription_is_still_listed() {
    let mut stripe = Sender::start();
    let (made, customer, _) = active(&mut stripe).await;
    stripe.advance_days(10).await;
    let cancellation = Cancellation {
        invoice_now: Some(true),
        prorate: Some(true),
        comment: Some("too dear"),
        expand: &["latest_invoice"],
    };
    let ended: Subscription = stripe
        .send(subscriptions::cancel(&made.id, &cancellation).unwrap())
        .await;
    assert_eq!(ended.status, Some(SubscriptionStatus::Canceled));
    assert!(ended.canceled_at.is_some() && ended.ended_at.is_some());
    let credited = invoices::list(&invoices::InvoiceFilter {
        subscription: Some(&made.id),
        ..Default::default()
    });
    let credited: List<Invoice> = stripe.send(credited).await;
    assert!(credited.data.iter().any(|invoice| invoice.total < Some(0)));
    for filter in [
        SubscriptionFilter {
            customer: Some(&customer),
            ..SubscriptionFilter::default()
        },
        SubscriptionFilter {
            created: Created::since(made.created.unwrap()),
            page: Page::largest(None),
            ..SubscriptionFilter::default()
        },
    ] {
        let listed: List<Subscription> = stripe.send(subscriptions::list(&filter)).await;
        let listed: Vec<_> = listed.data.iter().map(|own| own.id.as_str()).collect();
        assert_eq!(listed, [made.id.as_str()]);
    }
    let error = stripe
        .refused(subscriptions::cancel(&made.id, &cancellation).unwrap())
        .await;
    assert_eq!(error.outcome(), Outcome::Missing);
    stripe.finish();
}
