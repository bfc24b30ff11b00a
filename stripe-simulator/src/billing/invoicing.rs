//! An invoice's life: draft → open → paid, void or uncollectible.

use serde_json::{Value, json};

use super::catalog::BalanceKind;
use super::invoice_model::{
    CustomerSnapshot, Invoice, InvoiceItem, InvoicePayment, InvoiceStatus, Totals, Transitions,
};
use super::model::{CollectionMethod, Subscription};
use super::{catalog, collect, discounts, dunning, lifecycle, lines, payer, totals, usage};
use crate::account::Account;
use crate::clock::DAY;
use crate::currency::Currency;
use crate::engine::currency as engine_currency;
use crate::engine::period::Period;
use crate::params::Metadata;
use crate::resources::customers::Shipping;
use crate::resources::shared::Address;

/// A draft for a customer, without lines.
pub(crate) fn blank(
    account: &mut Account,
    customer: &str,
    currency: Currency,
    reason: &'static str,
) -> Invoice {
    let now = account.now();
    let test_clock = account
        .customers
        .get(customer)
        .and_then(|own| own.test_clock.clone());
    Invoice {
        id: account.ids.long("in_"),
        customer: customer.to_owned(),
        created: now,
        currency,
        status: InvoiceStatus::Draft,
        billing_reason: reason,
        collection_method: CollectionMethod::ChargeAutomatically,
        lines: Vec::new(),
        totals: Totals::default(),
        subscription: None,
        subscription_metadata: Metadata::new(),
        proration_date: None,
        number: None,
        period: Period {
            start: now,
            end: now,
        },
        due_date: None,
        days_until_due: None,
        auto_advance: true,
        automatically_finalizes_at: None,
        effective_at: None,
        attempt_count: 0,
        attempted: false,
        next_payment_attempt: None,
        starting_balance: 0,
        ending_balance: None,
        amount_due: 0,
        amount_paid: 0,
        amount_overpaid: 0,
        amount_paid_off_stripe: 0,
        pre_payment_credit_notes: 0,
        post_payment_credit_notes: 0,
        automatic_tax: false,
        default_payment_method: None,
        default_source: None,
        default_tax_rates: Vec::new(),
        discounts: Vec::new(),
        description: None,
        footer: None,
        statement_descriptor: None,
        custom_fields: Value::Null,
        account_tax_ids: Value::Null,
        rendering: Value::Null,
        shipping_details: Value::Null,
        payment_settings: json!({
            "default_mandate": null, "payment_method_options": null, "payment_method_types": null,
        }),
        metadata: Metadata::new(),
        snapshot: snapshot(account, customer),
        transitions: Transitions::default(),
        uncollectible_reason: None,
        payment_intent: None,
        revises: None,
        latest_revision: None,
        receipt_number: None,
        last_finalization_error: Value::Null,
        test_clock,
        livemode: account.livemode,
        deleted: false,
    }
}

/// A draft for a subscription, with the settings it hands down, without lines.
pub(crate) fn blank_for(
    account: &mut Account,
    subscription: &Subscription,
    reason: &'static str,
) -> Invoice {
    let mut invoice = blank(
        account,
        &subscription.customer,
        subscription.currency,
        reason,
    );
    let setting = |name: &str| {
        subscription
            .invoice_settings
            .get(name)
            .cloned()
            .unwrap_or_default()
    };
    invoice.subscription = Some(subscription.id.clone());
    invoice.subscription_metadata = subscription.metadata.clone();
    invoice.collection_method = subscription.collection_method;
    invoice.days_until_due = subscription.days_until_due;
    invoice
        .default_tax_rates
        .clone_from(&subscription.default_tax_rates);
    invoice.automatic_tax = subscription.automatic_tax;
    invoice.description.clone_from(&subscription.description);
    invoice.footer = setting("footer").as_str().map(str::to_owned);
    invoice.custom_fields = setting("custom_fields");
    invoice.account_tax_ids = setting("account_tax_ids");
    invoice.payment_settings = json!({
        "default_mandate": null,
        "payment_method_options": subscription.payment_settings.get("payment_method_options"),
        "payment_method_types": subscription.payment_settings.get("payment_method_types"),
    });
    invoice
}

fn snapshot(account: &Account, customer: &str) -> CustomerSnapshot {
    let Some(customer) = account.customers.get(customer) else {
        return CustomerSnapshot::default();
    };
    CustomerSnapshot {
        address: customer
            .address
            .as_ref()
            .map_or(Value::Null, Address::render),
        email: customer.email.clone(),
        name: customer.name.clone(),
        phone: customer.phone.clone(),
        shipping: customer
            .shipping
            .as_ref()
            .map_or(Value::Null, Shipping::render),
        tax_exempt: Some(customer.tax_exempt.name().to_owned()),
        tax_ids: catalog::tax_ids(account, &customer.id),
    }
}

