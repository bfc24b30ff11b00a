//! Stripe's test bank accounts: debits that are `processing` first and settle later.
//!
//! Sources: <https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment#test-account-numbers>
//! and <https://docs.stripe.com/payments/sepa-debit/accept-a-payment#test-integration>.
//! United States accounts count as verified, as after Financial Connections: micro-deposits are
//! not played.

/// How a debit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// The money arrives.
    Succeeds,
    /// The bank returns the debit, with this failure.
    Fails(BankFailure),
    /// The money arrives and is disputed at once.
    Disputed,
    /// `processing` for ever, until it is canceled.
    Never,
}

/// Why a bank returns a debit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BankFailure {
    /// `charge.failure_code`.
    pub code: &'static str,
    /// `charge.failure_message`.
    pub message: &'static str,
}

/// When a debit ends, on the virtual clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pace {
    /// After the account's settlement delay.
    Normal,
    /// At least three minutes later.
    Delayed,
}

/// How a test bank account behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BankBehaviour {
    /// How a debit ends.
    pub settlement: Settlement,
    /// When it ends.
    pub pace: Pace,
}

const SUCCEEDS: BankBehaviour = BankBehaviour {
    settlement: Settlement::Succeeds,
    pace: Pace::Normal,
};

const fn fails(code: &'static str, message: &'static str) -> BankBehaviour {
    BankBehaviour {
        settlement: Settlement::Fails(BankFailure { code, message }),
        pace: Pace::Normal,
    }
}

const INSUFFICIENT: BankBehaviour = fails(
    "insufficient_funds",
    "The customer's account has insufficient funds to cover this payment.",
);
const SEPA_FAILED: BankBehaviour = fails(
    "incorrect_account_holder_name",
    "The bank account holder's name on file is incorrect. Ask the customer to check it.",
);
const WEEKLY_VOLUME: BankBehaviour = fails(
    "charge_exceeds_source_limit",
    "This charge exceeds the source's weekly limit for your business.",
);
const WEEKLY_COUNT: BankBehaviour = fails(
    "charge_exceeds_weekly_limit",
    "This charge exceeds your weekly processing limit.",
);

/// A United States test account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestBankAccount {
    /// The account number.
    pub number: &'static str,
    /// What follows `pm_usBankAccount_`.
    pub name: &'static str,
    /// How it behaves.
    pub behaviour: BankBehaviour,
}

const fn us(number: &'static str, name: &'static str, behaviour: BankBehaviour) -> TestBankAccount {
    TestBankAccount {
        number,
        name,
        behaviour,
    }
}

/// The routing number of Stripe's test bank.
pub const TEST_ROUTING_NUMBER: &str = "110000000";

/// The United States test accounts.
pub static TEST_BANK_ACCOUNTS: &[TestBankAccount] = &[
    us("000123456789", "success", SUCCEEDS),
    us(
        "000111111113",
        "accountClosed",
        fails(
            "account_closed",
            "The customer's bank account has been closed.",
        ),
    ),
    us(
        "000000004954",
        "riskLevelHighest",
        fails("card_declined", "Your payment method was declined."),
    ),
    us(
        "000111111116",
        "noAccount",
        fails(
            "no_account",
            "The customer's bank account could not be located.",
        ),
    ),
    us("000222222227", "insufficientFunds", INSUFFICIENT),
    us(
        "000333333335",
        "debitNotAuthorized",
        fails(
            "debit_not_authorized",
            "The customer has notified their bank that this payment was unauthorized.",
        ),
    ),
    us(
        "000444444440",
        "invalidCurrency",
        fails(
            "invalid_currency",
            "The bank was unable to process this payment because of its currency.",
        ),
    ),
    us(
        "000555555559",
        "dispute",
        BankBehaviour {
            settlement: Settlement::Disputed,
            pace: Pace::Normal,
        },
    ),
    us(
        "000000000009",
        "processing",
        BankBehaviour {
            settlement: Settlement::Never,
            pace: Pace::Normal,
        },
    ),
    us("000777777771", "weeklyLimitExceeded", WEEKLY_VOLUME),
    us(
        "000888888885",
        "tokenizedAccountNumberDeactivated",
        fails(
            "tokenized_account_number_deactivated",
            "The tokenized account number has been deactivated.",
        ),
    ),
];

impl TestBankAccount {
    /// The account with this number; any other number of 4 to 17 digits behaves like the one that
    /// succeeds, as in test mode.
    pub fn by_number(number: &str) -> Option<BankBehaviour> {
        if !(4..=17).contains(&number.len()) || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let known = TEST_BANK_ACCOUNTS
            .iter()
            .find(|account| account.number == number);
        Some(known.map_or(SUCCEEDS, |account| account.behaviour))
    }

    /// The account known as `pm_usBankAccount_<name>`.
    pub fn by_token(token: &str) -> Option<&'static Self> {
        let name = token.strip_prefix("pm_usBankAccount_")?;
        TEST_BANK_ACCOUNTS
            .iter()
            .find(|account| account.name == name)
    }
}

