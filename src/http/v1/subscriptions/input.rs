//! What callers ask of subscriptions.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::super::CustomerName;
use super::body::SubscriptionStatus;
use crate::app::portals::MetadataChange;
use crate::app::subscriptions::{
    CancelInput, CancelTime, Filter, Method, OpenInvoice, SubscriptionInput,
};
use crate::clock::Timestamp;
use crate::domain::customer::CustomerRef;
use crate::domain::error::{Error, FieldCode, FieldError};
use crate::domain::slug::Slug;
use crate::domain::subscription::{APPLICATION_MAX_CHARS, QUANTITY_MAX, Status};
use crate::domain::text;
use crate::http::extract::present;
use crate::http::paging::narrowed_by;
use crate::http::v1::{Metadata, MetadataPatch};
use crate::ids::{Id, Kind};

/// Characters of a promotion code.
const PROMOTION_CODE_MAX_CHARS: usize = 200;
/// Characters of a payment method's id of Stripe's.
const STRIPE_ID_MAX: usize = 250;

/// What is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "customer": "ext:globex", "product": "weather", "plan": "gold", "application": "app-42"
}))]
pub struct SubscriptionPost {
    /// For whom: `org_…`, or `ext:` and the id by which the portal knows the organization.
    #[schema(min_length = 5, max_length = 259)]
    customer: String,
    /// The product.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    product: String,
    /// The plan of it.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    plan: String,
    /// The caller's id of the one application it is for. A customer has one live subscription to a
    /// product for each application, and one for none.
    #[serde(default)]
    #[schema(
        required = false,
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    application: Option<String>,
    /// Seats, of a plan that is priced per seat; 1 unless said.
    #[serde(default)]
    #[schema(required = false, minimum = 1, maximum = 1_000_000)]
    quantity: Option<i64>,
    /// What it is paid with: one that is saved (`meth_…`), or one that Stripe's scripts have just made
    /// in a browser (`pm_…`), which is saved with it. The customer's default unless said.
    #[serde(default)]
    #[schema(
        required = false,
        pattern = "^(meth_[0-7][0-9a-hjkmnp-tv-z]{25}|pm_[A-Za-z0-9_]{1,250})$"
    )]
    payment_method: Option<String>,
    /// What the customer typed.
    #[serde(default)]
    #[schema(
        required = false,
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    promotion_code: Option<String>,
    /// `false`: without the plan's trial.
    #[serde(default)]
    #[schema(required = false)]
    trial: Option<bool>,
    /// The caller's own keys and values: at most 50, of 40 and 500 characters.
    #[serde(default)]
    #[schema(required = false, value_type = Metadata)]
    metadata: BTreeMap<String, String>,
}

impl SubscriptionPost {
    pub(super) fn checked(self) -> Result<SubscriptionInput, Error> {
        let subscribing = Subscribing {
            customer: CustomerRef::parse(&self.customer),
            product: Some(&self.product),
            plan: Some(&self.plan),
            application: self.application,
            quantity: self.quantity,
            payment_method: self.payment_method,
            promotion_code: self.promotion_code,
            trial: self.trial,
            metadata: self.metadata,
        };
        subscribing.checked()
    }
}

/// A subscription to be, however it is asked for.
pub(in crate::http::v1) struct Subscribing<'a> {
    pub(in crate::http::v1) customer: Option<CustomerRef>,
    pub(in crate::http::v1) product: Option<&'a str>,
    pub(in crate::http::v1) plan: Option<&'a str>,
    pub(in crate::http::v1) application: Option<String>,
    pub(in crate::http::v1) quantity: Option<i64>,
    pub(in crate::http::v1) payment_method: Option<String>,
    pub(in crate::http::v1) promotion_code: Option<String>,
    pub(in crate::http::v1) trial: Option<bool>,
    pub(in crate::http::v1) metadata: BTreeMap<String, String>,
}