/// Puts the customer's pending items for this subscription (or for none) on a draft, before what is on
/// it already: Stripe shows them first, the latest change at the top.
pub(crate) fn take_pending(account: &mut Account, invoice: &mut Invoice) {
    let own = std::mem::take(&mut invoice.lines);
    for id in pending_for(account, invoice) {
        take_item(account, invoice, &id);
    }
    invoice.lines.extend(own);
}

/// The pending items that this invoice would take: the latest first, those of one change in their order.
fn pending_for(account: &Account, invoice: &Invoice) -> Vec<String> {
    let items = account
        .billing
        .invoice_items
        .by_key("pending", &invoice.customer)
        .rev();
    let fits = |item: &&InvoiceItem| {
        item.currency == invoice.currency
            && (item.subscription.is_none() || item.subscription == invoice.subscription)
    };
    let mut fitting: Vec<&InvoiceItem> = items.filter(fits).collect();
    fitting.sort_by_key(|item| std::cmp::Reverse(item.date));
    fitting.into_iter().map(|item| item.id.clone()).collect()
}

/// Puts one pending item on a draft.
pub(crate) fn take_item(account: &mut Account, invoice: &mut Invoice, item: &str) {
    let line_id = account.ids.long("il_");
    if let Some(mut item) = account.billing.invoice_items.get_mut(item) {
        item.invoice = Some(invoice.id.clone());
        invoice.lines.push(item.line(line_id));
    }
}

/// Stores a draft with its sums reckoned and records `invoice.created`.
pub(crate) fn store_draft(account: &mut Account, mut invoice: Invoice) -> String {
    totals::reckon(account, &mut invoice);
    let id = invoice.id.clone();
    let balance = customer_balance(account, &invoice.customer);
    invoice.starting_balance = balance;
    let subscription = invoice.subscription.clone();
    discounts::spend_of_customer(account, &invoice);
    account.billing.invoices.insert(invoice);
    if let Some(mut subscription) =
        subscription.and_then(|own| account.billing.subscriptions.get_mut(&own))
    {
        subscription.latest_invoice = Some(id.clone());
    }
    account.emit_invoice(&id, "invoice.created");
    id
}

pub(crate) fn customer_balance(account: &Account, customer: &str) -> i64 {
    account.customers.get(customer).map_or(0, |own| own.balance)
}

/// Leaves a draft to be finalized by itself an hour later (Stripe docs, "Invoice automatic
/// advancement").
pub(crate) fn plan_finalization(account: &mut Account, id: &str, at: i64) {
    account.change_invoice(id, |own| own.automatically_finalizes_at = Some(at));
    account.schedule(at, "invoice.finalize", finalize_by_itself, id);
}

fn finalize_by_itself(account: &mut Account, id: &str) {
    let now = account.now();
    let wanted = account.billing.invoices.get(id).is_some_and(|own| {
        own.status == InvoiceStatus::Draft
            && own.auto_advance
            && !own.deleted
            && own.automatically_finalizes_at.is_some_and(|at| at <= now)
    });
    if wanted {
        finalize(account, id);
        collect::automatic_attempt(account, id);
    }
}

/// Finalizes a draft: number, customer balance, due date, and the `PaymentIntent` if there is
/// something to pay. What comes to nothing is paid at once.
pub(crate) fn finalize(account: &mut Account, id: &str) {
    let Some(mut invoice) = account.billing.invoices.get(id).cloned() else {
        return;
    };
    if invoice.status != InvoiceStatus::Draft {
        return;
    }
    let now = account.now();
    lines::refresh_metered(account, &mut invoice);
    usage::apply_credit_grants(account, &mut invoice, true);
    totals::reckon(account, &mut invoice);
    invoice.snapshot = snapshot(account, &invoice.customer);
    invoice.status = InvoiceStatus::Open;
    invoice.transitions.finalized_at = Some(now);
    invoice.effective_at = invoice.effective_at.or(Some(now));
    invoice.automatically_finalizes_at = None;
    if invoice.number.is_none() {
        invoice.number = Some(next_number(account, &invoice.customer));
    }
    apply_balance(account, &mut invoice);
    if invoice.collection_method == CollectionMethod::SendInvoice && invoice.due_date.is_none() {
        let days = invoice.days_until_due.unwrap_or(30);
        invoice.due_date = Some(now.saturating_add(days.saturating_mul(DAY)));
    }
    let due = invoice.due_date;
    let nothing_due = invoice.amount_due == 0;
    let prepaid = invoice.payment_intent.is_some();
    account.billing.invoices.insert(invoice);
    set_customer_currency(account, id);
    if nothing_due {
        account.emit_invoice(id, "invoice.finalized");
        settle(account, id, false);
        return;
    }
    if !prepaid {
        open_intent_of(account, id);
    }
    record_payment(account, id);
    account.emit_invoice(id, "invoice.finalized");
    if let Some(due) = due {
        dunning::plan_due_date(account, id, due);
    }
}

