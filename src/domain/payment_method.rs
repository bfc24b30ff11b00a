//! Payment methods: what customers pay with, by Stripe's id and what Stripe shows of it.

use super::operation::named;
use super::slug::Slug;
use super::stripe_link::StripeLink;
use crate::clock::Timestamp;

named! {
    /// What was done with a payment method.
    State {
        /// It can be paid with, as far as its card's expiry allows.
        Usable = "usable",
        /// The consumer has to finish something first, such as 3-D Secure.
        RequiresAction = "requires_action",
        /// It was taken from its customer, for good.
        Detached = "detached",
    }
}

named! {
    /// How a payment method stands now.
    Status {
        /// It can be paid with.
        Usable = "usable",
        /// It can be paid with; its card expires at the end of this month or of the next.
        Expiring = "expiring",
        /// Its card has expired.
        Expired = "expired",
        /// The consumer has to finish something first, such as 3-D Secure.
        RequiresAction = "requires_action",
        /// It was taken from its customer, for good.
        Detached = "detached",
    }
}

/// What is shown of a card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// `visa`, `mastercard`, …, or nothing where Stripe does not say.
    pub brand: Option<String>,
    /// The last four digits.
    pub last4: Option<String>,
    /// 1 to 12.
    pub exp_month: Option<i32>,
    /// Four digits.
    pub exp_year: Option<i32>,
    /// `credit`, `debit`, `prepaid` or `unknown`.
    pub funding: Option<String>,
    /// Of its issuer, ISO 3166-1 alpha-2.
    pub country: Option<String>,
}

impl Card {
    /// The month in which the card is good for the last time, counted from year 0.
    fn last_month(&self) -> Option<i32> {
        Some(self.exp_year? * 12 + self.exp_month? - 1)
    }
}

/// A payment method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentMethod {
    /// `meth_…`.
    pub id: String,
    /// The portal it is in.
    pub portal: Slug,
    /// Whose it is, `org_…`.
    pub customer_id: String,
    /// Stripe's word for its kind, such as `card`; Stripe adds to them.
    pub method_type: String,
    /// What was done with it.
    pub state: State,
    /// Of a card.
    pub card: Option<Card>,
    /// Where it lives at Stripe.
    pub stripe: StripeLink,
    /// Stripe's time of what was last taken over from there.
    pub stripe_at: Option<Timestamp>,
    /// Counts changes, from 1.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl PaymentMethod {
    /// How it stands now. A card is good to the end of its month, in the time of UTC.
    pub fn status(&self, now: Timestamp) -> Status {
        match self.state {
            State::RequiresAction => return Status::RequiresAction,
            State::Detached => return Status::Detached,
            State::Usable => {}
        }
        let (year, month) = now.year_and_month();
        let this_month = year * 12 + month - 1;
        match self.card.as_ref().and_then(Card::last_month) {
            Some(last) if last < this_month => Status::Expired,
            Some(last) if last <= this_month + 1 => Status::Expiring,
            _ => Status::Usable,
        }
    }

    /// Whether it can be paid with now.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        matches!(self.status(now), Status::Usable | Status::Expiring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::stripe_key::Mode;

    fn method(state: State, expiry: Option<(i32, i32)>) -> PaymentMethod {
        let at = Timestamp::from_millis(0);
        PaymentMethod {
            id: "meth_1".to_owned(),
            portal: Slug::parse("acme").unwrap(),
            customer_id: "org_1".to_owned(),
            method_type: "card".to_owned(),
            state,
            card: expiry.map(|(year, month)| Card {
                exp_year: Some(year),
                exp_month: Some(month),
                ..Card::default()
            }),
            stripe: StripeLink {
                account: "acct_1".to_owned(),
                mode: Mode::Test,
                id: "pm_1".to_owned(),
            },
            stripe_at: None,
            version: 1,
            created_at: at,
            updated_at: at,
        }
    }

    #[test]
    fn a_card_is_good_to_the_end_of_its_month() {
        let status = |now: &str, year, month| {
            let now = Timestamp::parse_rfc3339(now).unwrap();
            let method = method(State::Usable, Some((year, month)));
            let status = method.status(now);
            assert_eq!(method.is_usable(now), status != Status::Expired);
            status
        };
        let cases = [
            ("2026-11-30T23:59:59.999Z", 2026, 10, Status::Expired),
            ("2026-11-30T23:59:59.999Z", 2026, 11, Status::Expiring),
            ("2026-12-01T00:00:00Z", 2026, 11, Status::Expired),
            ("2026-11-30T23:59:59.999Z", 2026, 12, Status::Expiring),
            ("2026-11-30T23:59:59.999Z", 2027, 1, Status::Usable),
            ("2026-12-01T00:00:00Z", 2027, 1, Status::Expiring),
            ("2026-12-31T23:59:59Z", 2025, 12, Status::Expired),
        ];
        for (now, year, month, expected) in cases {
            assert_eq!(status(now, year, month), expected, "{now} {month}/{year}");
        }
    }

    #[test]
    fn what_was_done_with_it_goes_before_its_card() {
        let now = Timestamp::parse_rfc3339("2026-11-25T12:00:00Z").unwrap();
        for (state, expiry, status, usable) in [
            (State::Usable, None, Status::Usable, true),
            (
                State::RequiresAction,
                Some((2020, 1)),
                Status::RequiresAction,
                false,
            ),
            (State::Detached, Some((2040, 1)), Status::Detached, false),
        ] {
            let method = method(state, expiry);
            assert_eq!(
                (method.status(now), method.is_usable(now)),
                (status, usable)
            );
        }
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(*state));
        }
    }
}
