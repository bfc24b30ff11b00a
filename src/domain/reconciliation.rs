//! Reconciliation: what is stored here against what Stripe has, as pure comparisons.
//!
//! Each comparison is "what would become of ours after hearing this", and the fields in which that
//! differs from what is stored: so drift is exactly what a webhook would have changed, and what is
//! newer here than Stripe's answer is none.

use super::customer::{Address, Customer};
use super::invoice::Invoice;
use super::operation::named;
use super::payment_method::{Card, PaymentMethod, State};
use super::slug::Slug;
use super::stripe_key::Mode;
use super::subscription::Subscription;
use crate::clock::Timestamp;

/// Most findings that are kept one by one; further ones are counted.
pub const DRIFT_KEPT_MAX: i64 = 1_000;

named! {
    /// Where a reconciliation stands.
    Status {
        /// It goes on by itself.
        Running = "running",
        /// All was compared.
        Done = "done",
        /// It was given up.
        Failed = "failed",
    }
}

named! {
    /// What a reconciliation is at, in this order.
    Phase {
        /// What the caller wants to be taken over.
        Adopt = "adopt",
        /// Stripe's list of customers.
        Customers = "customers",
        /// Customers of ours that the list did not show.
        CustomersHere = "customers_here",
        /// The payment methods of each customer.
        PaymentMethods = "payment_methods",
        /// Stripe's list of subscriptions.
        Subscriptions = "subscriptions",
        /// Subscriptions of ours that the list did not show.
        SubscriptionsHere = "subscriptions_here",
        /// Subscriptions of ours whose Checkout page should be over by now.
        Checkouts = "checkouts",
        /// Stripe's list of invoices.
        Invoices = "invoices",
        /// Invoices of ours that the list did not show.
        InvoicesHere = "invoices_here",
        /// Nothing more.
        Over = "over",
    }
}

impl Phase {
    /// What comes after it.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Adopt => Self::Customers,
            Self::Customers => Self::CustomersHere,
            Self::CustomersHere => Self::PaymentMethods,
            Self::PaymentMethods => Self::Subscriptions,
            Self::Subscriptions => Self::SubscriptionsHere,
            Self::SubscriptionsHere => Self::Checkouts,
            Self::Checkouts => Self::Invoices,
            Self::Invoices => Self::InvoicesHere,
            Self::InvoicesHere | Self::Over => Self::Over,
        }
    }
}

named! {
    /// What is compared.
    Kind {
        /// A customer.
        Customer = "customer",
        /// A payment method.
        PaymentMethod = "payment_method",
        /// A subscription.
        Subscription = "subscription",
        /// An invoice.
        Invoice = "invoice",
    }
}

named! {
    /// How ours and Stripe's differ.
    DriftKind {
        /// Stripe has it, and here it is not known.
        MissingHere = "missing_here",
        /// It is known here, and Stripe has it no more.
        MissingAtStripe = "missing_at_stripe",
        /// Both have it, and they say different things.
        Differs = "differs",
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Of what.
    pub kind: Kind,
    /// Our id of it, if it has one.
    pub object: Option<String>,
    /// Stripe's id of it.
    pub stripe_id: Option<String>,
    /// How they differ.
    pub drift: DriftKind,
    /// The fields that differ.
    pub fields: Vec<String>,
    /// Whether what is here was brought into line.
    pub repaired: bool,
    /// Why not, where it was to be.
    pub detail: Option<String>,
}

/// How many things were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Customers.
    pub customers: i64,
    /// Payment methods.
    pub payment_methods: i64,
    /// Subscriptions.
    pub subscriptions: i64,
    /// Invoices.
    pub invoices: i64,
    /// Objects at Stripe that are not this portal's.
    pub foreign: i64,
}

impl Compared {
    /// Counts one more.
    pub const fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Customer => self.customers += 1,
            Kind::PaymentMethod => self.payment_methods += 1,
            Kind::Subscription => self.subscriptions += 1,
            Kind::Invoice => self.invoices += 1,
        }
    }
}