fn set_customer_currency(account: &mut Account, id: &str) {
    let Some(invoice) = account.billing.invoices.get(id) else {
        return;
    };
    let (customer, currency) = (invoice.customer.clone(), invoice.currency);
    if let Some(mut customer) = account.customers.get_mut(&customer) {
        customer.currency = customer.currency.or(Some(currency));
    }
}

/// Makes the intent of a stored invoice.
fn open_intent_of(account: &mut Account, id: &str) {
    let Some(mut invoice) = account.billing.invoices.get(id).cloned() else {
        return;
    };
    open_intent(account, &mut invoice);
    account.change_invoice(id, |own| own.payment_intent = invoice.payment_intent);
}

/// Makes the intent of an invoice, stored or not.
pub(crate) fn open_intent(account: &mut Account, invoice: &mut Invoice) {
    let method = payer::method_for(account, invoice);
    invoice.payment_intent = Some(payer::open(account, invoice, method.as_deref()));
}

/// Cancels the intent of an invoice that was never stored.
pub(crate) fn abandon_intent(account: &mut Account, invoice: &Invoice) {
    account.abandon_collection(&invoice.id, "void_invoice");
}

/// What an invoice will ask for once it is finalized, in minor units; changes nothing.
pub(crate) fn amount_to_charge(account: &mut Account, invoice: &Invoice) -> i64 {
    let mut trial = invoice.clone();
    take_pending_copy(account, &mut trial);
    usage::apply_credit_grants(account, &mut trial, false);
    totals::reckon(account, &mut trial);
    balance_split(account, &trial).0
}

/// As [`take_pending`], leaving the items where they are: for sums that are only looked at.
pub(crate) fn take_pending_copy(account: &mut Account, invoice: &mut Invoice) {
    let own = std::mem::take(&mut invoice.lines);
    for id in pending_for(account, invoice) {
        let line_id = account.ids.long("il_");
        let line = account
            .billing
            .invoice_items
            .get(&id)
            .map(|item| item.line(line_id));
        invoice.lines.extend(line);
    }
    invoice.lines.extend(own);
}

/// Records the open `invoice_payment` of a finalized invoice.
fn record_payment(account: &mut Account, id: &str) {
    let Some(invoice) = account.billing.invoices.get(id).cloned() else {
        return;
    };
    let payment = InvoicePayment {
        id: account.ids.long("inpay_"),
        invoice: id.to_owned(),
        created: account.now(),
        currency: invoice.currency,
        amount_requested: invoice.amount_remaining(),
        amount_paid: None,
        status: "open",
        payment_intent: invoice.payment_intent.clone(),
        paid_at: None,
        canceled_at: None,
        livemode: invoice.livemode,
    };
    account.billing.invoice_payments.insert(payment);
}

fn next_number(account: &mut Account, customer: &str) -> String {
    let Some(mut customer) = account.customers.get_mut(customer) else {
        return String::new();
    };
    let number = customer.next_invoice_sequence;
    customer.next_invoice_sequence += 1;
    format!("{}-{number:04}", customer.invoice_prefix)
}

/// Applies the customer's balance, a credit or a debt, and what is too little to charge
/// (Stripe docs, "Customer credit balance" and "Minimum charge amounts").
fn apply_balance(account: &mut Account, invoice: &mut Invoice) {
    let start = customer_balance(account, &invoice.customer);
    let (due, end, kind) = balance_split(account, invoice);
    invoice.starting_balance = start;
    invoice.amount_due = due;
    invoice.ending_balance = Some(end);
    let change = end.saturating_sub(start);
    if change != 0 {
        catalog::adjust_balance(account, invoice, change, kind);
    }
}

/// What an invoice asks for after the customer's balance, and the balance that remains.
pub(crate) fn due_after_balance(account: &Account, invoice: &Invoice) -> (i64, i64) {
    let (due, end, _) = balance_split(account, invoice);
    (due, end)
}

