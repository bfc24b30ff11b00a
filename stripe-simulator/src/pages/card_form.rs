//! The part of a page that takes a payment method: a ready-made test method, or a typed one.

use serde_json::{Map, Value, json};

use super::Fields;
use crate::account::Account;
use crate::front::errors::StripeError;
use crate::params::Params;

/// Ready-made methods that the pages offer, with what they do. Of the type before the value.
const OFFERED: &[(&str, &str, &str)] = &[
    ("card", "pm_card_visa", "Visa 4242: succeeds"),
    ("card", "pm_card_mastercard", "Mastercard 4444: succeeds"),
    (
        "card",
        "pm_card_authenticationRequired",
        "Visa 3184: asks for 3-D Secure",
    ),
    ("card", "pm_card_chargeDeclined", "Visa 0002: declined"),
    (
        "card",
        "pm_card_chargeDeclinedInsufficientFunds",
        "Visa 9995: insufficient funds",
    ),
    (
        "card",
        "pm_card_chargeCustomerFail",
        "Visa 0341: saved, declines when charged",
    ),
    (
        "us_bank_account",
        "pm_usBankAccount_success",
        "Bank account 6789: settles later",
    ),
    (
        "us_bank_account",
        "pm_usBankAccount_insufficientFunds",
        "Bank account 2227: fails later",
    ),
    (
        "sepa_debit",
        "AT611904300234573201",
        "IBAN 3201: settles later",
    ),
    (
        "sepa_debit",
        "AT861904300235473202",
        "IBAN 3202: fails later",
    ),
];

/// The inputs, as HTML.
pub(super) fn inputs(types: &[String]) -> String {
    let mut html = String::from("<label>Payment method <select name=\"payment_method\">");
    for (kind, value, label) in OFFERED {
        if types.iter().any(|allowed| allowed == kind) {
            html.push_str("<option value=\"");
            html.push_str(value);
            html.push_str("\">");
            html.push_str(label);
            html.push_str("</option>");
        }
    }
    html.push_str(
        "</select></label><p class=\"note\">Or type a test card; a number here goes first.</p>\
         <label>Card number <input name=\"number\" inputmode=\"numeric\" autocomplete=\"off\"></label>\
         <label>Month <input name=\"exp_month\" inputmode=\"numeric\" value=\"12\"></label>\
         <label>Year <input name=\"exp_year\" inputmode=\"numeric\" value=\"2034\"></label>\
         <label>Security code <input name=\"cvc\" inputmode=\"numeric\" value=\"123\" \
         autocomplete=\"off\"></label>",
    );
    html
}

impl Account {
    /// The payment method that a submitted page names.
    ///
    /// # Errors
    /// Those of creating a payment method; their messages are written for the customer.
    pub(super) fn method_of_form(&mut self, fields: &Fields) -> Result<String, StripeError> {
        let billing = || {
            let mut billing = Map::new();
            for name in ["email", "name"] {
                let value = fields.get(name);
                if !value.is_empty() {
                    billing.insert(name.to_owned(), value.into());
                }
            }
            billing
        };
        let number = fields.get("number");
        if !number.is_empty() {
            let data = json!({
                "type": "card",
                "card": {
                    "number": number,
                    "exp_month": fields.get("exp_month"),
                    "exp_year": fields.get("exp_year"),
                    "cvc": fields.get("cvc"),
                },
                "billing_details": billing(),
            });
            return self.method_of_data(&data);
        }
        let named = fields.get("payment_method");
        if named.starts_with("pm_") {
            return self.resolve_payment_method(named, "payment_method");
        }
        let mut billing = billing();
        for (name, value) in [("email", "jenny@example.com"), ("name", "Jenny Rosen")] {
            billing.entry(name).or_insert_with(|| value.into());
        }
        let data = json!({
            "type": "sepa_debit",
            "sepa_debit": { "iban": named },
            "billing_details": billing,
        });
        self.method_of_data(&data)
    }

    fn method_of_data(&mut self, data: &Value) -> Result<String, StripeError> {
        let empty = Map::new();
        self.payment_method_from(Params::new(data.as_object().unwrap_or(&empty)), "")
    }
}