impl Subscribing<'_> {
    pub(in crate::http::v1) fn checked(self) -> Result<SubscriptionInput, Error> {
        let mut errors = Vec::new();
        if self.customer.is_none() {
            errors.push(FieldError::new(
                "/customer",
                FieldCode::InvalidValue,
                "Must be org_… or ext: and the organization's id.",
            ));
        }
        let product = slug("/product", self.product, &mut errors);
        let plan = slug("/plan", self.plan, &mut errors);
        let mut line = |pointer: &str, value: Option<String>, max: usize| {
            value.map(|value| text::line(pointer, &value, max, &mut errors))
        };
        let application = line("/application", self.application, APPLICATION_MAX_CHARS);
        let promotion_code = line(
            "/promotion_code",
            self.promotion_code,
            PROMOTION_CODE_MAX_CHARS,
        );
        let payment_method = self
            .payment_method
            .and_then(|text| method("/payment_method", text, &mut errors));
        if self
            .quantity
            .is_some_and(|quantity| !(1..=QUANTITY_MAX).contains(&quantity))
        {
            errors.push(FieldError::new(
                "/quantity",
                FieldCode::InvalidValue,
                format!("Must be 1 to {QUANTITY_MAX}."),
            ));
        }
        let metadata = text::metadata("/metadata", self.metadata, &mut errors);
        match (self.customer, product, plan) {
            (Some(customer), Some(product), Some(plan)) if errors.is_empty() => {
                Ok(SubscriptionInput {
                    customer,
                    product,
                    plan,
                    application,
                    quantity: self.quantity,
                    payment_method,
                    promotion_code,
                    trial: self.trial.unwrap_or(true),
                    metadata,
                })
            }
            _ => Err(Error::fields(errors)),
        }
    }
}

fn slug(pointer: &str, text: Option<&str>, errors: &mut Vec<FieldError>) -> Option<Slug> {
    let Some(text) = text else {
        errors.push(FieldError::new(
            pointer,
            FieldCode::MissingField,
            "Must be said.",
        ));
        return None;
    };
    Slug::parse_field(pointer, text)
        .map_err(|error| errors.push(error))
        .ok()
}

fn method(pointer: &str, text: String, errors: &mut Vec<FieldError>) -> Option<Method> {
    if Id::parse(Kind::PaymentMethod, &text).is_some() {
        return Some(Method::Saved(text));
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_stripes = text
        .strip_prefix("pm_")
        .is_some_and(|rest| (1..=STRIPE_ID_MAX).contains(&rest.len()) && rest.bytes().all(word));
    if is_stripes {
        return Some(Method::New(text));
    }
    errors.push(FieldError::new(
        pointer,
        FieldCode::InvalidValue,
        "Must be the id of a saved payment method, meth_…, or of Stripe's, pm_….",
    ));
    None
}

/// What is to change about a subscription: a JSON merge patch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"metadata": {"ticket": "4711", "region": null}}))]
pub struct SubscriptionPatch {
    /// Keys to set, or to remove with `null`; `null` for all of it removes every key.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, value_type = Option<MetadataPatch>)]
    #[expect(
        clippy::option_option,
        reason = "absent, null and a value are three things"
    )]
    metadata: Option<Option<BTreeMap<String, Option<String>>>>,
}

impl SubscriptionPatch {
    pub(super) fn checked(self) -> Result<Option<MetadataChange>, Error> {
        let Some(pairs) = self.metadata else {
            return Ok(None);
        };
        let Some(pairs) = pairs else {
            return Ok(Some(MetadataChange::Clear));
        };
        let mut errors = Vec::new();
        let set = pairs
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        text::metadata("/metadata", set.collect(), &mut errors);
        if errors.is_empty() {
            Ok(Some(MetadataChange::Merge(pairs.into_iter().collect())))
        } else {
            Err(Error::fields(errors))
        }
    }
}

