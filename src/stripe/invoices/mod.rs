//! Invoices: reading, paying, giving up, previewing.

mod object;

use serde::Serialize;
use stripe_billing::invoice::{
    CreatePreviewInvoice, CreatePreviewInvoiceDiscounts, CreatePreviewInvoiceInvoiceItems,
    CreatePreviewInvoiceInvoiceItemsPriceData, CreatePreviewInvoiceSubscriptionDetails,
    CreatePreviewInvoiceSubscriptionDetailsBillingCycleAnchor,
    CreatePreviewInvoiceSubscriptionDetailsCancelAt, CreatePreviewInvoiceSubscriptionDetailsItems,
    CreatePreviewInvoiceSubscriptionDetailsTrialEnd, ListInvoice, MarkUncollectibleInvoice,
    PayInvoice, RetrieveInvoice, VoidInvoiceInvoice,
};
use stripe_types::Currency;

pub use object::{
    BillingReason, ConfirmationSecret, DiscountAmount, Invoice, InvoiceLine, InvoiceParent,
    InvoicePayment, InvoiceStatus, LineItemDetails, LineParent, LinePeriod, LinePricing, Payment,
    PriceDetails, StatusTransitions, SubscriptionDetails, TaxAmount,
};

use super::request::{Created, FrozenRequest, Page, known, owned, paged, set};
use super::subscriptions::{
    CancelAt, Cycle, ItemChange, OneTimeCharge, ProrationBehavior, TrialEnd,
};
use super::{StripeError, get, path_id};
use crate::clock::Timestamp;

/// For `expand`: the secret that a browser pays an invoice with.
pub const EXPAND_CONFIRMATION_SECRET: &str = "confirmation_secret";
/// For `expand`: what an invoice is paid by.
pub const EXPAND_PAYMENTS: &str = "payments";

/// Reads an invoice, with these fields in whole.
pub fn retrieve(id: &str, expand: &[&str]) -> Result<FrozenRequest, StripeError> {
    let mut retrieve = RetrieveInvoice::new(path_id(id)?);
    if !expand.is_empty() {
        retrieve = retrieve.expand(owned(expand));
    }
    Ok(FrozenRequest::of(&retrieve))
}

/// Which invoices to list.
#[derive(Clone, Debug, Default)]
pub struct InvoiceFilter<'a> {
    /// Of this customer.
    pub customer: Option<&'a str>,
    /// Of this subscription.
    pub subscription: Option<&'a str>,
    /// That stand so.
    pub status: Option<InvoiceStatus>,
    /// When they were created.
    pub created: Created,
    /// Which part of the list.
    pub page: Page<'a>,
}

/// Lists invoices, newest first.
pub fn list(filter: &InvoiceFilter<'_>) -> FrozenRequest {
    let mut list = ListInvoice::new();
    set!(list, filter, customer, subscription);
    if let Some(status) = &filter.status {
        list = list.status(known::<stripe_billing::InvoiceStatus>(status.as_str()));
    }
    if let Some(range) = filter.created.range() {
        list = list.created(range);
    }
    paged!(list, filter.page);
    FrozenRequest::of(&list)
}

/// How to pay an invoice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InvoicePaying<'a> {
    /// With what; `None`: the subscription's or the customer's default.
    pub payment_method: Option<&'a str>,
    /// Whether the customer is away. `None`: Stripe's default, yes.
    pub off_session: Option<bool>,
    /// What the answer shall have in whole.
    pub expand: &'a [&'a str],
}

/// Pays an open invoice now. A decline is [`Outcome::Declined`](super::Outcome::Declined).
pub fn pay(id: &str, how: &InvoicePaying<'_>) -> Result<FrozenRequest, StripeError> {
    let mut pay = PayInvoice::new(path_id(id)?);
    set!(pay, how, payment_method, off_session);
    if !how.expand.is_empty() {
        pay = pay.expand(owned(how.expand));
    }
    Ok(FrozenRequest::of(&pay))
}

/// Makes an open invoice void, for good.
pub fn void(id: &str) -> Result<FrozenRequest, StripeError> {
    Ok(FrozenRequest::of(&VoidInvoiceInvoice::new(path_id(id)?)))
}

/// Gives up an open invoice. It can still be paid.
pub fn mark_uncollectible(id: &str) -> Result<FrozenRequest, StripeError> {
    let mark = MarkUncollectibleInvoice::new(path_id(id)?);
    Ok(FrozenRequest::of(&mark))
}

/// Lists the lines of an invoice, beyond the ten that it comes with.
pub fn lines(invoice: &str, page: Page<'_>) -> Result<FrozenRequest, StripeError> {
    let path = format!("/invoices/{}/lines", path_id(invoice)?);
    Ok(get(path).query(&page.form()).into())
}

#[derive(Serialize)]
struct PaymentsForm<'a> {
    invoice: &'a str,
    #[serde(flatten)]
    page: super::request::PageForm<'a>,
}

/// Lists what an invoice is or was to be paid by.
pub fn payments(invoice: &str, page: Page<'_>) -> FrozenRequest {
    let form = PaymentsForm {
        invoice,
        page: page.form(),
    };
    get("/invoice_payments").query(&form).into()
}

