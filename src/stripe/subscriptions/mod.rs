//! Subscriptions: creating, changing, ending and finding them.

mod change;
mod object;
#[cfg(test)]
mod tests;

use stripe_billing::subscription::{
    CreateSubscription, CreateSubscriptionAddInvoiceItems,
    CreateSubscriptionAddInvoiceItemsPriceData, CreateSubscriptionItems,
    CreateSubscriptionPaymentBehavior, CreateSubscriptionPaymentSettings,
    CreateSubscriptionPaymentSettingsSaveDefaultPaymentMethod, CreateSubscriptionProrationBehavior,
    CreateSubscriptionTrialEnd, CreateSubscriptionTrialSettings,
    CreateSubscriptionTrialSettingsEndBehavior, DiscountsDataParam, ListSubscription,
    ListSubscriptionStatus, RetrieveSubscription,
};
use stripe_types::Currency;

pub use change::{
    BillFor, CancelAt, Cancellation, Cycle, Discount, ItemChange, PauseBehavior, PauseCollection,
    PauseOptions, ResumeOptions, SubscriptionChange, TrialEnd, cancel, pause, resume, update,
};
pub use object::{
    CancellationDetails, CollectionPause, Subscription, SubscriptionItem, SubscriptionStatus,
};

use super::catalog::TaxBehavior;
use super::request::{Created, FrozenRequest, Page, hash_map, known, owned, paged, set};
use super::wire::sent_enum;
use super::{Metadata, StripeError, path_id};
use crate::clock::Timestamp;

/// For `expand`: the first invoice with the secret that a browser pays it with.
pub const EXPAND_CONFIRMATION_SECRET: &str = "latest_invoice.confirmation_secret";
/// For `expand`: the first invoice with its payments.
pub const EXPAND_PAYMENTS: &str = "latest_invoice.payments";
/// For `expand`: the setup intent of a subscription that begins without a payment.
pub const EXPAND_PENDING_SETUP_INTENT: &str = "pending_setup_intent";

sent_enum! {
    /// What happens when the payment that a change asks for does not succeed at once
    /// (<https://docs.stripe.com/billing/subscriptions/overview#payment-status>).
    PaymentBehavior {
        /// A new subscription is incomplete, a change is made.
        AllowIncomplete = "allow_incomplete",
        /// Nothing is charged now: a browser pays, within 23 hours.
        DefaultIncomplete = "default_incomplete",
        /// Stripe refuses with 402 and leaves nothing behind.
        ErrorIfIncomplete = "error_if_incomplete",
        /// A change waits until it is paid; only for changes.
        PendingIfIncomplete = "pending_if_incomplete",
    }
}

sent_enum! {
    /// What a change within a period costs.
    ProrationBehavior {
        /// The difference, invoiced at once.
        AlwaysInvoice = "always_invoice",
        /// The difference, on the next invoice.
        CreateProrations = "create_prorations",
        /// Nothing until the next period.
        None = "none",
    }
}

sent_enum! {
    /// What happens when a trial ends without a payment method.
    MissingPaymentMethod {
        /// The subscription ends.
        Cancel = "cancel",
        /// An invoice is made that nobody pays.
        CreateInvoice = "create_invoice",
        /// The subscription pauses.
        Pause = "pause",
    }
}

/// How a subscription begins without being paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// For so many days, at most 730.
    Days(u32),
    /// Until this time.
    Until(Timestamp),
}

/// An item of a subscription to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewItem<'a> {
    /// The price's id.
    pub price: &'a str,
    /// How many; `None`: Stripe's default, one.
    pub quantity: Option<u64>,
}

/// Something paid once, on the first invoice; such as a setup fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneTimeCharge<'a> {
    /// The product's id.
    pub product: &'a str,
    /// Lower-case ISO 4217, the subscription's.
    pub currency: &'a str,
    /// In minor units.
    pub unit_amount: i64,
    /// `None`: Stripe's default.
    pub tax_behavior: Option<TaxBehavior>,
}

/// A subscription to be.
#[derive(Clone, Debug, Default)]
pub struct NewSubscription<'a> {
    /// Whose.
    pub customer: &'a str,
    /// To what.
    pub items: &'a [NewItem<'a>],
    /// What it is paid with; `None`: the customer's default.
    pub default_payment_method: Option<&'a str>,
    /// `None`: Stripe's default.
    pub payment_behavior: Option<PaymentBehavior>,
    /// Whether the customer is away: a bank may then ask for less.
    pub off_session: Option<bool>,
    /// `None`: it is paid from the start.
    pub trial: Option<Trial>,
    /// `None`: Stripe's default, `create_invoice`.
    pub missing_payment_method: Option<MissingPaymentMethod>,
    /// Whether the payment method of the first payment becomes the default.
    pub save_default_payment_method: Option<bool>,
    /// On the first invoice.
    pub one_time_charges: &'a [OneTimeCharge<'a>],
    /// `promo_…`, in the order they apply.
    pub promotion_codes: &'a [&'a str],
    /// What customers read on invoices and in the hosted portal.
    pub description: Option<&'a str>,
    /// When periods begin; `None`: now, or at the trial's end.
    pub billing_cycle_anchor: Option<Timestamp>,
    /// What the time until `billing_cycle_anchor` costs.
    pub proration_behavior: Option<ProrationBehavior>,
    /// By which it is recognized as ours.
    pub metadata: Metadata,
    /// What the answer shall have in whole.
    pub expand: &'a [&'a str],
}

