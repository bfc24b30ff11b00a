//! What was made of a document, field by field.

use serde::{Deserialize, Serialize};

use crate::domain::card_guard::holds_card_number;
use crate::domain::secret_guard::holds_secret;

/// Characters of a name or value of the document that a report repeats.
const SHOWN_CHARS: usize = 100;

/// What was made of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The product's own fields, in the order they were read.
    pub fields: Vec<FieldReport>,
    /// Its plans, in the order they were read.
    pub plans: Vec<PlanReport>,
}

impl Report {
    /// Whether everything that had to be taken was taken, so that the product may be stored.
    pub fn is_clean(&self) -> bool {
        let clean =
            |fields: &[FieldReport]| fields.iter().all(|f| f.result != FieldResult::Refused);
        clean(&self.fields) && self.plans.iter().all(|plan| clean(&plan.fields))
    }
}

/// What was made of one plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReport {
    /// Its name in the document.
    pub name: String,
    /// Its name here; `None` when it can have none.
    pub id: Option<String>,
    /// The pricing model it got; `None` when the plan was refused.
    pub model: Option<String>,
    /// Whether a subscription needs a payment method from the start; `None` when the plan was
    /// refused.
    pub needs_payment_method: Option<bool>,
    /// Its fields, in the order they were read.
    pub fields: Vec<FieldReport>,
}

/// What was made of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldReport {
    /// Where it stands in the plan or product, such as `billing.price`.
    pub field: String,
    /// What it became, if it was taken. A refused value is not repeated.
    pub value: Option<String>,
    /// What was done with it.
    pub result: FieldResult,
    /// Why, if there is more to say.
    pub reason: Option<String>,
}

/// What was done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldResult {
    /// It became part of the product.
    Taken,
    /// It is left out, and nothing about money changes by that.
    Ignored,
    /// It cannot be taken, and the plan or product cannot do without it.
    Refused,
}

impl FieldResult {
    /// The word as it stands in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
        }
    }
}

impl FieldReport {
    pub(super) fn taken(field: impl Into<String>, value: impl AsRef<str>) -> Self {
        Self {
            field: field.into(),
            value: Some(shown(value.as_ref())),
            result: FieldResult::Taken,
            reason: None,
        }
    }

    pub(super) fn ignored(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            value: None,
            result: FieldResult::Ignored,
            reason: Some(reason.into()),
        }
    }

    pub(super) fn refused(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            value: None,
            result: FieldResult::Refused,
            reason: Some(reason.into()),
        }
    }

    pub(super) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// Text of the document as a report may repeat it: bounded, and without what must be kept nowhere.
pub(super) fn shown(text: &str) -> String {
    if holds_card_number(text) || holds_secret(text) {
        return "(withheld)".to_owned();
    }
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(SHOWN_CHARS).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}
