//! Stripe's test cards: what they are and how they behave.
//!
//! The table itself is in [`super::card_table`]; its source is <https://docs.stripe.com/testing>.
//! A card number never leaves this module: what is kept of a card is the reference to its row,
//! its last four digits and a fingerprint.

use super::card_table::TEST_CARDS;
pub use super::card_traits::{
    Authentication, Brand, ChargeAnswer, Check, DisputeKind, Funding, RefundAnswer, Risk,
};
use super::decline::Decline;
use crate::ids::Ids;

/// How a test card behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Refused as soon as the card is verified: at attach, at a `SetupIntent`, at a charge.
    pub verify: Option<Decline>,
    /// The issuer's answer to a charge.
    pub charge: ChargeAnswer,
    /// When the issuer wants 3-D Secure.
    pub authentication: Authentication,
    /// A dispute that follows a successful charge.
    pub dispute: Option<DisputeKind>,
    /// The fate of a refund.
    pub refund: RefundAnswer,
    /// The check of the security code.
    pub cvc_check: Check,
    /// The check of the address's first line.
    pub line1_check: Check,
    /// The check of the postal code.
    pub postal_check: Check,
    /// Radar's opinion.
    pub risk: Risk,
    /// Enrolled in 3-D Secure: challenged whenever the caller asks for it.
    pub challenge: bool,
    /// The money is available at once instead of pending.
    pub bypass_pending: bool,
}

/// One of Stripe's test cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestCard {
    /// The number, digits only.
    pub number: &'static str,
    /// What follows `pm_card_` and `tok_` in the names under which the card is known.
    pub names: &'static [&'static str],
    /// The network.
    pub brand: Brand,
    /// The funding.
    pub funding: Funding,
    /// The issuer's country, ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// How it behaves.
    pub behaviour: Behaviour,
}

/// Why a card that was typed in is refused before the issuer is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardFault {
    /// `error.code`.
    pub code: &'static str,
    /// `error.decline_code`.
    pub decline_code: Option<&'static str>,
    /// `error.message`.
    pub message: &'static str,
    /// The field of the card at fault.
    pub field: &'static str,
}

impl TestCard {
    /// The last four digits.
    pub fn last4(&self) -> &'static str {
        self.number
            .get(self.number.len().saturating_sub(4)..)
            .unwrap_or_default()
    }

    /// The card known as `pm_card_<name>` or `tok_<name>`; `None` for anything else.
    pub fn by_token(token: &str) -> Option<&'static Self> {
        let name = token
            .strip_prefix("pm_card_")
            .or_else(|| token.strip_prefix("tok_"))?;
        TEST_CARDS.iter().find(|card| card.names.contains(&name))
    }

    /// The card with this number. Spaces and dashes between the digits are allowed, as Stripe does.
    ///
    /// # Errors
    /// `invalid_number` for anything but 12 to 19 digits, `incorrect_number` for a wrong check
    /// digit, `card_declined` with `test_mode_live_card` for a number that is no test number.
    pub fn by_number(number: &str) -> Result<&'static Self, CardFault> {
        let digits: String = number.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        if !(12..=19).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(CardFault {
                code: "invalid_number",
                decline_code: None,
                message: "The card number is not a valid credit card number.",
                field: "number",
            });
        }
        if !passes_luhn(&digits) {
            let words = Decline::IncorrectNumber.words();
            return Err(CardFault {
                code: words.code,
                decline_code: None,
                message: words.message,
                field: "number",
            });
        }
        TEST_CARDS
            .iter()
            .find(|card| card.number == digits)
            .ok_or_else(|| {
                let words = Decline::LiveCardInTestMode.words();
                CardFault {
                    code: words.code,
                    decline_code: words.decline_code,
                    message: words.message,
                    field: "number",
                }
            })
    }

    /// Checks a security code that came with the number.
    ///
    /// # Errors
    /// `invalid_cvc` unless it has three digits (four for American Express).
    pub fn check_cvc(&self, cvc: &str) -> Result<(), CardFault> {
        if cvc.len() == self.brand.cvc_length() && cvc.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(());
        }
        Err(CardFault {
            code: "invalid_cvc",
            decline_code: None,
            message: "Your card's security code is invalid.",
            field: "cvc",
        })
    }

    /// A fingerprint: the same for the same number, 16 characters as Stripe's, and not to be
    /// turned back into the number by anyone who does not have the table of test numbers.
    pub fn fingerprint(&self, account: &str) -> String {
        fingerprint(account, self.number)
    }

    /// Whether the card can be challenged when the caller asks for 3-D Secure. Only the cards made
    /// for testing 3-D Secure are; the others answer `attempt_acknowledged` without a challenge.
    pub const fn supports_challenge(&self) -> bool {
        self.behaviour.challenge
    }

    /// Whether the issuer asks for 3-D Secure.
    pub const fn wants_authentication(&self, off_session: bool, set_up: bool) -> bool {
        match self.behaviour.authentication {
            Authentication::Never => false,
            Authentication::Always => true,
            Authentication::UnlessSetUp => !(off_session && set_up),
            Authentication::OnSessionOnly => !off_session,
        }
    }
}

