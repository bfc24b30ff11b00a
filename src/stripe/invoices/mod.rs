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
use super::{List, RawReply, StripeError, get, path_id};
use crate::clock::Timestamp;

/// Pages of a hundred lines that are read of one invoice.
const LINE_PAGES_MAX: usize = 50;

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

impl Invoice {
    /// Reads the lines that it came without, by `call`; of more than [`LINE_PAGES_MAX`] pages the rest
    /// stays unread.
    ///
    /// # Errors
    /// Those of `call`, and what is no list of lines.
    pub async fn read_lines<E: From<StripeError>>(
        &mut self,
        mut call: impl AsyncFnMut(&FrozenRequest) -> Result<RawReply, E>,
    ) -> Result<(), E> {
        for _ in 0..LINE_PAGES_MAX {
            if !self.lines.has_more {
                break;
            }
            let after = self.lines.data.last().map(|line| line.id.as_str());
            let request = lines(&self.id, Page::largest(after))?;
            let page: List<InvoiceLine> = call(&request).await?.read()?;
            self.lines.has_more = page.has_more && !page.data.is_empty();
            self.lines.data.extend(page.data);
        }
        Ok(())
    }
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
    /// `promo_…`; `None`: as the subscription has them; empty: none.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invoices_are_read_and_listed() {
        assert_eq!(
            retrieve("in_1", &[EXPAND_CONFIRMATION_SECRET, EXPAND_PAYMENTS])
                .unwrap()
                .shown(),
            [
                "GET /v1/invoices/in_1",
                "expand[0]=confirmation_secret",
                "expand[1]=payments",
            ]
        );
        assert_eq!(
            retrieve("in_1", &[]).unwrap().shown(),
            ["GET /v1/invoices/in_1"]
        );
        let filter = InvoiceFilter {
            customer: Some("cus_1"),
            subscription: Some("sub_1"),
            status: Some(InvoiceStatus::Open),
            created: Created {
                from: Some(Timestamp::from_seconds(7)),
                before: Some(Timestamp::from_seconds(9)),
            },
            page: Page::largest(Some("in_9")),
        };
        assert_eq!(
            list(&filter).shown(),
            [
                "GET /v1/invoices",
                "created[gte]=7",
                "created[lt]=9",
                "customer=cus_1",
                "limit=100",
                "starting_after=in_9",
                "status=open",
                "subscription=sub_1",
            ]
        );
        assert_eq!(
            lines("in_1", Page::largest(Some("il_9"))).unwrap().shown(),
            [
                "GET /v1/invoices/in_1/lines",
                "limit=100",
                "starting_after=il_9"
            ]
        );
        assert_eq!(
            payments("in_1", Page::largest(None)).shown(),
            ["GET /v1/invoice_payments", "invoice=in_1", "limit=100"]
        );
    }

    #[test]
    fn invoices_are_paid_and_given_up() {
        let how = InvoicePaying {
            payment_method: Some("pm_1"),
            off_session: Some(false),
            expand: &[EXPAND_PAYMENTS],
        };
        assert_eq!(
            pay("in_1", &how).unwrap().shown(),
            [
                "POST /v1/invoices/in_1/pay",
                "expand[0]=payments",
                "off_session=false",
                "payment_method=pm_1",
            ]
        );
        assert_eq!(
            void("in_1").unwrap().shown(),
            ["POST /v1/invoices/in_1/void"]
        );
        assert_eq!(
            mark_uncollectible("in_1").unwrap().shown(),
            ["POST /v1/invoices/in_1/mark_uncollectible"]
        );
    }

    #[test]
    fn a_preview_shows_a_change() {
        let item = ItemChange {
            id: Some("si_1"),
            price: Some("price_2"),
            quantity: Some(2),
            deleted: false,
        };
        let gone = ItemChange {
            id: Some("si_2"),
            deleted: true,
            ..ItemChange::default()
        };
        let request = create_preview(&Preview {
            customer: Some("cus_1"),
            subscription: Some("sub_1"),
            currency: Some("eur"),
            items: &[item, gone],
            proration_behavior: Some(ProrationBehavior::AlwaysInvoice),
            proration_date: Some(Timestamp::from_seconds(7)),
            cancel_now: Some(false),
            cancel_at: Some(CancelAt::At(Timestamp::from_seconds(8))),
            cancel_at_period_end: Some(false),
            trial_end: Some(TrialEnd::Now),
            billing_cycle_anchor: Some(Cycle::Unchanged),
            start_date: Some(Timestamp::from_seconds(9)),
            one_time_charges: &[OneTimeCharge {
                product: "pb_1",
                currency: "eur",
                unit_amount: 900,
                tax_behavior: Some(crate::stripe::catalog::TaxBehavior::Inclusive),
            }],
            promotion_codes: Some(&["promo_1"]),
        });
        assert_eq!(
            request.shown(),
            [
                "POST /v1/invoices/create_preview",
                "currency=eur",
                "customer=cus_1",
                "discounts[0][promotion_code]=promo_1",
                "invoice_items[0][price_data][currency]=eur",
                "invoice_items[0][price_data][product]=pb_1",
                "invoice_items[0][price_data][tax_behavior]=inclusive",
                "invoice_items[0][price_data][unit_amount]=900",
                "subscription=sub_1",
                "subscription_details[billing_cycle_anchor][type]=unchanged",
                "subscription_details[cancel_at]=8",
                "subscription_details[cancel_at_period_end]=false",
                "subscription_details[cancel_now]=false",
                "subscription_details[items][0][id]=si_1",
                "subscription_details[items][0][price]=price_2",
                "subscription_details[items][0][quantity]=2",
                "subscription_details[items][1][deleted]=true",
                "subscription_details[items][1][id]=si_2",
                "subscription_details[proration_behavior]=always_invoice",
                "subscription_details[proration_date]=7",
                "subscription_details[start_date]=9",
                "subscription_details[trial_end]=now",
            ]
        );
    }

    #[test]
    fn a_preview_shows_what_comes_anyway() {
        let next = Preview {
            subscription: Some("sub_1"),
            ..Preview::default()
        };
        assert_eq!(
            create_preview(&next).shown(),
            ["POST /v1/invoices/create_preview", "subscription=sub_1"]
        );
        let undiscounted = Preview {
            promotion_codes: Some(&[]),
            ..next
        };
        assert_eq!(
            create_preview(&undiscounted).shown(),
            [
                "POST /v1/invoices/create_preview",
                "discounts=",
                "subscription=sub_1"
            ]
        );
        for (at, text) in [
            (CancelAt::MinPeriodEnd, "min_period_end"),
            (CancelAt::MaxPeriodEnd, "max_period_end"),
        ] {
            let preview = Preview {
                cancel_at: Some(at),
                trial_end: Some(TrialEnd::At(Timestamp::from_seconds(5))),
                ..Preview::default()
            };
            assert_eq!(
                create_preview(&preview).shown(),
                [
                    "POST /v1/invoices/create_preview".to_owned(),
                    format!("subscription_details[cancel_at]={text}"),
                    "subscription_details[trial_end]=5".to_owned(),
                ]
            );
        }
    }

    #[test]
    fn neither_the_secret_nor_a_missing_field_is_an_obstacle() {
        let bare: Invoice = serde_json::from_str(
            r#"{"id":"in_1","lines":null,"status_transitions":null,"metadata":null,"parent":null,
                "confirmation_secret":{"client_secret":"pi_1_secret_Canary","type":"payment_intent"}}"#,
        )
        .unwrap();
        assert_eq!(bare.subscription(), None);
        assert!(!format!("{bare:?}").contains("Canary"));
    }
}
