//! Durable operations: units of work that have to reach Stripe and survive crashes.

use super::slug::Slug;
use super::stripe_key::Mode;
use crate::clock::Timestamp;

/// Defines an enum with a stable text for each variant.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $name {
            /// Every value there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The value as it is stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Reads what [`Self::as_str`] gives.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(super) use named;

named! {
    /// What an operation does.
    Kind {
        /// Makes the Product and the Price of a plan's revision.
        PublishPlan = "publish_plan",
        /// Takes the Prices and the Product of a plan out of use.
        ArchivePlan = "archive_plan",
        /// Brings what changed of a customer to Stripe.
        UpdateCustomer = "update_customer",
        /// Deletes a customer at Stripe.
        DeleteCustomer = "delete_customer",
        /// Begins the saving of a payment method.
        CreateSetupIntent = "create_setup_intent",
        /// Opens a hosted Checkout page.
        CreateCheckoutSession = "create_checkout_session",
        /// Opens Stripe's hosted customer portal.
        CreatePortalSession = "create_portal_session",
        /// Saves a payment method for a customer.
        SavePaymentMethod = "save_payment_method",
        /// Takes a payment method from a customer.
        DetachPaymentMethod = "detach_payment_method",
        /// Makes a paid subscription.
        CreateSubscription = "create_subscription",
        /// Opens a hosted Checkout page on which a subscription is paid.
        CreateSubscriptionCheckout = "create_subscription_checkout",
        /// Changes a paid subscription.
        ChangeSubscription = "change_subscription",
        /// Ends a paid subscription.
        CancelSubscription = "cancel_subscription",
        /// Pays an open invoice.
        PayInvoice = "pay_invoice",
        /// Voids an open invoice.
        VoidInvoice = "void_invoice",
    }
}

named! {
    /// Where an operation stands.
    Status {
        /// It goes on by itself.
        Running = "running",
        /// Done.
        Succeeded = "succeeded",
        /// Stripe or a rule said no; nothing is left of it.
        Failed = "failed",
        /// Somebody has to look; `retry` goes on.
        Attention = "attention",
    }
}

/// The step of an operation that waits for its turn in the lane.
pub const QUEUED: &str = "queued";
/// What the state and the requests of an operation are written in; a binary that meets a newer one
/// leaves it to newer binaries.
pub const SCHEMA_VERSION: i32 = 1;

/// One durable operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `oper_…`; with the step it makes the idempotency key at Stripe.
    pub id: String,
    /// Whose.
    pub portal: Slug,
    /// What it does.
    pub kind: Kind,
    /// Our id of the thing it is about, such as `subn_…`.
    pub subject: String,
    /// The external id of the consumer organization it belongs to, if to one.
    pub organization: Option<String>,
    /// What it is serialized by towards Stripe: operations of one lane never run at the same time.
    pub lane: String,
    /// Whether it has the lane.
    pub lane_held: bool,
    /// Where it stands.
    pub status: Status,
    /// The step it is at, or [`QUEUED`].
    pub step: String,
    /// Steps that are done; never goes back.
    pub steps_done: i32,
    /// See [`SCHEMA_VERSION`].
    pub schema_version: i32,
    /// The version of the credentials it works with.
    pub credentials_version: i64,
    /// The Stripe account it works in, and no other.
    pub stripe_account: String,
    /// The mode it works in, and no other.
    pub mode: Mode,
    /// Its parameters and what its steps found out, as JSON.
    pub state: String,
    /// What the current step sends, frozen; empty while it is queued.
    pub request: String,
    /// How often the current step's key was given up for a new one.
    pub key_generation: i32,
    /// When the current step may first have been sent under its key; `None`: list before posting.
    pub sent_at: Option<Timestamp>,
    /// Whether the current step may have taken effect already.
    pub uncertain: bool,
    /// Attempts of the current step that did not settle it.
    pub attempts: i32,
    /// Not before.
    pub next_attempt_at: Timestamp,
    /// Who works on it.
    pub lease_owner: Option<String>,
    /// Until when nobody else may.
    pub lease_until: Option<Timestamp>,
    /// Why it failed or needs attention.
    pub error: Option<Failure>,
    /// The `sub` of whoever asked.
    pub actor: String,
    /// The `iss` of whoever asked.
    pub issuer: String,
    /// The request it began with.
    pub request_id: String,
    /// That request's path.
    pub instance: String,
    /// Goes up with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// Why an operation failed or needs attention, as far as callers may know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// A code of [`crate::domain::error::Code`].
    pub code: String,
    /// For people.
    pub detail: String,
    /// Stripe's `Request-Id`.
    pub stripe_request_id: Option<String>,
    /// Stripe's error code.
    pub stripe_code: Option<String>,
    /// The issuer's decline code.
    pub decline_code: Option<String>,
}

impl Operation {
    /// Whether nothing happens to it any more by itself.
    pub fn is_over(&self) -> bool {
        self.status != Status::Running
    }
}