/// Checks an expiry date against the present month, and widens a two-digit year.
///
/// # Errors
/// `invalid_expiry_month` unless 1 to 12; `invalid_expiry_year` for a year before `now_year` or
/// more than 50 years ahead; `expired_card` never: an expired month of this year is
/// `invalid_expiry_month`, as in Stripe's test mode.
pub fn check_expiry(
    month: i64,
    year: i64,
    (now_year, now_month): (i64, i64),
) -> Result<(u8, u16), CardFault> {
    let fault = |code, message, field| CardFault {
        code,
        decline_code: None,
        message,
        field,
    };
    let bad_month = fault(
        "invalid_expiry_month",
        "Your card's expiration month is invalid.",
        "exp_month",
    );
    let bad_year = fault(
        "invalid_expiry_year",
        "Your card's expiration year is invalid.",
        "exp_year",
    );
    let month_number = u8::try_from(month).map_err(|_| bad_month)?;
    if !(1..=12).contains(&month_number) {
        return Err(bad_month);
    }
    let year = if (0..100).contains(&year) {
        year.saturating_add(2000)
    } else {
        year
    };
    if year < now_year || year > now_year.saturating_add(50) {
        return Err(bad_year);
    }
    if year == now_year && month < now_month {
        return Err(bad_month);
    }
    Ok((month_number, u16::try_from(year).map_err(|_| bad_year)?))
}

