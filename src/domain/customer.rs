//! Customers: a consumer organization as a portal bills it.

use std::fmt;

use super::error::{FieldCode, FieldError};
use super::secret_guard::holds_secret;
use super::slug::Slug;
use super::stripe_key::Mode;
use super::stripe_link::StripeLink;
use super::text::{self, Metadata};
use crate::clock::Timestamp;
use crate::ids::{Id, Kind};

/// Characters of an external id.
pub const EXTERNAL_ID_MAX_CHARS: usize = 255;
/// Characters of a customer's name, as at Stripe.
pub const NAME_MAX_CHARS: usize = 256;
/// Characters of an e-mail address, as at Stripe.
pub const EMAIL_MAX_CHARS: usize = 512;
/// Characters of one part of an address.
pub const ADDRESS_PART_MAX_CHARS: usize = 200;
/// Tax ids of one customer, as at Stripe.
pub const TAX_IDS_MAX: usize = 5;
/// Characters of a tax id's type.
pub const TAX_ID_TYPE_MAX_CHARS: usize = 50;
/// Characters of a tax id.
pub const TAX_ID_VALUE_MAX_CHARS: usize = 100;

/// How a customer is addressed by the id that its portal knows it by.
const EXTERNAL: &str = "ext:";

/// A customer. `Debug` shows neither name nor address.
#[derive(Clone, PartialEq, Eq)]
pub struct Customer {
    /// `org_…`.
    pub id: String,
    /// Whose customer it is.
    pub portal: Slug,
    /// The id by which the portal knows the organization; unique in the portal, never changed.
    pub external_id: String,
    /// Of the organization; on invoices.
    pub name: String,
    /// Where invoices go.
    pub email: String,
    /// For invoices and taxes.
    pub address: Option<Address>,
    /// For invoices, in the order they were given.
    pub tax_ids: Vec<TaxId>,
    /// The caller's own keys and values.
    pub metadata: Metadata,
    /// The payment method (`meth_…`) that is used unless another one is named.
    pub default_payment_method: Option<String>,
    /// Its Customer at Stripe, in the account and mode last used.
    pub stripe: Option<StripeLink>,
    /// Stripe's time of what was last taken over from there.
    pub stripe_at: Option<Timestamp>,
    /// Counts changes, from 1.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl fmt::Debug for Customer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Customer")
            .field("id", &self.id)
            .field("portal", &self.portal)
            .field("stripe", &self.stripe)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Customer {
    /// Stripe's id of it, if it has one in this account and mode.
    pub fn stripe_id_in(&self, account: &str, mode: Mode) -> Option<&str> {
        self.stripe.as_ref()?.id_in(account, mode)
    }
}

/// A postal address, in the parts that Stripe knows. Not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// Street and number.
    pub line1: Option<String>,
    /// What else there is to say.
    pub line2: Option<String>,
    /// City or town.
    pub city: Option<String>,
    /// State, county or region.
    pub state: Option<String>,
    /// ZIP or postal code.
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Address").finish_non_exhaustive()
    }
}

/// A tax id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxId {
    /// Stripe's word for its kind, such as `eu_vat`; Stripe adds to them.
    pub kind: String,
    /// As its holder writes it.
    pub value: String,
}

/// How a caller names a customer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CustomerRef {
    /// By our id, `org_…`.
    Id(String),
    /// By the id the portal knows it by, `ext:<external_id>`.
    External(String),
}

impl CustomerRef {
    /// Reads `org_…` or `ext:<external_id>`; `None` for what can be neither.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(external) = text.strip_prefix(EXTERNAL) {
            let known = is_external_id(external);
            return known.then(|| Self::External(external.to_owned()));
        }
        Id::parse(Kind::Customer, text).map(|id| Self::Id(id.into()))
    }
}

/// Whether the text can stand in a path behind `ext:` (percent-encoded) and come back as it was: 1 to
/// 255 characters, no control characters, no `/` and no `\`, no white space at either end.
fn is_external_id(text: &str) -> bool {
    !text.is_empty()
        && text.chars().count() <= EXTERNAL_ID_MAX_CHARS
        && text.trim() == text
        && !text
            .chars()
            .any(|c| c.is_control() || matches!(c, '/' | '\\'))
}

/// Takes an external id as it is. Refusals go to `errors`.
pub fn external_id(pointer: &str, value: String, errors: &mut Vec<FieldError>) -> String {
    let mut refuse = |code, detail: &str| errors.push(FieldError::new(pointer, code, detail));
    if value.is_empty() {
        refuse(FieldCode::Empty, "Must not be empty.");
    } else if value.chars().count() > EXTERNAL_ID_MAX_CHARS {
        refuse(FieldCode::TooLong, "Must be at most 255 characters.");
    } else if !is_external_id(&value) {
        refuse(
            FieldCode::InvalidValue,
            "Must hold no control characters, no / and no \\, and no white space at either end.",
        );
    } else if holds_secret(&value) {
        refuse(
            FieldCode::SecretDetected,
            "Looks like a secret key or a token, which must not stand here.",
        );
    }
    value
}