/// How a subscription is to end.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"at": "now"}))]
pub struct SubscriptionCancel {
    /// When.
    at: SubscriptionCancelTime,
    /// With `at: now`: whether what is still to be invoiced is invoiced now. Not unless said.
    #[serde(default)]
    #[schema(required = false)]
    invoice_now: Option<bool>,
    /// With `at: now`: what becomes of an invoice that is open; `void` unless said or `invoice_now`.
    #[serde(default)]
    #[schema(required = false)]
    open_invoice: Option<OpenInvoiceChoice>,
}

/// When a subscription ends.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionCancelTime {
    /// At once.
    Now,
    /// With the period that is paid.
    PeriodEnd,
}

/// What becomes of an open invoice when a subscription ends.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenInvoiceChoice {
    /// It is void: nothing is owed any more.
    Void,
    /// It stays open, to be paid by hand.
    Keep,
}

impl From<SubscriptionCancel> for CancelInput {
    fn from(cancel: SubscriptionCancel) -> Self {
        Self {
            at: match cancel.at {
                SubscriptionCancelTime::Now => CancelTime::Now,
                SubscriptionCancelTime::PeriodEnd => CancelTime::PeriodEnd,
            },
            invoice_now: cancel.invoice_now.unwrap_or(false),
            open_invoice: match cancel.open_invoice {
                None | Some(OpenInvoiceChoice::Void) => OpenInvoice::Void,
                Some(OpenInvoiceChoice::Keep) => OpenInvoice::Keep,
            },
        }
    }
}

/// Which subscriptions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubscriptionListParams {
    /// How many at most, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub(super) limit: Option<u16>,
    /// `next_cursor` of the page before. Opaque.
    #[param(max_length = 1024)]
    pub(super) cursor: Option<String>,
    /// Only of this customer: `org_…` or `ext:…`.
    #[param(required = false, value_type = CustomerName, inline, example = "ext:globex")]
    customer: Option<String>,
    /// Only to this product.
    #[param(max_length = 63)]
    product: Option<String>,
    /// Only to a plan of this name.
    #[param(max_length = 63)]
    plan: Option<String>,
    /// Only in this status.
    status: Option<SubscriptionStatus>,
    /// Only for this application.
    #[param(max_length = 255)]
    application: Option<String>,
    /// Only those made at or after this time.
    #[serde(rename = "created[gte]")]
    #[param(rename = "created[gte]", format = DateTime)]
    from: Option<String>,
    /// Only those made before this time.
    #[serde(rename = "created[lt]")]
    #[param(rename = "created[lt]", format = DateTime)]
    before: Option<String>,
}

impl SubscriptionListParams {
    /// The customer that is asked for, and the rest.
    pub(super) fn filter(self) -> Result<(Option<CustomerRef>, Filter), Error> {
        let mut errors = Vec::new();
        let mut time = |pointer: &str, value: Option<String>| {
            let text = value?;
            let read = Timestamp::parse_rfc3339(&text);
            if read.is_none() {
                errors.push(FieldError::new(
                    pointer,
                    FieldCode::InvalidValue,
                    "Must be a time as of RFC 3339.",
                ));
            }
            read
        };
        let from = time("?created[gte]", self.from);
        let before = time("?created[lt]", self.before);
        let customer = self.customer.map(|text| CustomerRef::parse(&text));
        if customer == Some(None) {
            errors.push(FieldError::new(
                "?customer",
                FieldCode::InvalidValue,
                "Must be org_… or ext: and the organization's id.",
            ));
        }
        if !errors.is_empty() {
            return Err(Error::fields(errors));
        }
        let filter = Filter {
            customer: None,
            product: narrowed_by("?product", self.product, 63)?,
            plan: narrowed_by("?plan", self.plan, 63)?,
            status: self.status.map(Status::from),
            application: narrowed_by("?application", self.application, 255)?,
            from,
            before,
        };
        Ok((customer.flatten(), filter))
    }
}
