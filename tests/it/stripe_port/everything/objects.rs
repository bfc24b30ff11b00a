//! Everything but subscriptions, schedules and invoices.

use portal_billing::stripe::catalog::{
    self, Interval, NewPrice, NewProduct, PriceChange, PriceFilter, ProductChange, TaxBehavior,
    UnitAmount,
};
use portal_billing::stripe::customers::{
    self, CustomerChange, CustomerFilter, NewCustomer, NewTaxId,
};
use portal_billing::stripe::events::{self, EventFilter};
use portal_billing::stripe::refunds::{
    self, CreditNoteFilter, CreditNoteReason, NewCreditNote, NewRefund, RefundFilter, RefundReason,
    Refunded,
};
use portal_billing::stripe::sessions::{self, CheckoutFilter, CheckoutPurpose, NewCheckoutSession};
use portal_billing::stripe::setup_intents::{self, NewSetupIntent, SetupIntentFilter};
use portal_billing::stripe::subscriptions::{MissingPaymentMethod, Trial};
use portal_billing::stripe::{Address, Change, payment_methods};

use super::{AT, Built, CREATED, ITEM, PAGE, metadata};

pub(super) fn of_customers() -> Built {
    let address = Address {
        line1: Some("Straße 1".to_owned()),
        line2: Some("2nd floor".to_owned()),
        city: Some("Berlin".to_owned()),
        state: Some("BE".to_owned()),
        postal_code: Some("10115".to_owned()),
        country: Some("DE".to_owned()),
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
        payment_method: Some("pm_1"),
        default_payment_method: Some("pm_1"),
    };
    let set = CustomerChange {
        name: Change::To("Ada"),
        email: Change::To("ada@example.com"),
        address: Change::To(&address),
        default_payment_method: Change::To("pm_1"),
        metadata: metadata(),
    };
    let cleared = CustomerChange {
        name: Change::Clear,
        email: Change::Clear,
        address: Change::Clear,
        default_payment_method: Change::Clear,
        metadata: metadata(),
    };
    let filter = CustomerFilter {
        email: Some("ada@example.com"),
        created: CREATED,
        page: PAGE,
    };
    vec![
        ("customers::create", Ok(customers::create(&new))),
        ("customers::update", customers::update("cus_1", &set)),
        ("customers::update", customers::update("cus_1", &cleared)),
        ("customers::delete", customers::delete("cus_1")),
        ("customers::retrieve", customers::retrieve("cus_1")),
        ("customers::list", Ok(customers::list(&filter))),
        (
            "customers::create_tax_id",
            customers::create_tax_id("cus_1", vat),
        ),
        (
            "customers::delete_tax_id",
            customers::delete_tax_id("cus_1", "txi_1"),
        ),
        (
            "customers::list_tax_ids",
            customers::list_tax_ids("cus_1", PAGE),
        ),
    ]
}

pub(super) fn of_payment_methods() -> Built {
    let card = Some("card");
    let new = NewSetupIntent {
        customer: "cus_1",
        payment_method: Some("pm_1"),
        confirm: Some(true),
        return_url: Some("https://portal.example"),
        description: Some("portal demo"),
        metadata: metadata(),
    };
    let filter = SetupIntentFilter {
        customer: Some("cus_1"),
        created: CREATED,
        page: PAGE,
    };
    vec![
        (
            "payment_methods::attach",
            payment_methods::attach("pm_1", "cus_1"),
        ),
        ("payment_methods::detach", payment_methods::detach("pm_1")),
        (
            "payment_methods::retrieve",
            payment_methods::retrieve("pm_1"),
        ),
        (
            "payment_methods::list",
            payment_methods::list("cus_1", card, PAGE),
        ),
        (
            "payment_methods::list_in_account",
            Ok(payment_methods::list_in_account("cus_1", card, PAGE)),
        ),
        ("setup_intents::create", Ok(setup_intents::create(&new))),
        ("setup_intents::retrieve", setup_intents::retrieve("seti_1")),
        ("setup_intents::cancel", setup_intents::cancel("seti_1")),
        ("setup_intents::list", Ok(setup_intents::list(&filter))),
    ]
}