/// Takes an e-mail address: one `@` with something on both sides and no white space. Whether anybody
/// reads it, only a mail can tell. Refusals go to `errors`.
pub fn email(pointer: &str, value: &str, errors: &mut Vec<FieldError>) -> String {
    let before = errors.len();
    let taken = text::line(pointer, value, EMAIL_MAX_CHARS, errors);
    let well_formed = value
        .split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && is_domain(domain))
        && !value.chars().any(char::is_whitespace);
    if errors.len() == before && !well_formed {
        errors.push(FieldError::new(
            pointer,
            FieldCode::InvalidValue,
            "Must be an e-mail address.",
        ));
    }
    taken
}

fn is_domain(text: &str) -> bool {
    text.split('.').all(|label| !label.is_empty()) && !text.contains('@')
}

impl Address {
    /// Takes an address: each part one line, the country one that exists. An address without any
    /// part is none. Refusals go to `errors`.
    pub fn checked(pointer: &str, parts: Self, errors: &mut Vec<FieldError>) -> Option<Self> {
        let mut part = |name: &str, value: Option<String>| {
            let value = value?;
            let pointer = format!("{pointer}/{name}");
            Some(text::line(&pointer, &value, ADDRESS_PART_MAX_CHARS, errors))
        };
        let address = Self {
            line1: part("line1", parts.line1),
            line2: part("line2", parts.line2),
            city: part("city", parts.city),
            state: part("state", parts.state),
            postal_code: part("postal_code", parts.postal_code),
            country: parts.country,
        };
        if address.country.as_deref().is_some_and(|it| !is_country(it)) {
            errors.push(FieldError::new(
                format!("{pointer}/country"),
                FieldCode::InvalidValue,
                "Must be the two capital letters of a country (ISO 3166-1 alpha-2).",
            ));
        }
        (address != Self::default()).then_some(address)
    }
}

/// Takes tax ids. Refusals go to `errors`.
pub fn tax_ids(pointer: &str, all: Vec<TaxId>, errors: &mut Vec<FieldError>) -> Vec<TaxId> {
    if all.len() > TAX_IDS_MAX {
        errors.push(FieldError::new(
            pointer,
            FieldCode::TooMany,
            format!("Must be at most {TAX_IDS_MAX}."),
        ));
    }
    let mut taken: Vec<TaxId> = Vec::new();
    for (index, tax_id) in all.into_iter().enumerate() {
        if !is_tax_id_type(&tax_id.kind) {
            errors.push(FieldError::new(
                format!("{pointer}/{index}/type"),
                FieldCode::InvalidValue,
                "Must be one of Stripe's words, such as eu_vat.",
            ));
        }
        let place = format!("{pointer}/{index}/value");
        let tax_id = TaxId {
            value: text::line(&place, &tax_id.value, TAX_ID_VALUE_MAX_CHARS, errors),
            kind: tax_id.kind,
        };
        if taken.contains(&tax_id) {
            errors.push(FieldError::new(
                place,
                FieldCode::InvalidValue,
                "Stands here twice.",
            ));
        }
        taken.push(tax_id);
    }
    taken
}

