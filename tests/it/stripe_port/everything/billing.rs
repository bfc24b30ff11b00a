//! Subscriptions, schedules and invoices.

use portal_billing::stripe::catalog::TaxBehavior;
use portal_billing::stripe::invoices::{self, InvoiceFilter, InvoicePaying, Preview};
use portal_billing::stripe::schedules::{
    self, EndBehavior, NewSchedule, Phase, PhaseDate, PhaseItem, ScheduleCancellation,
    ScheduleChange,
};
use portal_billing::stripe::subscriptions::{
    self, BillFor, CancelAt, Cancellation, Cycle, Discount, ItemChange, MissingPaymentMethod,
    NewSubscription, OneTimeCharge, PauseBehavior, PauseCollection, PauseOptions, PaymentBehavior,
    ProrationBehavior, ResumeOptions, SubscriptionChange, SubscriptionFilter, Trial, TrialEnd,
};
use portal_billing::stripe::{Change, InvoiceStatus};

use super::{AT, Built, CREATED, ITEM, PAGE, metadata};

pub(super) const FEE: OneTimeCharge<'static> = OneTimeCharge {
    product: "pb_fee",
    currency: "eur",
    unit_amount: 4_900,
    tax_behavior: Some(TaxBehavior::Exclusive),
};

const CHANGED_ITEM: ItemChange<'static> = ItemChange {
    id: Some("si_1"),
    price: Some("price_2"),
    quantity: Some(2),
    deleted: true,
};

fn new_subscriptions() -> Built {
    let mut all = Vec::new();
    for (trial, missing, payment, proration) in [
        (
            Trial::Days(14),
            MissingPaymentMethod::Cancel,
            PaymentBehavior::AllowIncomplete,
            ProrationBehavior::None,
        ),
        (
            Trial::Until(AT),
            MissingPaymentMethod::Pause,
            PaymentBehavior::DefaultIncomplete,
            ProrationBehavior::AlwaysInvoice,
        ),
        (
            Trial::Until(AT),
            MissingPaymentMethod::CreateInvoice,
            PaymentBehavior::ErrorIfIncomplete,
            ProrationBehavior::CreateProrations,
        ),
    ] {
        let new = NewSubscription {
            customer: "cus_1",
            items: &[ITEM],
            default_payment_method: Some("pm_1"),
            payment_behavior: Some(payment),
            off_session: Some(true),
            trial: Some(trial),
            missing_payment_method: Some(missing),
            save_default_payment_method: Some(true),
            one_time_charges: &[FEE],
            promotion_codes: &["promo_1"],
            description: Some("Gold"),
            billing_cycle_anchor: Some(AT),
            proration_behavior: Some(proration),
            metadata: metadata(),
            expand: &[
                subscriptions::EXPAND_CONFIRMATION_SECRET,
                subscriptions::EXPAND_PENDING_SETUP_INTENT,
            ],
        };
        all.push(("subscriptions::create", Ok(subscriptions::create(&new))));
    }
    all
}

fn changed_subscriptions() -> Built {
    let mut all = Vec::new();
    for (cancel_at, trial_end, behavior, cycle, payment) in [
        (
            CancelAt::At(AT),
            TrialEnd::Now,
            PauseBehavior::KeepAsDraft,
            Cycle::Now,
            PaymentBehavior::PendingIfIncomplete,
        ),
        (
            CancelAt::MinPeriodEnd,
            TrialEnd::At(AT),
            PauseBehavior::MarkUncollectible,
            Cycle::Unchanged,
            PaymentBehavior::AllowIncomplete,
        ),
        (
            CancelAt::MaxPeriodEnd,
            TrialEnd::Now,
            PauseBehavior::Void,
            Cycle::Now,
            PaymentBehavior::ErrorIfIncomplete,
        ),
    ] {
        let change = SubscriptionChange {
            items: &[CHANGED_ITEM],
            proration_behavior: Some(ProrationBehavior::AlwaysInvoice),
            proration_date: Some(AT),
            payment_behavior: Some(payment),
            off_session: Some(false),
            cancel_at_period_end: Some(true),
            cancel_at: Change::To(cancel_at),
            default_payment_method: Change::To("pm_1"),
            trial_end: Some(trial_end),
            pause_collection: Change::To(PauseCollection {
                behavior,
                resumes_at: Some(AT),
            }),
            billing_cycle_anchor: Some(cycle),
            discounts: Change::To(&[
                Discount::PromotionCode("promo_1"),
                Discount::Discount("di_1"),
            ]),
            description: Change::To("Gold"),
            metadata: metadata(),
            expand: &[subscriptions::EXPAND_PAYMENTS],
        };
        all.push((
            "subscriptions::update",
            subscriptions::update("sub_1", &change),
        ));
    }
    let cleared = SubscriptionChange {
        cancel_at: Change::Clear,
        default_payment_method: Change::Clear,
        pause_collection: Change::Clear,
        discounts: Change::Clear,
        description: Change::Clear,
        ..SubscriptionChange::default()
    };
    all.push((
        "subscriptions::update",
        subscriptions::update("sub_1", &cleared),
    ));
    all
}