pub(super) fn of_catalog() -> Built {
    let product = NewProduct {
        id: "pb_gold",
        name: "Gold",
        description: Some("All of it"),
        metadata: metadata(),
    };
    let product_change = ProductChange {
        name: Some("Silver"),
        description: Change::Clear,
        active: Some(false),
        metadata: metadata(),
    };
    let price = |unit_amount| NewPrice {
        product: "pb_gold",
        currency: "eur",
        unit_amount,
        recurring: Some((Interval::Month, 1)),
        tax_behavior: Some(TaxBehavior::Inclusive),
        nickname: Some("Gold"),
        lookup_key: Some("gold"),
        metadata: metadata(),
    };
    let price_change = PriceChange {
        active: Some(false),
        nickname: Some("old"),
        metadata: metadata(),
    };
    let filter = PriceFilter {
        active: Some(true),
        product: Some("pb_gold"),
        lookup_keys: &["gold", "silver"],
        created: CREATED,
        page: PAGE,
    };
    let whole = price(UnitAmount::Whole(-1));
    let decimal = price(UnitAmount::Decimal("0.00003"));
    vec![
        ("catalog::create_product", catalog::create_product(&product)),
        (
            "catalog::update_product",
            catalog::update_product("pb_gold", &product_change),
        ),
        (
            "catalog::retrieve_product",
            catalog::retrieve_product("pb_gold"),
        ),
        ("catalog::create_price", Ok(catalog::create_price(&whole))),
        ("catalog::create_price", Ok(catalog::create_price(&decimal))),
        (
            "catalog::update_price",
            catalog::update_price("price_1", &price_change),
        ),
        (
            "catalog::retrieve_price",
            catalog::retrieve_price("price_1"),
        ),
        ("catalog::list_prices", Ok(catalog::list_prices(&filter))),
        (
            "catalog::list_promotion_codes",
            Ok(catalog::list_promotion_codes("SPRING", Some(true), PAGE)),
        ),
    ]
}

pub(super) fn of_refunds() -> Built {
    let mut all = Vec::new();
    for (of, reason) in [
        (
            Refunded::PaymentIntent("pi_1"),
            RefundReason::RequestedByCustomer,
        ),
        (Refunded::Charge("ch_1"), RefundReason::Duplicate),
        (Refunded::Charge("ch_1"), RefundReason::Fraudulent),
    ] {
        let new = NewRefund {
            of,
            amount: Some(500),
            reason: Some(reason),
            metadata: metadata(),
        };
        all.push(("refunds::create_refund", Ok(refunds::create_refund(&new))));
    }
    for reason in [
        CreditNoteReason::Duplicate,
        CreditNoteReason::Fraudulent,
        CreditNoteReason::OrderChange,
        CreditNoteReason::ProductUnsatisfactory,
    ] {
        let new = NewCreditNote {
            invoice: "in_1",
            amount: Some(500),
            refund_amount: Some(300),
            credit_amount: Some(200),
            reason: Some(reason),
            memo: Some("sorry"),
            metadata: metadata(),
        };
        all.push((
            "refunds::create_credit_note",
            Ok(refunds::create_credit_note(&new)),
        ));
    }
    let refund_filter = RefundFilter {
        payment_intent: Some("pi_1"),
        charge: Some("ch_1"),
        created: CREATED,
        page: PAGE,
    };
    let note_filter = CreditNoteFilter {
        customer: Some("cus_1"),
        invoice: Some("in_1"),
        created: CREATED,
        page: PAGE,
    };
    all.push(("refunds::retrieve_refund", refunds::retrieve_refund("re_1")));
    all.push((
        "refunds::list_refunds",
        Ok(refunds::list_refunds(&refund_filter)),
    ));
    all.push((
        "refunds::list_credit_notes",
        Ok(refunds::list_credit_notes(&note_filter)),
    ));
    all
}

pub(super) fn of_sessions_and_events() -> Built {
    let subscribing = |trial, missing| CheckoutPurpose::Subscription {
        items: &[ITEM],
        trial: Some(trial),
        missing_payment_method: Some(missing),
        one_time_charges: &[super::billing::FEE],
        promotion_codes: true,
        metadata: metadata(),
    };
    let mut all = Vec::new();
    for purpose in [
        CheckoutPurpose::Setup {
            currency: "eur",
            metadata: metadata(),
        },
        subscribing(Trial::Days(14), MissingPaymentMethod::Cancel),
        subscribing(Trial::Until(AT), MissingPaymentMethod::Pause),
        subscribing(Trial::Days(1), MissingPaymentMethod::CreateInvoice),
    ] {
        let new = NewCheckoutSession {
            purpose,
            customer: "cus_1",
            success_url: "https://portal.example/ok",
            cancel_url: "https://portal.example/back",
            client_reference_id: Some("org_1"),
            expires_at: Some(AT),
            metadata: metadata(),
        };
        let request = sessions::create_checkout(&new);
        all.push(("sessions::create_checkout", Ok(request)));
    }
    let filter = EventFilter {
        types: &["invoice.paid", "invoice.voided"],
        created: CREATED,
        page: PAGE,
    };
    all.extend([
        (
            "sessions::retrieve_checkout",
            sessions::retrieve_checkout("cs_1"),
        ),
        (
            "sessions::list_checkouts",
            Ok(sessions::list_checkouts(&CheckoutFilter {
                created: CREATED,
                page: PAGE,
            })),
        ),
        (
            "sessions::expire_checkout",
            sessions::expire_checkout("cs_1"),
        ),
        (
            "sessions::create_portal",
            Ok(sessions::create_portal("cus_1", "https://portal.example")),
        ),
        ("events::list", Ok(events::list(&filter))),
        ("events::retrieve", events::retrieve("evt_1")),
    ]);
    all
}
