use super::*;
use crate::stripe::catalog::TaxBehavior;
use crate::stripe::wire::Change;

const LATER: Timestamp = Timestamp::from_seconds(1_900_000_000);

fn metadata() -> Metadata {
    Metadata::from([("operation".to_owned(), "oper_1".to_owned())])
}

#[test]
fn a_subscription_is_created_with_all_it_may_have() {
    let fee = OneTimeCharge {
        product: "pb_fee",
        currency: "eur",
        unit_amount: 4_900,
        tax_behavior: Some(TaxBehavior::Exclusive),
    };
    let items = [
        NewItem {
            price: "price_1",
            quantity: Some(3),
        },
        NewItem {
            price: "price_2",
            quantity: None,
        },
    ];
    let request = create(&NewSubscription {
        customer: "cus_1",
        items: &items,
        default_payment_method: Some("pm_1"),
        payment_behavior: Some(PaymentBehavior::DefaultIncomplete),
        off_session: Some(false),
        trial: Some(Trial::Days(14)),
        missing_payment_method: Some(MissingPaymentMethod::Cancel),
        save_default_payment_method: Some(true),
        one_time_charges: &[fee],
        promotion_codes: &["promo_1"],
        description: Some("Gold"),
        billing_cycle_anchor: Some(LATER),
        proration_behavior: Some(ProrationBehavior::None),
        metadata: metadata(),
        expand: &[EXPAND_CONFIRMATION_SECRET, EXPAND_PENDING_SETUP_INTENT],
    });
    assert_eq!(
        request.shown(),
        [
            "POST /v1/subscriptions",
            "add_invoice_items[0][price_data][currency]=eur",
            "add_invoice_items[0][price_data][product]=pb_fee",
            "add_invoice_items[0][price_data][tax_behavior]=exclusive",
            "add_invoice_items[0][price_data][unit_amount]=4900",
            "billing_cycle_anchor=1900000000",
            "customer=cus_1",
            "default_payment_method=pm_1",
            "description=Gold",
            "discounts[0][promotion_code]=promo_1",
            "expand[0]=latest_invoice.confirmation_secret",
            "expand[1]=pending_setup_intent",
            "items[0][price]=price_1",
            "items[0][quantity]=3",
            "items[1][price]=price_2",
            "metadata[operation]=oper_1",
            "off_session=false",
            "payment_behavior=default_incomplete",
            "payment_settings[save_default_payment_method]=on_subscription",
            "proration_behavior=none",
            "trial_period_days=14",
            "trial_settings[end_behavior][missing_payment_method]=cancel",
        ]
    );
}

#[test]
fn a_subscription_is_created_with_as_little_as_can_be() {
    let item = NewItem {
        price: "price_1",
        quantity: None,
    };
    let little = NewSubscription {
        customer: "cus_1",
        items: &[item],
        trial: Some(Trial::Until(LATER)),
        save_default_payment_method: Some(false),
        ..NewSubscription::default()
    };
    assert_eq!(
        create(&little).shown(),
        [
            "POST /v1/subscriptions",
            "customer=cus_1",
            "items[0][price]=price_1",
            "payment_settings[save_default_payment_method]=off",
            "trial_end=1900000000",
        ]
    );
}

#[test]
fn a_change_says_what_changes() {
    let items = [
        ItemChange {
            id: Some("si_1"),
            price: Some("price_2"),
            quantity: Some(2),
            deleted: false,
        },
        ItemChange {
            id: Some("si_2"),
            deleted: true,
            ..ItemChange::default()
        },
    ];
    let change = SubscriptionChange {
        items: &items,
        proration_behavior: Some(ProrationBehavior::AlwaysInvoice),
        proration_date: Some(LATER),
        payment_behavior: Some(PaymentBehavior::ErrorIfIncomplete),
        off_session: Some(true),
        cancel_at_period_end: Some(false),
        cancel_at: Change::To(CancelAt::At(LATER)),
        default_payment_method: Change::To("pm_1"),
        trial_end: Some(TrialEnd::Now),
        pause_collection: Change::To(PauseCollection {
            behavior: PauseBehavior::KeepAsDraft,
            resumes_at: Some(LATER),
        }),
        billing_cycle_anchor: Some(Cycle::Now),
        discounts: Change::To(&[
            Discount::PromotionCode("promo_1"),
            Discount::Discount("di_1"),
        ]),
        description: Change::To("Gold"),
        metadata: metadata(),
        expand: &[EXPAND_PAYMENTS],
    };
    assert_eq!(
        update("sub_1", &change).unwrap().shown(),
        [
            "POST /v1/subscriptions/sub_1",
            "billing_cycle_anchor[type]=now",
            "cancel_at=1900000000",
            "cancel_at_period_end=false",
            "default_payment_method=pm_1",
            "description=Gold",
            "discounts[0][promotion_code]=promo_1",
            "discounts[1][discount]=di_1",
            "expand[0]=latest_invoice.payments",
            "items[0][id]=si_1",
            "items[0][price]=price_2",
            "items[0][quantity]=2",
            "items[1][deleted]=true",
            "items[1][id]=si_2",
            "metadata[operation]=oper_1",
            "off_session=true",
            "pause_collection[behavior]=keep_as_draft",
            "pause_collection[resumes_at]=1900000000",
            "payment_behavior=error_if_incomplete",
            "proration_behavior=always_invoice",
            "proration_date=1900000000",
            "trial_end=now",
        ]
    );
}