fn is_tax_id_type(text: &str) -> bool {
    text.len() <= TAX_ID_TYPE_MAX_CHARS
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The countries of ISO 3166-1: the first letter, and the second letters behind it.
const COUNTRIES: [(char, &str); 25] = [
    ('A', "DEFGILMOQRSTUWXZ"),
    ('B', "ABDEFGHIJLMNOQRSTVWYZ"),
    ('C', "ACDFGHIKLMNORUVWXYZ"),
    ('D', "EJKMOZ"),
    ('E', "CEGHRST"),
    ('F', "IJKMOR"),
    ('G', "ABDEFGHILMNPQRSTUWY"),
    ('H', "KMNRTU"),
    ('I', "DELMNOQRST"),
    ('J', "EMOP"),
    ('K', "EGHIMNPRWYZ"),
    ('L', "ABCIKRSTUVY"),
    ('M', "ACDEFGHKLMNOPQRSTUVWXYZ"),
    ('N', "ACEFGILOPRUZ"),
    ('O', "M"),
    ('P', "AEFGHKLMNRSTWY"),
    ('Q', "A"),
    ('R', "EOSUW"),
    ('S', "ABCDEGHIJKLMNORSTVXYZ"),
    ('T', "CDFGHJKLMNORTVWZ"),
    ('U', "AGMSYZ"),
    ('V', "ACEGINU"),
    ('W', "FS"),
    ('Y', "ET"),
    ('Z', "AMW"),
];

/// Whether a country has this code.
fn is_country(text: &str) -> bool {
    let mut letters = text.chars();
    let (first, second, end) = (letters.next(), letters.next(), letters.next());
    let is_second = |second: char| {
        COUNTRIES
            .iter()
            .any(|(letter, seconds)| Some(*letter) == first && seconds.contains(second))
    };
    end.is_none() && second.is_some_and(is_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(take: impl FnOnce(&mut Vec<FieldError>)) -> Vec<(String, FieldCode)> {
        let mut errors = Vec::new();
        take(&mut errors);
        errors
            .into_iter()
            .map(|error| (error.pointer, error.code))
            .collect()
    }

    #[test]
    fn a_customer_is_named_by_either_id() {
        let id = "org_01kat5bmf0f3x8q2r7w1e4t6y9";
        assert_eq!(CustomerRef::parse(id), Some(CustomerRef::Id(id.to_owned())));
        for external in ["acme", "a b", "x:y", "ext:ext", "Ünïcode", "100%", ".."] {
            let text = format!("ext:{external}");
            let parsed = CustomerRef::parse(&text);
            assert_eq!(parsed, Some(CustomerRef::External(external.to_owned())));
            let taken = refused(|errors| drop(external_id("/e", external.to_owned(), errors)));
            assert!(taken.is_empty(), "{external}");
        }
        for neither in [
            "",
            "acme",
            "org_",
            "org_01KAT5BMF0F3X8Q2R7W1E4T6Y9",
            "meth_01kat5bmf0f3x8q2r7w1e4t6y9",
            "ext:",
            "ext:a/b",
            "ext:a\\b",
            "ext: a",
            "ext:a\u{7}",
        ] {
            assert_eq!(CustomerRef::parse(neither), None, "{neither}");
        }
    }

    #[test]
    fn external_ids_that_no_path_can_carry_are_refused() {
        let code = |value: &str| {
            refused(|errors| drop(external_id("/e", value.to_owned(), errors)))
                .pop()
                .map(|(_, code)| code)
        };
        assert_eq!(code(""), Some(FieldCode::Empty));
        assert_eq!(code(&"x".repeat(255)), None);
        assert_eq!(code(&"x".repeat(256)), Some(FieldCode::TooLong));
        for bad in ["a/b", "a\\b", " a", "a ", "a\n", "\u{85}"] {
            assert_eq!(code(bad), Some(FieldCode::InvalidValue), "{bad:?}");
        }
        assert_eq!(
            code("sk_test_51PgafTB1WZ2rYsUu"),
            Some(FieldCode::SecretDetected)
        );
    }

    #[test]
    fn an_email_address_has_one_at_sign() {
        for good in ["a@b", "billing@acme.example", "o'hara+x@sub.acme.example"] {
            assert!(refused(|e| drop(email("/m", good, e))).is_empty(), "{good}");
        }
        for bad in [
            "", " ", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b c", "a@.b", "a@b.", "a@b\n",
        ] {
            assert_eq!(refused(|e| drop(email("/m", bad, e))).len(), 1, "{bad:?}");
        }
        let long = format!("{}@b", "a".repeat(EMAIL_MAX_CHARS));
        assert_eq!(
            refused(|e| drop(email("/m", &long, e))),
            [("/m".to_owned(), FieldCode::TooLong)]
        );
    }

    #[test]
    fn countries_are_those_of_the_standard() {
        let count: usize = COUNTRIES.iter().map(|(_, seconds)| seconds.len()).sum();
        assert_eq!(count, 249);
        for good in ["DE", "US", "GB", "ZW", "AX"] {
            assert!(is_country(good), "{good}");
        }
        for bad in ["", "D", "de", "DEU", "XX", "EU", "UK", "ÄÖ"] {
            assert!(!is_country(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_and_tax_ids_point_at_what_is_wrong() {
        let address = |line1: &str, country: &str| Address {
            line1: Some(line1.to_owned()),
            country: Some(country.to_owned()),
            ..Address::default()
        };
        let none = |e: &mut Vec<FieldError>| drop(Address::checked("/a", address("x", "DE"), e));
        assert!(refused(none).is_empty());
        let both = |e: &mut Vec<FieldError>| drop(Address::checked("/a", address(" ", "XX"), e));
        assert_eq!(
            refused(both),
            [
                ("/a/line1".to_owned(), FieldCode::Empty),
                ("/a/country".to_owned(), FieldCode::InvalidValue),
            ]
        );
        assert_eq!(
            Address::checked("/a", Address::default(), &mut Vec::new()),
            None
        );

        let tax_id = |kind: &str, value: &str| TaxId {
            kind: kind.to_owned(),
            value: value.to_owned(),
        };
        let refusals = |all: Vec<TaxId>| refused(|errors| drop(tax_ids("/t", all, errors)));
        assert!(refusals(vec![tax_id("eu_vat", "DE123456789")]).is_empty());
        assert_eq!(
            refusals(vec![tax_id("EU", ""), tax_id("eu_vat", "x")]),
            [
                ("/t/0/type".to_owned(), FieldCode::InvalidValue),
                ("/t/0/value".to_owned(), FieldCode::Empty),
            ]
        );
        assert_eq!(
            refusals(vec![tax_id("eu_vat", "x"), tax_id("eu_vat", "x")]),
            [("/t/1/value".to_owned(), FieldCode::InvalidValue)]
        );
        let many = (0..6).map(|n| tax_id("eu_vat", &n.to_string())).collect();
        assert_eq!(refusals(many), [("/t".to_owned(), FieldCode::TooMany)]);
    }
}
