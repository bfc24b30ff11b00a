//! Reads the money behind a payment method out of request parameters.

use super::bank::{TEST_ROUTING_NUMBER, TestBankAccount, iban_behaviour};
use super::cards::{CardFault, TestCard, check_expiry, fingerprint};
use super::instrument::{Card, Instrument, SepaDebit, UsBankAccount};
use crate::front::errors::StripeError;
use crate::params::Params;

/// What a new payment method is made for: whose account, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// The account's id, which salts fingerprints.
    pub(crate) account: &'a str,
    /// Present year and month on the account's clock.
    pub(crate) year_month: (i64, i64),
}

impl Setting<'_> {
    /// A card as Stripe's ready-made test objects have it: valid for a year from now.
    pub(crate) fn ready_card(self, test: &'static TestCard) -> Instrument {
        let (year, month) = self.year_month;
        Instrument::Card(Card {
            test,
            exp_month: u8::try_from(month).unwrap_or(12),
            exp_year: u16::try_from(year.saturating_add(1)).unwrap_or(9999),
            cvc_given: true,
            fingerprint: test.fingerprint(self.account),
        })
    }

    /// The instrument behind a ready-made `pm_card_…`, `pm_usBankAccount_…` or `tok_…`.
    pub(crate) fn ready_made(self, token: &str) -> Option<Instrument> {
        if let Some(test) = TestCard::by_token(token) {
            return Some(self.ready_card(test));
        }
        TestBankAccount::by_token(token).map(|account| {
            self.us_bank_account(
                account.number,
                TEST_ROUTING_NUMBER,
                None,
                None,
                account.behaviour,
            )
        })
    }

    /// Reads `type` and the hash named after it. `prefix` is the path of the hash the parameters
    /// stand in (`payment_method_data`), for the `param` of errors; empty at the top.
    pub(crate) fn read(self, params: Params<'_>, prefix: &str) -> Result<Instrument, StripeError> {
        let kind = params
            .required("type")
            .map_err(|_| StripeError::missing_param(&path(prefix, "type")))?;
        match kind {
            "card" => self.read_card(params, prefix),
            "us_bank_account" => self.read_us_bank_account(params, prefix),
            "sepa_debit" => self.read_sepa_debit(params, prefix),
            other => Err(StripeError::invalid(format!(
                "The payment method type \"{other}\" is invalid. Please ensure the provided type \
                 is activated in your dashboard \
                 (https://dashboard.stripe.com/account/payments/settings) and your account is \
                 enabled for any preview features that you are trying to use."
            ))
            .param(path(prefix, "type"))),
        }
    }

    fn read_card(self, params: Params<'_>, prefix: &str) -> Result<Instrument, StripeError> {
        let card = path(prefix, "card");
        let Some(fields) = params.child("card") else {
            return Err(StripeError::missing_param(&card));
        };
        if let Some(token) = fields.text("token") {
            let test = TestCard::by_token(token).ok_or_else(|| {
                StripeError::no_such_in("token", token, &format!("{card}[token]"))
            })?;
            return Ok(self.ready_card(test));
        }
        self.read_typed_card(fields, &card)
    }

    /// Reads number, expiry and security code.
    pub(crate) fn read_typed_card(
        self,
        fields: Params<'_>,
        card: &str,
    ) -> Result<Instrument, StripeError> {
        let at = |field: &str| {
            if card.is_empty() {
                field.to_owned()
            } else {
                format!("{card}[{field}]")
            }
        };
        let number = fields
            .text("number")
            .ok_or_else(|| StripeError::missing_param(&at("number")))?;
        let refuse = |fault: CardFault| {
            let error = StripeError::card(fault.code, fault.message).param(at(fault.field));
            match fault.decline_code {
                Some(code) => error.with("decline_code", code),
                None => error,
            }
        };
        let test = TestCard::by_number(number).map_err(refuse)?;
        let integer = |field: &str| {
            fields
                .integer(field)
                .ok_or_else(|| StripeError::missing_param(&at(field)))
        };
        let (exp_month, exp_year) =
            check_expiry(integer("exp_month")?, integer("exp_year")?, self.year_month)
                .map_err(refuse)?;
        let cvc = fields.text("cvc");
        if let Some(cvc) = cvc {
            test.check_cvc(cvc).map_err(refuse)?;
        }
        let fingerprint = test.fingerprint(self.account);
        Ok(Instrument::Card(Card {
            test,
            exp_month,
            exp_year,
            cvc_given: cvc.is_some(),
            fingerprint,
        }))
    }

    fn read_us_bank_account(
        self,
        params: Params<'_>,
        prefix: &str,
    ) -> Result<Instrument, StripeError> {
        let bank = path(prefix, "us_bank_account");
        let Some(fields) = params.child("us_bank_account") else {
            return Err(StripeError::missing_param(&bank));
        };
        let number = fields
            .text("account_number")
            .ok_or_else(|| StripeError::missing_param(&format!("{bank}[account_number]")))?;
        let routing = fields
            .text("routing_number")
            .ok_or_else(|| StripeError::missing_param(&format!("{bank}[routing_number]")))?;
        if routing.len() != 9 || !routing.bytes().all(|b| b.is_ascii_digit()) {
            return Err(
                StripeError::invalid("The routing number must have 9 digits.")
                    .code("routing_number_invalid")
                    .param(format!("{bank}[routing_number]")),
            );
        }
        let behaviour = TestBankAccount::by_number(number).ok_or_else(|| {
            StripeError::invalid("The bank account number provided is invalid.")
                .code("account_number_invalid")
                .param(format!("{bank}[account_number]"))
        })?;
        let holder = fields.text("account_holder_type");
        let kind = fields.text("account_type");
        Ok(self.us_bank_account(number, routing, holder, kind, behaviour))
    }

    fn us_bank_account(
        self,
        number: &str,
        routing: &str,
        holder: Option<&str>,
        kind: Option<&str>,
        behaviour: super::bank::BankBehaviour,
    ) -> Instrument {
        Instrument::UsBankAccount(UsBankAccount {
            last4: last4(number),
            routing_number: routing.to_owned(),
            account_holder_type: if holder == Some("company") {
                "company"
            } else {
                "individual"
            },
            account_type: if kind == Some("savings") {
                "savings"
            } else {
                "checking"
            },
            fingerprint: fingerprint(self.account, &format!("{routing}/{number}")),
            behaviour,
        })
    }

    fn read_sepa_debit(self, params: Params<'_>, prefix: &str) -> Result<Instrument, StripeError> {
        let at = format!("{}[iban]", path(prefix, "sepa_debit"));
        let Some(iban) = params
            .child("sepa_debit")
            .and_then(|fields| fields.text("iban"))
        else {
            return Err(StripeError::missing_param(&at));
        };
        let iban: String = iban.chars().filter(|c| !c.is_whitespace()).collect();
        let Some(behaviour) = iban_behaviour(&iban) else {
            return Err(StripeError::invalid("The IBAN you entered is invalid.")
                .code("invalid_bank_account_iban")
                .param(at));
        };
        let billing = params.child("billing_details");
        for field in ["name", "email"] {
            if billing.and_then(|details| details.text(field)).is_none() {
                return Err(StripeError::missing_param(&format!(
                    "{}[{field}]",
                    path(prefix, "billing_details")
                )));
            }
        }
        Ok(Instrument::SepaDebit(SepaDebit {
            country: iban.chars().take(2).collect(),
            bank_code: iban.chars().skip(4).take(5).collect(),
            last4: last4(&iban),
            fingerprint: fingerprint(self.account, &iban),
            behaviour,
        }))
    }
}

/// `name` within the hash at `prefix`.
fn path(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}[{name}]")
    }
}

fn last4(number: &str) -> String {
    let count = number.chars().count();
    number.chars().skip(count.saturating_sub(4)).collect()
}