/// What is asked for, the balance that remains, and the word for its change.
fn balance_split(account: &Account, invoice: &Invoice) -> (i64, i64, BalanceKind) {
    let start = customer_balance(account, &invoice.customer);
    let owed = invoice.totals.total.saturating_add(start);
    let charged = invoice.collection_method == CollectionMethod::ChargeAutomatically;
    let minimum = engine_currency::minimum_charge(invoice.currency.code());
    if owed > 0 && charged && owed < minimum {
        (0, owed, BalanceKind::TooSmall)
    } else if owed <= 0 {
        (0, owed, BalanceKind::Applied)
    } else {
        (owed, 0, BalanceKind::Applied)
    }
}

/// The invoice is paid: by its intent, out of band, or because nothing is due.
pub(crate) fn settle(account: &mut Account, id: &str, out_of_band: bool) {
    let now = account.now();
    let open = account.billing.invoices.get(id).is_some_and(|own| {
        matches!(
            own.status,
            InvoiceStatus::Open | InvoiceStatus::Uncollectible
        )
    });
    if !open {
        return;
    }
    let before = account.render_invoice(id).unwrap_or_default();
    account.change_invoice(id, |own| {
        let remaining = own.amount_remaining();
        own.status = InvoiceStatus::Paid;
        own.attempted = true;
        own.next_payment_attempt = None;
        own.uncollectible_reason = None;
        own.transitions.paid_at = Some(now);
        own.amount_paid = own.amount_paid.saturating_add(remaining);
        if out_of_band {
            own.amount_paid_off_stripe = own.amount_paid_off_stripe.saturating_add(remaining);
        }
    });
    close_payments(account, id, out_of_band);
    if let Some(after) = account.render_invoice(id) {
        account.emit_updated("invoice.updated", &before, &after);
    }
    collect::set_delinquent(account, id, false);
    account.emit_invoice(id, "invoice.paid");
    // Stripe: `invoice.paid` also tells of payments out of band, the other of attempts alone.
    if !out_of_band {
        account.emit_invoice(id, "invoice.payment_succeeded");
    }
    lifecycle::invoice_paid(account, id);
}

/// Marks the invoice's open payments paid, or canceled when the money came another way.
fn close_payments(account: &mut Account, id: &str, cancel: bool) {
    let now = account.now();
    for payment in account.billing.invoice_payments.ids_by_key("invoice", id) {
        let mut closed = None;
        if let Some(mut own) = account.billing.invoice_payments.get_mut(&payment)
            && own.status == "open"
        {
            if cancel {
                own.status = "canceled";
                own.canceled_at = Some(now);
            } else {
                own.status = "paid";
                own.amount_paid = Some(own.amount_requested);
                own.paid_at = Some(now);
                closed = Some(super::render::invoice_payment(&own));
            }
        }
        if let Some(object) = closed {
            account.emit("invoice_payment.paid", &object);
        }
    }
    if cancel {
        account.abandon_collection(id, "void_invoice");
    }
}

/// Voids an open or uncollectible invoice and cancels its intent.
pub(crate) fn void(account: &mut Account, id: &str) {
    let now = account.now();
    account.change_invoice(id, |own| {
        own.status = InvoiceStatus::Void;
        own.transitions.voided_at = Some(now);
        own.next_payment_attempt = None;
        own.auto_advance = false;
    });
    give_balance_back(account, id);
    close_payments(account, id, true);
    account.emit_invoice(id, "invoice.voided");
    lifecycle::invoice_closed_unpaid(account, id);
}

/// Voiding gives back the credit balance that was applied.
fn give_balance_back(account: &mut Account, id: &str) {
    let Some(invoice) = account.billing.invoices.get(id).cloned() else {
        return;
    };
    usage::give_credits_back(account, &invoice);
    let applied = invoice.ending_balance.unwrap_or(invoice.starting_balance);
    let change = invoice.starting_balance.saturating_sub(applied);
    if change != 0 {
        catalog::adjust_balance(account, &invoice, change, BalanceKind::Unapplied);
    }
}

/// Marks an open invoice uncollectible.
pub(crate) fn mark_uncollectible(account: &mut Account, id: &str, reason: &'static str) {
    let now = account.now();
    account.change_invoice(id, |own| {
        own.status = InvoiceStatus::Uncollectible;
        own.transitions.marked_uncollectible_at = Some(now);
        own.uncollectible_reason = Some(reason);
        own.next_payment_attempt = None;
    });
    account.emit_invoice(id, "invoice.marked_uncollectible");
    lifecycle::invoice_closed_unpaid(account, id);
}