/// The last digits of a test IBAN's account part, and what they mean; the same in every country
/// for the limits and for insufficient funds.
const IBAN_ENDINGS: &[(&str, BankBehaviour)] = &[
    ("0000343434", WEEKLY_VOLUME),
    ("0000121212", WEEKLY_COUNT),
    ("0002222227", INSUFFICIENT),
];

/// Test IBANs that do not simply succeed.
const IBANS: &[(&str, BankBehaviour)] = &[
    // From the CLI's script for `checkout.session.async_payment_failed`.
    ("IT60X0542811101000000123456", SEPA_FAILED),
    ("AT321904300235473204", DELAYED_SUCCESS),
    ("AT861904300235473202", SEPA_FAILED),
    ("AT051904300235473205", DELAYED_FAILURE),
    ("AT591904300235473203", DISPUTED),
    ("DE08370400440532013003", DELAYED_SUCCESS),
    ("DE62370400440532013001", SEPA_FAILED),
    ("DE78370400440532013004", DELAYED_FAILURE),
    ("DE35370400440532013002", DISPUTED),
    // The one with which Stripe's CLI brings about `checkout.session.async_payment_failed`.
    ("IT60X0542811101000000123456", SEPA_FAILED),
    ("FR3020041010050500013M02609", DELAYED_SUCCESS),
    ("FR8420041010050500013M02607", SEPA_FAILED),
    ("FR7920041010050500013M02600", DELAYED_FAILURE),
    ("FR5720041010050500013M02608", DISPUTED),
];

const DELAYED_SUCCESS: BankBehaviour = BankBehaviour {
    settlement: Settlement::Succeeds,
    pace: Pace::Delayed,
};
const DELAYED_FAILURE: BankBehaviour = BankBehaviour {
    settlement: SEPA_FAILED.settlement,
    pace: Pace::Delayed,
};
const DISPUTED: BankBehaviour = BankBehaviour {
    settlement: Settlement::Disputed,
    pace: Pace::Normal,
};

/// How the account behind an IBAN behaves; `None` for something that is no IBAN.
pub fn iban_behaviour(iban: &str) -> Option<BankBehaviour> {
    if !is_iban(iban) {
        return None;
    }
    let exact = IBANS.iter().find(|(known, _)| *known == iban);
    let by_ending = IBAN_ENDINGS
        .iter()
        .find(|(ending, _)| iban.ends_with(ending));
    Some(
        exact
            .or(by_ending)
            .map_or(SUCCEEDS, |(_, behaviour)| *behaviour),
    )
}

/// The Austrian IBAN that always succeeds, for forms that offer a test account.
pub const IBAN_SUCCESS: &str = "AT611904300234573201";

/// Whether the text is an IBAN without spaces whose check digits are right (ISO 13616, mod 97).
fn is_iban(iban: &str) -> bool {
    if !(15..=34).contains(&iban.len()) || !iban.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return false;
    }
    let (head, tail) = iban.split_at(4);
    if !head.bytes().take(2).all(|b| b.is_ascii_uppercase())
        || !head.bytes().skip(2).all(|b| b.is_ascii_digit())
    {
        return false;
    }
    let remainder = tail
        .chars()
        .chain(head.chars())
        .try_fold(0_u32, |remainder, character| {
            let value = character.to_digit(36)?;
            Some(
                if value < 10 {
                    remainder * 10 + value
                } else {
                    remainder * 100 + value
                } % 97,
            )
        });
    remainder == Some(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn test_ibans_are_ibans() {
        for (iban, behaviour) in IBANS {
            assert_eq!(iban_behaviour(iban), Some(*behaviour), "{iban}");
        }
        assert_eq!(iban_behaviour(IBAN_SUCCESS), Some(SUCCEEDS));
        assert_eq!(iban_behaviour("DE89370400440532013000"), Some(SUCCEEDS));
        assert_eq!(iban_behaviour("AT981904300000343434"), Some(WEEKLY_VOLUME));
        assert_eq!(iban_behaviour("AT601904300000121212"), Some(WEEKLY_COUNT));
        assert_eq!(iban_behaviour("AT981904300002222227"), Some(INSUFFICIENT));
    }

    #[test]
    fn wrong_check_digits_are_refused() {
        assert_eq!(iban_behaviour("AT621904300234573201"), None);
        assert_eq!(iban_behaviour("at611904300234573201"), None);
        assert_eq!(iban_behaviour(""), None);
    }

    #[test]
    fn tokens_and_numbers_name_the_same_account() {
        for account in TEST_BANK_ACCOUNTS {
            let token = format!("pm_usBankAccount_{}", account.name);
            assert_eq!(TestBankAccount::by_token(&token), Some(account));
            assert_eq!(
                TestBankAccount::by_number(account.number),
                Some(account.behaviour)
            );
        }
        assert_eq!(TestBankAccount::by_number("12345678"), Some(SUCCEEDS));
        assert_eq!(TestBankAccount::by_number("12"), None);
        assert_eq!(TestBankAccount::by_number("12345678x"), None);
    }

    proptest! {
        #[test]
        fn no_input_breaks_the_iban_check(text in ".{0,40}") {
            let _behaviour = iban_behaviour(&text);
        }
    }
}