/// Whether a string of digits passes the Luhn check (ISO/IEC 7812-1).
fn passes_luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte.wrapping_sub(b'0'));
            match (place % 2, digit) {
                (0, _) => digit,
                (_, 0..=4) => digit * 2,
                _ => digit * 2 - 9,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// 16 base62 characters out of FNV-1a over account and secret: a label for equality between
/// objects of one account, not a secret-keeping hash.
pub(super) fn fingerprint(account: &str, secret: &str) -> String {
    let hash = account
        .bytes()
        .chain([0])
        .chain(secret.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    Ids::new(hash).base62(16)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn card(token: &str) -> &'static TestCard {
        TestCard::by_token(token).unwrap_or_else(|| panic!("{token} is not in the table"))
    }

    #[test]
    fn every_number_passes_its_check_digit_and_stands_once() {
        let mut seen = HashSet::new();
        for card in TEST_CARDS {
            assert!(passes_luhn(card.number), "{}", card.number);
            assert!(seen.insert(card.number), "{} stands twice", card.number);
            assert_eq!(TestCard::by_number(card.number), Ok(card));
        }
    }

    #[test]
    fn every_name_stands_once() {
        let mut seen = HashSet::new();
        for name in TEST_CARDS.iter().flat_map(|card| card.names) {
            assert!(seen.insert(name), "{name} stands twice");
        }
    }

    #[test]
    fn tokens_and_payment_methods_name_the_same_card() {
        assert_eq!(card("pm_card_visa"), card("tok_visa"));
        assert_eq!(card("pm_card_visa").last4(), "4242");
        assert_eq!(card("tok_amex").last4(), "8431");
        assert_eq!(
            card("pm_card_chargeDeclined"),
            card("pm_card_visa_chargeDeclined")
        );
        assert_eq!(TestCard::by_token("pm_1abc"), None);
        assert_eq!(TestCard::by_token("pm_card_nonsense"), None);
    }

    #[test]
    fn declines_carry_stripes_codes() {
        let expected = [
            (
                "chargeDeclined",
                "card_declined",
                Some("generic_decline"),
                None,
            ),
            (
                "chargeDeclinedInsufficientFunds",
                "card_declined",
                Some("insufficient_funds"),
                None,
            ),
            (
                "chargeDeclinedLostCard",
                "card_declined",
                Some("lost_card"),
                None,
            ),
            (
                "chargeDeclinedStolenCard",
                "card_declined",
                Some("stolen_card"),
                None,
            ),
            (
                "chargeDeclinedExpiredCard",
                "expired_card",
                Some("expired_card"),
                Some("exp_month"),
            ),
            (
                "chargeDeclinedIncorrectCvc",
                "incorrect_cvc",
                Some("incorrect_cvc"),
                Some("cvc"),
            ),
            (
                "chargeDeclinedProcessingError",
                "processing_error",
                Some("processing_error"),
                None,
            ),
            (
                "chargeDeclinedFraudulent",
                "card_declined",
                Some("fraudulent"),
                None,
            ),
        ];
        for (name, code, decline_code, param) in expected {
            let behaviour = card(&format!("pm_card_{name}")).behaviour;
            let words = behaviour.verify.map(Decline::words).unwrap();
            assert_eq!(
                (words.code, words.decline_code, words.param),
                (code, decline_code, param)
            );
            assert_eq!(
                behaviour.charge,
                ChargeAnswer::Decline(behaviour.verify.unwrap())
            );
        }
    }

    #[test]
    fn the_customer_fail_card_attaches_and_declines_later() {
        let behaviour = card("pm_card_chargeCustomerFail").behaviour;
        assert_eq!(behaviour.verify, None);
        assert_eq!(behaviour.charge, ChargeAnswer::Decline(Decline::Generic));
    }

    #[test]
    fn authentication_depends_on_session_and_set_up() {
        let table = [
            ("authenticationRequired", [true, true, true, true]),
            ("authenticationRequiredOnSetup", [true, true, true, false]),
            (
                "authenticationRequiredSetupForOffSession",
                [true, true, false, false],
            ),
            ("visa", [false, false, false, false]),
        ];
        for (name, expected) in table {
            let card = card(&format!("pm_card_{name}"));
            let got = [(false, false), (false, true), (true, false), (true, true)]
                .map(|(off_session, set_up)| card.wants_authentication(off_session, set_up));
            assert_eq!(got, expected, "{name}");
        }
    }

    #[test]
    fn numbers_are_refused_with_stripes_codes() {
        let code = |number| TestCard::by_number(number).unwrap_err().code;
        assert_eq!(code("4242424242424241"), "incorrect_number");
        assert_eq!(code("4242"), "invalid_number");
        assert_eq!(code("4242 4242 4242 424x"), "invalid_number");
        // A valid number that is no test number.
        let fault = TestCard::by_number("4539578763621486").unwrap_err();
        assert_eq!(
            (fault.code, fault.decline_code),
            ("card_declined", Some("test_mode_live_card"))
        );
        assert!(TestCard::by_number("4242-4242 4242 4242").is_ok());
    }

    #[test]
    fn expiry_dates_are_checked_against_the_present_month() {
        let now = (2026, 11);
        let code = |month, year| check_expiry(month, year, now).map_err(|fault| fault.code);
        assert_eq!(code(12, 2026), Ok((12, 2026)));
        assert_eq!(code(11, 26), Ok((11, 2026)));
        assert_eq!(code(10, 2026), Err("invalid_expiry_month"));
        assert_eq!(code(13, 2030), Err("invalid_expiry_month"));
        assert_eq!(code(0, 2030), Err("invalid_expiry_month"));
        assert_eq!(code(1, 2025), Err("invalid_expiry_year"));
        assert_eq!(code(1, 1970), Err("invalid_expiry_year"));
        assert_eq!(code(1, i64::MAX), Err("invalid_expiry_year"));
    }

    #[test]
    fn security_codes_have_three_digits_and_four_on_american_express() {
        assert!(card("pm_card_visa").check_cvc("123").is_ok());
        assert_eq!(
            card("pm_card_visa").check_cvc("99").unwrap_err().code,
            "invalid_cvc"
        );
        assert!(card("pm_card_amex").check_cvc("1234").is_ok());
        assert!(card("pm_card_amex").check_cvc("12a4").is_err());
    }

    #[test]
    fn fingerprints_are_equal_only_within_one_account() {
        let visa = card("pm_card_visa");
        assert_eq!(visa.fingerprint("acct_1"), visa.fingerprint("acct_1"));
        assert_ne!(visa.fingerprint("acct_1"), visa.fingerprint("acct_2"));
        assert_ne!(
            visa.fingerprint("acct_1"),
            card("pm_card_amex").fingerprint("acct_1")
        );
        assert_eq!(visa.fingerprint("acct_1").len(), 16);
    }

    proptest! {
        #[test]
        fn no_input_breaks_the_number_check(number in ".{0,40}") {
            let _known = TestCard::by_number(&number);
        }

        #[test]
        fn changing_one_digit_never_passes_the_check(index in 0_usize..16, digit in 0_u8..10) {
            let mut number = *b"4242424242424242";
            let wrong = b'0' + digit;
            prop_assume!(number[index] != wrong);
            number[index] = wrong;
            prop_assert!(!passes_luhn(std::str::from_utf8(&number).unwrap()));
        }
    }
}
