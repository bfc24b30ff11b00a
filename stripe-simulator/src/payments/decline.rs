//! Why a payment is refused: Stripe's `code`, `decline_code`, message and advice per reason.
//!
//! Source: <https://docs.stripe.com/declines/codes> and <https://docs.stripe.com/error-codes>;
//! the `advice_code` per test card as answered in Stripe's test mode.

/// A refusal by the issuer, by Radar or by the card's own data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decline {
    /// The issuer gave no reason.
    Generic,
    /// The account has not enough money.
    InsufficientFunds,
    /// The card is reported lost.
    LostCard,
    /// The card is reported stolen.
    StolenCard,
    /// The card's expiry date lies in the past.
    ExpiredCard,
    /// The security code is wrong.
    IncorrectCvc,
    /// The issuer or the network failed; trying again may work.
    ProcessingError,
    /// The card number does not pass its check digit.
    IncorrectNumber,
    /// Too many or too large payments on the card.
    VelocityExceeded,
    /// Radar or the issuer takes the payment for fraud.
    Fraudulent,
    /// Off session, and the issuer asks for 3-D Secure.
    AuthenticationRequired,
    /// A card number that is not one of Stripe's test numbers, used with a test key.
    LiveCardInTestMode,
}

/// Stripe's words for a [`Decline`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclineWords {
    /// `error.code`.
    pub code: &'static str,
    /// `error.decline_code`.
    pub decline_code: Option<&'static str>,
    /// `error.message`, written for the card's holder.
    pub message: &'static str,
    /// `error.param`, where the fault lies in one field of the card.
    pub param: Option<&'static str>,
    /// `error.advice_code`.
    pub advice_code: Option<&'static str>,
}

impl Decline {
    /// Stripe's words for this reason.
    pub const fn words(self) -> DeclineWords {
        match self {
            Self::Generic => issuer("generic_decline", "Your card was declined.", TRY_LATER),
            Self::InsufficientFunds => issuer(
                "insufficient_funds",
                "Your card has insufficient funds.",
                TRY_LATER,
            ),
            Self::LostCard => issuer("lost_card", "Your card was declined.", DO_NOT_TRY),
            Self::StolenCard => issuer("stolen_card", "Your card was declined.", DO_NOT_TRY),
            Self::ExpiredCard => card_data("expired_card", "Your card has expired.", "exp_month"),
            Self::IncorrectCvc => card_data(
                "incorrect_cvc",
                "Your card's security code is incorrect.",
                "cvc",
            ),
            Self::ProcessingError => DeclineWords {
                code: "processing_error",
                decline_code: Some("processing_error"),
                message: "An error occurred while processing your card. Try again in a little bit.",
                param: None,
                advice_code: TRY_LATER,
            },
            Self::IncorrectNumber => DeclineWords {
                code: "incorrect_number",
                decline_code: None,
                message: "Your card number is incorrect.",
                param: Some("number"),
                advice_code: None,
            },
            Self::VelocityExceeded => issuer(
                "card_velocity_exceeded",
                "Your card was declined for making repeated attempts too frequently or exceeding \
                 its amount limit.",
                TRY_LATER,
            ),
            Self::Fraudulent => issuer("fraudulent", "Your card was declined.", None),
            Self::AuthenticationRequired => DeclineWords {
                code: "authentication_required",
                decline_code: Some("authentication_required"),
                message: "Your card was declined. This transaction requires authentication.",
                param: None,
                advice_code: None,
            },
            Self::LiveCardInTestMode => issuer(
                "test_mode_live_card",
                "Your card was declined. Your request was in test mode, but used a non test \
                 (live) card. For a list of valid test cards, visit: \
                 https://stripe.com/docs/testing.",
                None,
            ),
        }
    }

    /// The two-digit answer of the card network, where one exists.
    pub const fn network_decline_code(self) -> Option<&'static str> {
        match self {
            Self::InsufficientFunds => Some("51"),
            Self::LostCard => Some("41"),
            Self::StolenCard => Some("43"),
            Self::ExpiredCard => Some("54"),
            Self::Generic => Some("01"),
            Self::VelocityExceeded => Some("65"),
            Self::AuthenticationRequired => Some("1A"),
            _ => None,
        }
    }
}

const TRY_LATER: Option<&str> = Some("try_again_later");
const DO_NOT_TRY: Option<&str> = Some("do_not_try_again");

const fn issuer(
    decline_code: &'static str,
    message: &'static str,
    advice_code: Option<&'static str>,
) -> DeclineWords {
    DeclineWords {
        code: "card_declined",
        decline_code: Some(decline_code),
        message,
        param: None,
        advice_code,
    }
}

const fn card_data(code: &'static str, message: &'static str, param: &'static str) -> DeclineWords {
    DeclineWords {
        code,
        decline_code: Some(code),
        message,
        param: Some(param),
        advice_code: Some("confirm_card_data"),
    }
}