/// Creates a subscription.
pub fn create(new: &NewSubscription<'_>) -> FrozenRequest {
    let items = new.items.iter().map(|item| {
        let mut create = CreateSubscriptionItems::new();
        create.price = Some(item.price.to_owned());
        create.quantity = item.quantity;
        create
    });
    let mut create = CreateSubscription::new()
        .customer(new.customer)
        .items(items.collect::<Vec<_>>());
    set!(
        create,
        new,
        default_payment_method,
        off_session,
        description
    );
    create = with_payment(create, new);
    create = with_trial(create, new);
    if !new.one_time_charges.is_empty() {
        let charges = new.one_time_charges.iter().map(one_time_charge);
        create = create.add_invoice_items(charges.collect::<Vec<_>>());
    }
    if !new.promotion_codes.is_empty() {
        let codes = new.promotion_codes.iter().map(|code| {
            let mut discount = DiscountsDataParam::new();
            discount.promotion_code = Some((*code).to_owned());
            discount
        });
        create = create.discounts(codes.collect::<Vec<_>>());
    }
    if let Some(anchor) = new.billing_cycle_anchor {
        create = create.billing_cycle_anchor(anchor.as_seconds());
    }
    if !new.metadata.is_empty() {
        create = create.metadata(hash_map(&new.metadata));
    }
    if !new.expand.is_empty() {
        create = create.expand(owned(new.expand));
    }
    FrozenRequest::of(&create)
}

fn with_payment(mut create: CreateSubscription, new: &NewSubscription<'_>) -> CreateSubscription {
    if let Some(behavior) = new.payment_behavior {
        create = create.payment_behavior(known::<CreateSubscriptionPaymentBehavior>(
            behavior.as_str(),
        ));
    }
    if let Some(behavior) = new.proration_behavior {
        create = create.proration_behavior(known::<CreateSubscriptionProrationBehavior>(
            behavior.as_str(),
        ));
    }
    if let Some(save) = new.save_default_payment_method {
        use CreateSubscriptionPaymentSettingsSaveDefaultPaymentMethod as Save;
        let mut settings = CreateSubscriptionPaymentSettings::new();
        settings.save_default_payment_method = Some(if save {
            Save::OnSubscription
        } else {
            Save::Off
        });
        create = create.payment_settings(settings);
    }
    create
}

fn with_trial(mut create: CreateSubscription, new: &NewSubscription<'_>) -> CreateSubscription {
    create = match new.trial {
        None => create,
        Some(Trial::Days(days)) => create.trial_period_days(days),
        Some(Trial::Until(end)) => {
            create.trial_end(CreateSubscriptionTrialEnd::Timestamp(end.as_seconds()))
        }
    };
    if let Some(behavior) = new.missing_payment_method {
        let mut end = CreateSubscriptionTrialSettingsEndBehavior::new();
        end.missing_payment_method = Some(known(behavior.as_str()));
        create = create.trial_settings(CreateSubscriptionTrialSettings::new(end));
    }
    create
}

fn one_time_charge(charge: &OneTimeCharge<'_>) -> CreateSubscriptionAddInvoiceItems {
    let mut price = CreateSubscriptionAddInvoiceItemsPriceData::new(
        known::<Currency>(charge.currency),
        charge.product,
    );
    price.unit_amount = Some(charge.unit_amount);
    price.tax_behavior = charge.tax_behavior.map(|behavior| known(behavior.as_str()));
    let mut item = CreateSubscriptionAddInvoiceItems::new();
    item.price_data = Some(price);
    item
}

/// Reads a subscription, with these fields in whole.
pub fn retrieve(id: &str, expand: &[&str]) -> Result<FrozenRequest, StripeError> {
    let mut retrieve = RetrieveSubscription::new(path_id(id)?);
    if !expand.is_empty() {
        retrieve = retrieve.expand(owned(expand));
    }
    Ok(FrozenRequest::of(&retrieve))
}

/// Which subscriptions to list. Ended ones are always among them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubscriptionFilter<'a> {
    /// Of this customer; `None`: of the whole account.
    pub customer: Option<&'a str>,
    /// With an item of this price.
    pub price: Option<&'a str>,
    /// When they were created.
    pub created: Created,
    /// Which part of the list.
    pub page: Page<'a>,
}

/// Lists subscriptions of all statuses, newest first.
pub fn list(filter: &SubscriptionFilter<'_>) -> FrozenRequest {
    let mut list = ListSubscription::new().status(ListSubscriptionStatus::All);
    set!(list, filter, customer, price);
    if let Some(range) = filter.created.range() {
        list = list.created(range);
    }
    paged!(list, filter.page);
    FrozenRequest::of(&list)
}