/// A comparison with Stripe, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciliation {
    /// `recn_…`.
    pub id: String,
    /// Whose things are compared.
    pub portal: Slug,
    /// Whether what is here is brought into line.
    pub repair: bool,
    /// The time of the regular sweep it is; `None`: somebody asked for it.
    pub sweep_slot: Option<Timestamp>,
    /// Where it stands.
    pub status: Status,
    /// What it is at.
    pub phase: Phase,
    /// How far it is in that phase; empty at its begin.
    pub place: String,
    /// The customer of ours after which the next sweep looks at payment methods.
    pub methods_place: String,
    /// The invoice of ours after which the next sweep asks one by one for old ones that are not settled.
    pub invoices_place: String,
    /// What is to be taken over, as JSON; empty for nothing.
    pub adopt: String,
    /// The Stripe account it works in, and no other.
    pub account: String,
    /// The mode it works in, and no other.
    pub mode: Mode,
    /// How many things were compared.
    pub compared: Compared,
    /// How many differences were found.
    pub drift: i64,
    /// Calls made to Stripe.
    pub requests: i64,
    /// Attempts in a row that failed.
    pub attempts: i32,
    /// Who works on it.
    pub lease_owner: Option<String>,
    /// Until when nobody else may.
    pub lease_until: Option<Timestamp>,
    /// Why it was given up, or had to be tried again.
    pub error: Option<String>,
    /// The `sub` of whoever asked.
    pub actor: String,
    /// The `iss` of whoever asked.
    pub issuer: String,
    /// The request that asked for it.
    pub request_id: String,
    /// That request's path.
    pub instance: String,
    /// Counts its changes, from 1.
    pub version: i64,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it last went on.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// The time of the regular sweep of this portal that is due at `now`, when there is one every `every`
/// milliseconds: the same on every replica. Portals have their sweeps at different times.
pub fn sweep_slot(portal: &Slug, now: Timestamp, every: i64) -> Timestamp {
    let every = every.max(1);
    // FNV-1a: any even spread does.
    let spread = portal.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let offset = i64::from(spread) % every;
    let since = now.as_millis().saturating_sub(offset).rem_euclid(every);
    now.plus_millis(-since)
}

/// Which payment method a customer's default is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultMethod {
    /// There is none.
    Nothing,
    /// This one of ours, `meth_…`.
    Ours(String),
    /// One that is not known here; what was known stays.
    Unknown,
}

/// What Stripe says of a customer, in our words.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerSnapshot {
    /// Its name; without one, what was known stays.
    pub name: Option<String>,
    /// Where its mails go; without one, what was known stays.
    pub email: Option<String>,
    /// For invoices and taxes.
    pub address: Option<Address>,
    /// What its invoices are paid with.
    pub default_payment_method: DefaultMethod,
    /// When it was so, by Stripe's clock.
    pub at: Timestamp,
}

/// The customer after hearing of `said`, and the fields in which it is another then. What is older than
/// what was last taken over changes nothing.
pub fn customer_after(
    customer: &Customer,
    said: &CustomerSnapshot,
) -> (Customer, Vec<&'static str>) {
    let mut next = customer.clone();
    let mut fields = Vec::new();
    if customer.stripe_at.is_some_and(|known| known > said.at) {
        return (next, fields);
    }
    next.stripe_at = Some(said.at);
    let text = |theirs: &Option<String>, ours: &mut String| match theirs {
        Some(theirs) if !theirs.is_empty() && theirs != ours => {
            ours.clone_from(theirs);
            true
        }
        _ => false,
    };
    if text(&said.name, &mut next.name) {
        fields.push("name");
    }
    if text(&said.email, &mut next.email) {
        fields.push("email");
    }
    let address = said.address.clone().and_then(said_something);
    if address != next.address.clone().and_then(said_something) {
        next.address = address;
        fields.push("address");
    }
    let default = match &said.default_payment_method {
        DefaultMethod::Nothing => None,
        DefaultMethod::Ours(id) => Some(id.clone()),
        DefaultMethod::Unknown => next.default_payment_method.clone(),
    };
    if default != next.default_payment_method {
        next.default_payment_method = default;
        fields.push("default_payment_method");
    }
    (next, fields)
}

