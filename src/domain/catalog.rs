//! What a portal publishes: products and their plans, and what a new version of a product changes.

use super::card_guard::holds_card_number;
use super::error::{FieldCode, FieldError};
use super::pricing::{Pricing, PricingDraft};
use super::secret_guard::holds_secret;
use super::slug::Slug;
use super::stripe_link::StripeLink;
use super::text;
use crate::clock::Timestamp;

mod diff;
#[cfg(test)]
mod tests;

pub use diff::{KnownPlan, PlanChange, PlanDiff, diff};

/// What no product can be named: where documents are imported, under the address of products.
pub const NOT_A_PRODUCT: &str = "import";

/// Characters of a product's or plan's title.
pub const TITLE_MAX_CHARS: usize = 200;
/// Characters of a product's or plan's description.
pub const DESCRIPTION_MAX_CHARS: usize = 4_000;
/// Characters of a product's version.
pub const VERSION_MAX_CHARS: usize = 63;
/// Plans of one product.
pub const PLANS_MAX: usize = 50;

/// A product as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its name in the portal, chosen by the caller.
    pub id: Slug,
    /// For people.
    pub title: String,
    /// Of what it offers, in the caller's own scheme, such as `1.0.0`.
    pub version: String,
    /// For people; may be empty and may have several lines.
    pub description: String,
    /// Where it is in its life.
    pub state: ProductState,
    /// Chosen by chance when it was made, so that nothing at Stripe that stood for another product of
    /// the same name is taken for its own.
    pub nonce: String,
    /// The plans that can be had, in the caller's order; after them those that once could.
    pub plans: Vec<StoredPlan>,
    /// Counts changes.
    pub changes: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A plan as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name in the product, chosen by the caller.
    pub id: Slug,
    /// For people.
    pub title: String,
    /// For people; may be empty and may have several lines.
    pub description: String,
    /// Whether a subscription waits for the portal's approval before anything is charged.
    pub approval_required: bool,
    /// What it costs.
    pub pricing: Pricing,
    /// Counts its prices, from 1: a price never changes in place.
    pub revision: i64,
}

/// A plan with what stands for it at Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPlan {
    /// The plan, and whether it can still be had.
    pub known: KnownPlan,
    /// The Product it was last published as.
    pub product: Option<ProductAtStripe>,
    /// The Price its current revision was last published as.
    pub price: Option<PriceAtStripe>,
}

/// The Product at Stripe that stands for a plan, as it was last told to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductAtStripe {
    /// Where it is.
    pub link: StripeLink,
    /// What customers read on invoices.
    pub name: String,
    /// Whether it was taken out of use.
    pub archived: bool,
}

/// The Price at Stripe that stands for a revision of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceAtStripe {
    /// Where it is.
    pub link: StripeLink,
    /// Whether it was taken out of use: it bills those who have it and takes nobody new.
    pub archived: bool,
}

/// A Price that takes subscribers, as far as is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPrice {
    /// The plan.
    pub plan: Slug,
    /// Its revision.
    pub revision: i64,
    /// `price_…`.
    pub price: String,
}

/// A plan as somebody who wants to subscribe meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOnOffer {
    /// The state of its product.
    pub product_state: ProductState,
    /// The title of its product.
    pub product_title: String,
    /// The plan with its current revision.
    pub plan: Plan,
    /// Whether the plan can no longer be had.
    pub withdrawn: bool,
    /// The Product at Stripe, once there is one.
    pub stripe_product: Option<StripeLink>,
    /// The Price at Stripe, once there is one that takes subscribers.
    pub stripe_price: Option<StripeLink>,
}

impl PlanOnOffer {
    /// Whether it takes new subscribers, as far as the catalog goes. A paid plan also needs its
    /// Price in the account and mode the portal uses now.
    pub const fn takes_subscribers(&self) -> bool {
        self.product_state.takes_subscribers() && !self.withdrawn
    }
}

/// A revision of a plan, which stays as it is for its subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRevision {
    /// What it costs.
    pub pricing: Pricing,
    /// The Price at Stripe that stands for it, if one was ever made.
    pub stripe_price: Option<StripeLink>,
}

/// Where a product is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductState {
    /// Being prepared; nobody can subscribe.
    Draft,
    /// Can be subscribed to.
    Published,
    /// Goes on for those who have it; nobody new.
    Deprecated,
    /// Gone, for everybody.
    Retired,
}

impl ProductState {
    /// Every state there is.
    pub const ALL: &'static [Self] = &[
        Self::Draft,
        Self::Published,
        Self::Deprecated,
        Self::Retired,
    ];

    /// The word as it stands in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Deprecated => "deprecated",
            Self::Retired => "retired",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|own| own.as_str() == text)
    }

    /// Whether a new subscription may be made.
    pub const fn takes_subscribers(self) -> bool {
        matches!(self, Self::Published)
    }

    /// Whether subscriptions that exist go on. A product leaves this set only when none is live.
    pub const fn keeps_subscribers(self) -> bool {
        matches!(self, Self::Published | Self::Deprecated)
    }

    /// Whether a product in this state may be given that one.
    ///
    /// A published product has subscribers, so it never is a draft again; a retired one has none
    /// and can be worked over.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Draft => !matches!(next, Self::Deprecated),
            Self::Published | Self::Deprecated => !matches!(next, Self::Draft),
            Self::Retired => matches!(next, Self::Draft | Self::Retired),
        }
    }
}

