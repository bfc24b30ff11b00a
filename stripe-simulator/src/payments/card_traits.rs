//! The words in which a test card is described: what it is, and what its issuer answers.

use super::decline::Decline;

/// The card network, by Stripe's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Brand {
    /// American Express.
    Amex,
    /// Cartes Bancaires, carried by Visa or Mastercard.
    CartesBancaires,
    /// Diners Club.
    Diners,
    /// Discover.
    Discover,
    /// Eftpos Australia, carried by Visa or Mastercard.
    EftposAu,
    /// JCB.
    Jcb,
    /// Mastercard.
    Mastercard,
    /// `UnionPay`.
    Unionpay,
    /// Visa.
    Visa,
}

impl Brand {
    /// `payment_method.card.brand`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amex => "amex",
            Self::CartesBancaires => "cartes_bancaires",
            Self::Diners => "diners",
            Self::Discover => "discover",
            Self::EftposAu => "eftpos_au",
            Self::Jcb => "jcb",
            Self::Mastercard => "mastercard",
            Self::Unionpay => "unionpay",
            Self::Visa => "visa",
        }
    }

    /// `payment_method.card.display_brand`.
    pub const fn display_brand(self) -> &'static str {
        match self {
            Self::Amex => "american_express",
            Self::Diners => "diners_club",
            Self::EftposAu => "eftpos_australia",
            Self::Unionpay => "union_pay",
            other => other.as_str(),
        }
    }

    /// The brand as the legacy card object (`card_…`) writes it.
    pub const fn legacy_name(self) -> &'static str {
        match self {
            Self::Amex => "American Express",
            Self::CartesBancaires => "Cartes Bancaires",
            Self::Diners => "Diners Club",
            Self::Discover => "Discover",
            Self::EftposAu => "Eftpos Australia",
            Self::Jcb => "JCB",
            Self::Mastercard => "MasterCard",
            Self::Unionpay => "UnionPay",
            Self::Visa => "Visa",
        }
    }

    /// How many digits the security code has.
    pub(super) const fn cvc_length(self) -> usize {
        match self {
            Self::Amex => 4,
            _ => 3,
        }
    }
}

/// Where a card's money comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Funding {
    /// A credit line.
    Credit,
    /// A bank account.
    Debit,
    /// Money loaded beforehand.
    Prepaid,
}

impl Funding {
    /// `payment_method.card.funding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Debit => "debit",
            Self::Prepaid => "prepaid",
        }
    }
}

/// When the issuer asks the cardholder to authenticate (3-D Secure).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// Never.
    Never,
    /// On every transaction, also off session.
    Always,
    /// On every on-session transaction; off session until the card has been set up.
    UnlessSetUp,
    /// On on-session transactions only: off session it counts as set up already.
    OnSessionOnly,
}

/// What the issuer answers to a charge, after any authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChargeAnswer {
    /// Paid.
    Approve,
    /// Refused.
    Decline(Decline),
}

/// What becomes of a charge after it has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisputeKind {
    /// A chargeback for fraud; the funds are withdrawn at once.
    Fraudulent,
    /// A chargeback for goods that did not come; the funds are withdrawn at once.
    ProductNotReceived,
    /// An inquiry: asks, withdraws nothing yet.
    Inquiry,
    /// An early fraud warning, no dispute.
    EarlyFraudWarning,
}

/// What becomes of a refund to the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefundAnswer {
    /// Succeeds at once.
    Succeeds,
    /// `pending` first, then `succeeded`.
    Pending,
    /// `succeeded` first, then `failed`.
    Fails,
}

/// The result of one of the card checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    /// The value matches.
    Pass,
    /// The value does not match.
    Fail,
    /// The issuer does not check it.
    Unavailable,
}

impl Check {
    /// Stripe's word in `card.checks`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Radar's opinion of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Risk {
    /// Nothing unusual.
    Normal,
    /// Suspicious, let through.
    Elevated,
    /// Blocked by the default rules.
    Highest,
}

impl Risk {
    /// `charge.outcome.risk_level`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Elevated => "elevated",
            Self::Highest => "highest",
        }
    }

    /// `charge.outcome.risk_score`, in 0..=100.
    pub const fn score(self) -> u8 {
        match self {
            Self::Normal => 20,
            Self::Elevated => 70,
            Self::Highest => 90,
        }
    }
}