/// The address without parts that are empty; `None` when no part is left.
fn said_something(address: Address) -> Option<Address> {
    let part = |part: Option<String>| part.filter(|text| !text.is_empty());
    let address = Address {
        line1: part(address.line1),
        line2: part(address.line2),
        city: part(address.city),
        state: part(address.state),
        postal_code: part(address.postal_code),
        country: part(address.country),
    };
    (address != Address::default()).then_some(address)
}

/// What Stripe says of a payment method that is attached to its customer, in our words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodSnapshot {
    /// What is shown of its card.
    pub card: Option<Card>,
    /// When it was so, by Stripe's clock.
    pub at: Timestamp,
}

/// The payment method after hearing of `said`, and the fields in which it is another then. What Stripe
/// shows as attached can be paid with.
pub fn method_after(
    method: &PaymentMethod,
    said: &MethodSnapshot,
) -> (PaymentMethod, Vec<&'static str>) {
    let mut next = method.clone();
    let mut fields = Vec::new();
    if method.stripe_at.is_some_and(|known| known > said.at) {
        return (next, fields);
    }
    next.stripe_at = Some(said.at);
    if next.state != State::Usable {
        next.state = State::Usable;
        fields.push("status");
    }
    if said.card != next.card {
        next.card.clone_from(&said.card);
        fields.push("card");
    }
    (next, fields)
}

/// The fields in which the subscription is another than before.
pub fn subscription_fields(before: &Subscription, after: &Subscription) -> Vec<&'static str> {
    let checks = [
        ("status", before.status != after.status),
        (
            "plan",
            (&before.plan, before.plan_revision) != (&after.plan, after.plan_revision),
        ),
        ("quantity", before.quantity != after.quantity),
        ("current_period", before.period != after.period),
        ("trial_end", before.trial_end != after.trial_end),
        ("cancel_at", before.cancel_at != after.cancel_at),
        ("canceled_at", before.canceled_at != after.canceled_at),
        ("ended_at", before.ended_at != after.ended_at),
        ("unpaid_since", before.unpaid_since != after.unpaid_since),
        (
            "payment_method",
            before.payment_method != after.payment_method,
        ),
        (
            "latest_invoice",
            before.latest_invoice != after.latest_invoice,
        ),
        (
            "stripe",
            (&before.stripe, &before.stripe_item) != (&after.stripe, &after.stripe_item),
        ),
    ];
    checks
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
}

/// The fields in which what would become of an invoice differs from it.
pub fn invoice_fields(before: &Invoice, after: &Invoice) -> Vec<&'static str> {
    let checks = [
        ("subscription", before.subscription != after.subscription),
        ("number", before.number != after.number),
        ("status", before.status != after.status),
        ("subtotal", before.subtotal != after.subtotal),
        ("total", before.total != after.total),
        ("amount_due", before.amount_due != after.amount_due),
        ("amount_paid", before.amount_paid != after.amount_paid),
        ("lines", before.lines != after.lines),
        ("period", before.period != after.period),
        ("due_at", before.due_at != after.due_at),
        (
            "next_attempt_at",
            before.next_attempt_at != after.next_attempt_at,
        ),
        ("attempt_count", before.attempt_count != after.attempt_count),
        ("hosted_url", before.hosted_url != after.hosted_url),
        ("pdf_url", before.pdf_url != after.pdf_url),
        (
            "action",
            before.action_required() != after.action_required(),
        ),
    ];
    checks
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
}

#[cfg(test)]
mod tests;