/// An invoice that is not there yet: the next one of a subscription, after a change or without, or
/// the first one of a subscription to be. Nothing is changed by asking.
#[derive(Clone, Debug, Default)]
pub struct Preview<'a> {
    /// Whose. `None`: the subscription's.
    pub customer: Option<&'a str>,
    /// Of which subscription; `None`: of one to be.
    pub subscription: Option<&'a str>,
    /// Lower-case ISO 4217; `None`: the customer's or the prices'.
    pub currency: Option<&'a str>,
    /// Items that change, come or go; of a subscription to be, all.
    pub items: &'a [ItemChange<'a>],
    /// What the change costs. `None`: Stripe's default, `create_prorations`.
    pub proration_behavior: Option<ProrationBehavior>,
    /// The instant to prorate at; give it to the change as well, and the amounts are the same.
    pub proration_date: Option<Timestamp>,
    /// Whether the subscription ends now.
    pub cancel_now: Option<bool>,
    /// When it ends.
    pub cancel_at: Option<CancelAt>,
    /// Whether it ends with the period.
    pub cancel_at_period_end: Option<bool>,
    /// When the trial ends.
    pub trial_end: Option<TrialEnd>,
    /// When periods begin.
    pub billing_cycle_anchor: Option<Cycle>,
    /// When a subscription to be begins.
    pub start_date: Option<Timestamp>,
    /// Something paid once.
    pub one_time_charges: &'a [OneTimeCharge<'a>],
    /// `promo_…`; `None`: as the subscription has them.
    pub promotion_codes: Option<&'a [&'a str]>,
}

/// Previews an invoice. A POST that is a read: [`FrozenRequest::is_read`].
pub fn create_preview(preview: &Preview<'_>) -> FrozenRequest {
    let mut create = CreatePreviewInvoice::new();
    set!(create, preview, customer, subscription);
    if let Some(currency) = preview.currency {
        create = create.currency(known::<Currency>(currency));
    }
    if let Some(codes) = preview.promotion_codes {
        let codes = codes.iter().map(|code| {
            let mut discount = CreatePreviewInvoiceDiscounts::new();
            discount.promotion_code = Some((*code).to_owned());
            discount
        });
        create = create.discounts(codes.collect::<Vec<_>>());
    }
    if !preview.one_time_charges.is_empty() {
        let charges = preview.one_time_charges.iter().map(one_time_charge);
        create = create.invoice_items(charges.collect::<Vec<_>>());
    }
    // An object without fields leaves no trace in the form.
    create = create.subscription_details(subscription_details(preview));
    FrozenRequest::of(&create)
}

fn one_time_charge(charge: &OneTimeCharge<'_>) -> CreatePreviewInvoiceInvoiceItems {
    let mut price = CreatePreviewInvoiceInvoiceItemsPriceData::new(
        known::<Currency>(charge.currency),
        charge.product,
    );
    price.unit_amount = Some(charge.unit_amount);
    price.tax_behavior = charge.tax_behavior.map(|behavior| known(behavior.as_str()));
    let mut item = CreatePreviewInvoiceInvoiceItems::new();
    item.price_data = Some(price);
    item
}

fn subscription_details(preview: &Preview<'_>) -> CreatePreviewInvoiceSubscriptionDetails {
    let items = preview.items.iter().map(|item| {
        let mut change = CreatePreviewInvoiceSubscriptionDetailsItems::new();
        change.id = item.id.map(ToOwned::to_owned);
        change.price = item.price.map(ToOwned::to_owned);
        change.quantity = item.quantity;
        change.deleted = item.deleted.then_some(true);
        change
    });
    let mut details = CreatePreviewInvoiceSubscriptionDetails::new();
    details.items = (!preview.items.is_empty()).then(|| items.collect());
    details.proration_behavior = preview
        .proration_behavior
        .map(|behavior| known(behavior.as_str()));
    details.proration_date = preview.proration_date.map(Timestamp::as_seconds);
    details.cancel_now = preview.cancel_now;
    details.cancel_at_period_end = preview.cancel_at_period_end;
    details.cancel_at = preview.cancel_at.map(|at| match at {
        CancelAt::At(time) => {
            CreatePreviewInvoiceSubscriptionDetailsCancelAt::Timestamp(time.as_seconds())
        }
        CancelAt::MinPeriodEnd => CreatePreviewInvoiceSubscriptionDetailsCancelAt::MinPeriodEnd,
        CancelAt::MaxPeriodEnd => CreatePreviewInvoiceSubscriptionDetailsCancelAt::MaxPeriodEnd,
    });
    details.trial_end = preview.trial_end.map(|end| match end {
        TrialEnd::Now => CreatePreviewInvoiceSubscriptionDetailsTrialEnd::Now,
        TrialEnd::At(time) => {
            CreatePreviewInvoiceSubscriptionDetailsTrialEnd::Timestamp(time.as_seconds())
        }
    });
    details.billing_cycle_anchor = preview.billing_cycle_anchor.map(|cycle| {
        CreatePreviewInvoiceSubscriptionDetailsBillingCycleAnchor::new(known::<
            stripe_billing::invoice::CreatePreviewInvoiceSubscriptionDetailsBillingCycleAnchorType,
        >(cycle.as_str()))
    });
    details.start_date = preview.start_date.map(Timestamp::as_seconds);
    details
}