pub(super) fn of_subscriptions() -> Built {
    let cancellation = Cancellation {
        invoice_now: Some(true),
        prorate: Some(true),
        comment: Some("too dear"),
        expand: &["latest_invoice"],
    };
    let filter = SubscriptionFilter {
        customer: Some("cus_1"),
        price: Some("price_1"),
        created: CREATED,
        page: PAGE,
    };
    let mut all = vec![
        (
            "subscriptions::retrieve",
            subscriptions::retrieve("sub_1", &[subscriptions::EXPAND_PAYMENTS]),
        ),
        ("subscriptions::list", Ok(subscriptions::list(&filter))),
        (
            "subscriptions::cancel",
            subscriptions::cancel("sub_1", &cancellation),
        ),
    ];
    for (from, cycle, proration) in [
        (
            BillFor::ItemCurrentPeriodStart,
            Cycle::Now,
            ProrationBehavior::None,
        ),
        (
            BillFor::Now,
            Cycle::Unchanged,
            ProrationBehavior::AlwaysInvoice,
        ),
        (
            BillFor::None,
            Cycle::Now,
            ProrationBehavior::CreateProrations,
        ),
    ] {
        let pause = PauseOptions {
            unused_time_from: Some(from),
            invoice_outstanding_usage: Some(from == BillFor::Now),
            invoice_now: Some(from == BillFor::Now),
        };
        let resume = ResumeOptions {
            billing_cycle_anchor: Some(cycle),
            proration_behavior: Some(proration),
            proration_date: Some(AT),
            expand: &[subscriptions::EXPAND_CONFIRMATION_SECRET],
        };
        all.push((
            "subscriptions::pause",
            subscriptions::pause("sub_1", &pause),
        ));
        all.push((
            "subscriptions::resume",
            subscriptions::resume("sub_1", &resume),
        ));
    }
    all.extend(new_subscriptions());
    all.extend(changed_subscriptions());
    all
}

pub(super) fn of_schedules() -> Built {
    let new = NewSchedule {
        from_subscription: "sub_1",
    };
    let item = PhaseItem {
        price: "price_1",
        quantity: Some(1),
    };
    let phase = |end_date| Phase {
        items: &[],
        start_date: Some(PhaseDate::At(AT)),
        end_date: Some(end_date),
        proration_behavior: Some(ProrationBehavior::None),
        trial_end: Some(AT),
        default_payment_method: Some("pm_1"),
        discounts: &[Discount::PromotionCode("promo_1")],
        metadata: metadata(),
    };
    let items = [item];
    let change = |end_behavior, phases| ScheduleChange {
        end_behavior: Some(end_behavior),
        phases,
        proration_behavior: Some(ProrationBehavior::None),
        metadata: metadata(),
    };
    let phases = [
        Phase {
            items: &items,
            ..phase(PhaseDate::At(AT))
        },
        Phase {
            items: &items,
            ..phase(PhaseDate::Now)
        },
    ];
    let released = change(EndBehavior::Release, &phases);
    let cancelled = change(EndBehavior::Cancel, &phases);
    let how = ScheduleCancellation {
        invoice_now: Some(true),
        prorate: Some(true),
    };
    vec![
        ("schedules::create", Ok(schedules::create(&new))),
        ("schedules::retrieve", schedules::retrieve("sub_sched_1")),
        (
            "schedules::update",
            schedules::update("sub_sched_1", &released),
        ),
        (
            "schedules::update",
            schedules::update("sub_sched_1", &cancelled),
        ),
        ("schedules::release", schedules::release("sub_sched_1")),
        ("schedules::cancel", schedules::cancel("sub_sched_1", how)),
    ]
}

pub(super) fn of_invoices() -> Built {
    let filter = |status| InvoiceFilter {
        customer: Some("cus_1"),
        subscription: Some("sub_1"),
        status: Some(status),
        created: CREATED,
        page: PAGE,
    };
    let paying = InvoicePaying {
        payment_method: Some("pm_1"),
        off_session: Some(true),
        expand: &[invoices::EXPAND_PAYMENTS],
    };
    let preview = Preview {
        customer: Some("cus_1"),
        subscription: Some("sub_1"),
        currency: Some("eur"),
        items: &[CHANGED_ITEM],
        proration_behavior: Some(ProrationBehavior::AlwaysInvoice),
        proration_date: Some(AT),
        cancel_now: Some(true),
        cancel_at: Some(CancelAt::At(AT)),
        cancel_at_period_end: Some(true),
        trial_end: Some(TrialEnd::Now),
        billing_cycle_anchor: Some(Cycle::Now),
        start_date: Some(AT),
        one_time_charges: &[FEE],
        promotion_codes: Some(&["promo_1"]),
    };
    let other = Preview {
        cancel_at: Some(CancelAt::MaxPeriodEnd),
        trial_end: Some(TrialEnd::At(AT)),
        billing_cycle_anchor: Some(Cycle::Unchanged),
        promotion_codes: Some(&[]),
        ..Preview::default()
    };
    let expand = [
        invoices::EXPAND_PAYMENTS,
        invoices::EXPAND_CONFIRMATION_SECRET,
    ];
    let mut all = vec![
        ("invoices::retrieve", invoices::retrieve("in_1", &expand)),
        ("invoices::pay", invoices::pay("in_1", &paying)),
        ("invoices::void", invoices::void("in_1")),
        (
            "invoices::mark_uncollectible",
            invoices::mark_uncollectible("in_1"),
        ),
        ("invoices::lines", invoices::lines("in_1", PAGE)),
        ("invoices::payments", Ok(invoices::payments("in_1", PAGE))),
        (
            "invoices::create_preview",
            Ok(invoices::create_preview(&preview)),
        ),
        (
            "invoices::create_preview",
            Ok(invoices::create_preview(&other)),
        ),
    ];
    for status in [
        InvoiceStatus::Draft,
        InvoiceStatus::Open,
        InvoiceStatus::Paid,
        InvoiceStatus::Uncollectible,
        InvoiceStatus::Void,
    ] {
        all.push(("invoices::list", Ok(invoices::list(&filter(status)))));
    }
    all
}