#[test]
fn a_change_clears_what_is_to_be_cleared_and_keeps_the_rest() {
    let cleared = SubscriptionChange {
        cancel_at: Change::Clear,
        default_payment_method: Change::Clear,
        pause_collection: Change::Clear,
        discounts: Change::Clear,
        description: Change::Clear,
        ..SubscriptionChange::default()
    };
    assert_eq!(
        update("sub_1", &cleared).unwrap().shown(),
        [
            "POST /v1/subscriptions/sub_1",
            "cancel_at=",
            "default_payment_method=",
            "description=",
            "discounts=",
            "pause_collection=",
        ]
    );
    let ends = |cancel_at| {
        let change = SubscriptionChange {
            cancel_at: Change::To(cancel_at),
            trial_end: Some(TrialEnd::At(LATER)),
            ..SubscriptionChange::default()
        };
        update("sub_1", &change).unwrap().shown()
    };
    assert_eq!(
        ends(CancelAt::MinPeriodEnd)[1..],
        ["cancel_at=min_period_end", "trial_end=1900000000"]
    );
    assert_eq!(
        ends(CancelAt::MaxPeriodEnd)[1..],
        ["cancel_at=max_period_end", "trial_end=1900000000"]
    );
    let emptied = SubscriptionChange {
        discounts: Change::To(&[]),
        ..SubscriptionChange::default()
    };
    assert_eq!(
        update("sub_1", &emptied).unwrap().shown(),
        ["POST /v1/subscriptions/sub_1", "discounts="]
    );
    let none = SubscriptionChange::default();
    assert_eq!(
        update("sub_1", &none).unwrap().shown(),
        ["POST /v1/subscriptions/sub_1"]
    );
}

#[test]
fn a_subscription_ends_pauses_and_goes_on() {
    let cancellation = Cancellation {
        invoice_now: Some(true),
        prorate: Some(false),
        comment: Some("too dear"),
        expand: &["latest_invoice"],
    };
    assert_eq!(
        cancel("sub_1", &cancellation).unwrap().shown(),
        [
            "DELETE /v1/subscriptions/sub_1",
            "cancellation_details[comment]=too dear",
            "expand[0]=latest_invoice",
            "invoice_now=true",
            "prorate=false",
        ]
    );
    let how = ResumeOptions {
        billing_cycle_anchor: Some(Cycle::Unchanged),
        proration_behavior: Some(ProrationBehavior::CreateProrations),
        proration_date: Some(LATER),
        expand: &[EXPAND_PAYMENTS],
    };
    assert_eq!(
        resume("sub_1", &how).unwrap().shown(),
        [
            "POST /v1/subscriptions/sub_1/resume",
            "billing_cycle_anchor[type]=unchanged",
            "expand[0]=latest_invoice.payments",
            "proration_behavior=create_prorations",
            "proration_date=1900000000",
        ]
    );
    let how = PauseOptions {
        unused_time_from: Some(BillFor::Now),
        invoice_outstanding_usage: Some(false),
        invoice_now: Some(true),
    };
    assert_eq!(
        pause("sub_1", &how).unwrap().shown(),
        [
            "POST /v1/subscriptions/sub_1/pause",
            "bill_for[outstanding_usage_through][type]=none",
            "bill_for[unused_time_from][type]=now",
            "invoicing_behavior=invoice",
            "type=subscription",
        ]
    );
    let plain = PauseOptions {
        invoice_now: Some(false),
        ..PauseOptions::default()
    };
    assert_eq!(
        pause("sub_1", &plain).unwrap().shown(),
        [
            "POST /v1/subscriptions/sub_1/pause",
            "invoicing_behavior=pending_invoice_item",
            "type=subscription",
        ]
    );
    assert!(cancel("sub_1/discount", &cancellation).is_err());
}

#[test]
fn subscriptions_are_read_and_listed_with_the_ended_ones() {
    assert_eq!(
        retrieve("sub_1", &[EXPAND_CONFIRMATION_SECRET])
            .unwrap()
            .shown(),
        [
            "GET /v1/subscriptions/sub_1",
            "expand[0]=latest_invoice.confirmation_secret",
        ]
    );
    let filter = SubscriptionFilter {
        customer: Some("cus_1"),
        price: Some("price_1"),
        created: Created::since(LATER),
        page: Page::largest(Some("sub_9")),
    };
    assert_eq!(
        list(&filter).shown(),
        [
            "GET /v1/subscriptions",
            "created[gte]=1900000000",
            "customer=cus_1",
            "limit=100",
            "price=price_1",
            "starting_after=sub_9",
            "status=all",
        ]
    );
    assert_eq!(
        list(&SubscriptionFilter::default()).shown(),
        ["GET /v1/subscriptions", "status=all"]
    );
}

#[test]
fn a_subscription_is_read_however_little_there_is() {
    let bare: Subscription = serde_json::from_str(
        r#"{"id":"sub_1","status":"hibernating","items":null,"metadata":null,
            "cancellation_details":null,"customer":{"id":"cus_1","deleted":true}}"#,
    )
    .unwrap();
    assert_eq!(
        bare.status.as_ref().map(SubscriptionStatus::as_str),
        Some("hibernating")
    );
    assert_eq!(bare.current_period_end(), None);
    assert_eq!(bare.customer.unwrap().id(), "cus_1");
}
