//! What a payment method pays with, and what comes of an attempt to pay.

use super::bank::{BankBehaviour, Settlement};
use super::cards::{ChargeAnswer, TestCard};
use super::decline::Decline;

/// The money behind a payment method. No number is kept: of a card, the row of the table it was
/// found in; of a bank account, its last four digits, its fingerprint and its behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Instrument {
    /// A card.
    Card(Card),
    /// A United States bank account, debited by ACH.
    UsBankAccount(UsBankAccount),
    /// A SEPA bank account.
    SepaDebit(SepaDebit),
}

/// A card as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Card {
    pub(crate) test: &'static TestCard,
    /// 1 to 12.
    pub(crate) exp_month: u8,
    /// Four digits.
    pub(crate) exp_year: u16,
    /// Whether a security code was given, and so was checked.
    pub(crate) cvc_given: bool,
    pub(crate) fingerprint: String,
}

/// A United States bank account as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsBankAccount {
    pub(crate) last4: String,
    pub(crate) routing_number: String,
    pub(crate) account_holder_type: &'static str,
    pub(crate) account_type: &'static str,
    pub(crate) fingerprint: String,
    pub(crate) behaviour: BankBehaviour,
}

/// A SEPA bank account as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SepaDebit {
    pub(crate) country: String,
    pub(crate) bank_code: String,
    pub(crate) last4: String,
    pub(crate) fingerprint: String,
    pub(crate) behaviour: BankBehaviour,
}

/// Whether the customer is there to authenticate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Presence {
    /// There: the bank may ask for authentication.
    #[default]
    OnSession,
    /// There, and has just passed the bank's authentication for this very payment.
    Authenticated,
    /// Not there: where the bank wants authentication, it declines.
    OffSession,
    /// Not there, but reachable: an invoice collects, and where the bank wants authentication the
    /// intent waits in `requires_action` and `invoice.payment_action_required` asks the customer.
    Recurring,
}

/// The circumstances of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Circumstances {
    pub(crate) presence: Presence,
    /// The method has been set up for off-session use before.
    pub(crate) set_up: bool,
    /// `payment_method_options[card][request_three_d_secure]` is `any` or `challenge`.
    pub(crate) three_d_secure_requested: bool,
}

/// What the bank answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done.
    Approved,
    /// Refused.
    Declined(Decline),
    /// The customer has to authenticate first.
    AuthenticationNeeded,
    /// Taken, and known later.
    Pending(BankBehaviour),
}

impl Instrument {
    /// The payment method's `type`.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Card(_) => "card",
            Self::UsBankAccount(_) => "us_bank_account",
            Self::SepaDebit(_) => "sepa_debit",
        }
    }

    /// Whether a debit needs the customer's mandate.
    pub(crate) const fn needs_mandate(&self) -> bool {
        matches!(self, Self::UsBankAccount(_) | Self::SepaDebit(_))
    }

    /// The card, for cards.
    pub(crate) const fn card(&self) -> Option<&Card> {
        match self {
            Self::Card(card) => Some(card),
            _ => None,
        }
    }

    /// The bank's answer when the method is stored without a payment: at attach, and, with the
    /// customer present, in a `SetupIntent`.
    pub(crate) fn answer_to_setup(&self, circumstances: Circumstances) -> Answer {
        match self {
            Self::Card(card) => match card.test.behaviour.verify {
                Some(decline) => Answer::Declined(decline),
                None if card.asks_for_authentication(circumstances) => Answer::AuthenticationNeeded,
                None => Answer::Approved,
            },
            _ => Answer::Approved,
        }
    }

    /// The bank's answer to a charge.
    pub(crate) fn answer_to_charge(&self, circumstances: Circumstances) -> Answer {
        match self {
            Self::Card(card) => {
                if let Some(decline) = card.test.behaviour.verify {
                    return Answer::Declined(decline);
                }
                if card.asks_for_authentication(circumstances) {
                    return Answer::AuthenticationNeeded;
                }
                match card.test.behaviour.charge {
                    ChargeAnswer::Approve => Answer::Approved,
                    ChargeAnswer::Decline(decline) => Answer::Declined(decline),
                }
            }
            Self::UsBankAccount(account) => Answer::Pending(account.behaviour),
            Self::SepaDebit(account) => Answer::Pending(account.behaviour),
        }
    }

    /// Whether a settled charge is disputed at once.
    pub(crate) const fn is_disputed_bank(&self) -> bool {
        match self {
            Self::UsBankAccount(UsBankAccount { behaviour, .. })
            | Self::SepaDebit(SepaDebit { behaviour, .. }) => {
                matches!(behaviour.settlement, Settlement::Disputed)
            }
            Self::Card(_) => false,
        }
    }
}

impl Card {
    fn asks_for_authentication(&self, circumstances: Circumstances) -> bool {
        let Circumstances {
            presence,
            set_up,
            three_d_secure_requested,
        } = circumstances;
        match presence {
            Presence::Authenticated => false,
            Presence::OnSession => {
                self.test.wants_authentication(false, set_up)
                    || (three_d_secure_requested && self.test.supports_challenge())
            }
            Presence::OffSession | Presence::Recurring => {
                self.test.wants_authentication(true, set_up)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::card_table::TEST_CARDS;
    use super::*;

    fn instrument(test: &'static TestCard) -> Instrument {
        Instrument::Card(Card {
            test,
            exp_month: 12,
            exp_year: 2030,
            cvc_given: true,
            fingerprint: String::new(),
        })
    }

    fn any_circumstances() -> impl Strategy<Value = Circumstances> {
        let presences = [
            Presence::OnSession,
            Presence::Authenticated,
            Presence::OffSession,
            Presence::Recurring,
        ];
        (
            proptest::sample::select(presences.to_vec()),
            any::<bool>(),
            any::<bool>(),
        )
            .prop_map(
                |(presence, set_up, three_d_secure_requested)| Circumstances {
                    presence,
                    set_up,
                    three_d_secure_requested,
                },
            )
    }

    proptest! {
        #[test]
        fn nobody_is_asked_to_authenticate_twice(
            index in 0..TEST_CARDS.len(),
            circumstances in any_circumstances(),
        ) {
            let instrument = instrument(&TEST_CARDS[index]);
            let after = Circumstances { presence: Presence::Authenticated, ..circumstances };
            prop_assert_ne!(instrument.answer_to_charge(after), Answer::AuthenticationNeeded);
            prop_assert_ne!(instrument.answer_to_setup(after), Answer::AuthenticationNeeded);
        }

        #[test]
        fn a_card_that_cannot_be_stored_cannot_be_charged(
            index in 0..TEST_CARDS.len(),
            circumstances in any_circumstances(),
        ) {
            let instrument = instrument(&TEST_CARDS[index]);
            if let Answer::Declined(decline) = instrument.answer_to_setup(circumstances) {
                prop_assert_eq!(
                    instrument.answer_to_charge(circumstances),
                    Answer::Declined(decline)
                );
            }
        }
    }
}