/// A product as a caller wants it, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductContent {
    /// For people.
    pub title: String,
    /// In the caller's own scheme.
    pub version: String,
    /// For people.
    pub description: String,
    /// Where it is to be in its life.
    pub state: ProductState,
    /// In the caller's order; ids are unique.
    pub plans: Vec<PlanContent>,
}

/// A plan as a caller wants it, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanContent {
    /// Its name in the product.
    pub id: Slug,
    /// For people.
    pub title: String,
    /// For people.
    pub description: String,
    /// Whether a subscription waits for approval.
    pub approval_required: bool,
    /// What it costs.
    pub pricing: Pricing,
}

/// A product as a caller gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductDraft {
    /// For people.
    pub title: String,
    /// In the caller's own scheme.
    pub version: String,
    /// For people.
    pub description: String,
    /// The state's word.
    pub state: String,
    /// In the caller's order.
    pub plans: Vec<PlanDraft>,
}

/// A plan as a caller gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanDraft {
    /// Its name in the product.
    pub id: String,
    /// For people.
    pub title: String,
    /// For people.
    pub description: String,
    /// Whether a subscription waits for approval.
    pub approval_required: bool,
    /// What it costs.
    pub pricing: PricingDraft,
}

impl ProductContent {
    /// Whether any plan ever costs anything, so that Stripe is needed.
    pub fn is_paid(&self) -> bool {
        self.plans.iter().any(|plan| plan.pricing.is_paid())
    }
}

impl Product {
    /// The plans that can be had, in the caller's order.
    pub fn offered(&self) -> impl Iterator<Item = &StoredPlan> {
        self.plans.iter().filter(|plan| !plan.known.withdrawn)
    }

    /// The plan of that name, if it can be had.
    pub fn plan(&self, id: &Slug) -> Option<&StoredPlan> {
        self.offered().find(|plan| plan.known.plan.id == *id)
    }
}

impl ProductDraft {
    /// Checks everything.
    ///
    /// # Errors
    /// Every refused field, with pointers such as `/plans/0/pricing/price/amount`.
    pub fn check(&self) -> Result<ProductContent, Vec<FieldError>> {
        let mut errors = Vec::new();
        let title = text::line("/title", &self.title, TITLE_MAX_CHARS, &mut errors);
        let version = text::line("/version", &self.version, VERSION_MAX_CHARS, &mut errors);
        let description = paragraphs("/description", &self.description, &mut errors);
        let state = ProductState::parse(&self.state);
        if state.is_none() {
            errors.push(FieldError::new(
                "/state",
                FieldCode::InvalidValue,
                "Must be draft, published, deprecated or retired.",
            ));
        }
        if self.plans.len() > PLANS_MAX {
            errors.push(FieldError::new(
                "/plans",
                FieldCode::TooMany,
                format!("Must have at most {PLANS_MAX} entries."),
            ));
            return Err(errors);
        }
        let mut plans: Vec<PlanContent> = Vec::with_capacity(self.plans.len());
        for (index, draft) in self.plans.iter().enumerate() {
            let base = format!("/plans/{index}");
            let earlier = self.plans.iter().take(index);
            if earlier.into_iter().any(|other| other.id == draft.id) {
                errors.push(FieldError::new(
                    format!("{base}/id"),
                    FieldCode::InvalidValue,
                    "Another plan of this product has the same id.",
                ));
            }
            plans.extend(draft.check(&base, &mut errors));
        }
        match state {
            Some(state) if errors.is_empty() => Ok(ProductContent {
                title,
                version,
                description,
                state,
                plans,
            }),
            _ => Err(errors),
        }
    }
}

impl PlanDraft {
    /// Checks everything; refusals go to `errors` with pointers below `base`, and then there is no
    /// plan.
    pub fn check(&self, base: &str, errors: &mut Vec<FieldError>) -> Option<PlanContent> {
        let before = errors.len();
        let id = Slug::parse_field(&format!("{base}/id"), &self.id)
            .map_err(|error| errors.push(error))
            .ok();
        let title = text::line(
            &format!("{base}/title"),
            &self.title,
            TITLE_MAX_CHARS,
            errors,
        );
        let description = paragraphs(&format!("{base}/description"), &self.description, errors);
        let pricing = self.pricing.check(&format!("{base}/pricing"), errors);
        if errors.len() > before {
            return None;
        }
        Some(PlanContent {
            id: id?,
            title,
            description,
            approval_required: self.approval_required,
            pricing: pricing?,
        })
    }
}

/// Takes text of several lines, which may be empty: bounded, no control characters but line ends and
/// tabs. White space at both ends is cut off. Refusals go to `errors`.
pub fn paragraphs(pointer: &str, value: &str, errors: &mut Vec<FieldError>) -> String {
    let refused = if value.chars().count() > DESCRIPTION_MAX_CHARS {
        Some((
            FieldCode::TooLong,
            format!("Must be at most {DESCRIPTION_MAX_CHARS} characters."),
        ))
    } else if value
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        Some((
            FieldCode::InvalidValue,
            "Must not hold control characters but line ends and tabs.".to_owned(),
        ))
    } else if holds_card_number(value) {
        Some((
            FieldCode::PanDetected,
            "Looks like a card number, which must not stand here.".to_owned(),
        ))
    } else if holds_secret(value) {
        Some((
            FieldCode::SecretDetected,
            "Looks like a secret key or a token, which must not stand here.".to_owned(),
        ))
    } else {
        None
    };
    errors.extend(refused.map(|(code, detail)| FieldError::new(pointer, code, detail)));
    value.trim().to_owned()
}
