//! Invoices: Stripe makes them, and this service follows.

use super::operation::named;
use super::slug::Slug;
use super::stripe_link::StripeLink;
use super::subscription::Period;
use crate::clock::Timestamp;

#[cfg(test)]
mod tests;

named! {
    /// How an invoice stands.
    Status {
        /// It can still change.
        Draft = "draft",
        /// It waits to be paid.
        Open = "open",
        /// It is paid. Final.
        Paid = "paid",
        /// It was a mistake, or is not owed any more. Final.
        Void = "void",
        /// Nobody expects it to be paid; it still can be.
        Uncollectible = "uncollectible",
    }
}

impl Status {
    /// How far its life has come; it never goes back.
    const fn stage(self) -> u8 {
        match self {
            Self::Draft => 0,
            Self::Open => 1,
            Self::Uncollectible => 2,
            Self::Paid | Self::Void => 3,
        }
    }

    /// Whether nothing can happen to it any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Paid | Self::Void)
    }

    /// Whether it can be paid or voided.
    pub const fn is_payable(self) -> bool {
        matches!(self, Self::Open | Self::Uncollectible)
    }
}

/// What one line of an invoice is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What customers read.
    pub description: String,
    /// In the invoice's currency, in minor units; below zero for credits.
    pub amount: i64,
    /// How many, where it is counted.
    pub quantity: Option<i64>,
    /// What for one, in minor units, as a decimal.
    pub unit_amount_decimal: Option<String>,
    /// The time it is for.
    pub period: Option<Period>,
    /// Whether it settles a change within a period.
    pub proration: bool,
}

/// An invoice. Amounts are in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// `bill_…`.
    pub id: String,
    /// Whose portal.
    pub portal: Slug,
    /// The customer's id, `org_…`.
    pub customer: String,
    /// The subscription it is for, `subn_…`, if for one that is known here.
    pub subscription: Option<String>,
    /// What customers see; drafts have none.
    pub number: Option<String>,
    /// How it stands.
    pub status: Status,
    /// Stripe's word for why it was made, such as `subscription_cycle`.
    pub reason: String,
    /// Lower-case ISO 4217.
    pub currency: String,
    /// Before discounts and taxes.
    pub subtotal: i64,
    /// After discounts and taxes.
    pub total: i64,
    /// The total after the customer's balance; never below zero.
    pub amount_due: i64,
    /// What was paid.
    pub amount_paid: i64,
    /// The time it is for.
    pub period: Option<Period>,
    /// When it has to be paid, if the customer pays by himself.
    pub due_at: Option<Timestamp>,
    /// When Stripe tries to collect it next.
    pub next_attempt_at: Option<Timestamp>,
    /// How often Stripe has tried by itself.
    pub attempt_count: i64,
    /// Where the customer can see and pay it.
    pub hosted_url: Option<String>,
    /// Where the customer can load it.
    pub pdf_url: Option<String>,
    /// The attempt at which the bank last wanted to see who pays.
    pub action_attempt: Option<i64>,
    /// What for.
    pub lines: Vec<Line>,
    /// Where it is at Stripe.
    pub stripe: StripeLink,
    /// Stripe's time of what was last taken over.
    pub stripe_at: Timestamp,
    /// Counts its changes, from 1.
    pub version: i64,
    /// When Stripe made it.
    pub created_at: Timestamp,
    /// When it last changed here.
    pub updated_at: Timestamp,
}

/// The last invoice of a subscription, as far as the subscription shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// `bill_…`.
    pub id: String,
    /// Whether its bank wants to see who pays.
    pub action_required: bool,
    /// Where the customer can see and pay it.
    pub hosted_url: Option<String>,
}

impl Latest {
    /// From what is stored of an invoice.
    pub fn of(
        id: String,
        status: Status,
        attempt_count: i64,
        action_attempt: Option<i64>,
        hosted_url: Option<String>,
    ) -> Self {
        Self {
            id,
            action_required: asks(status, attempt_count, action_attempt),
            hosted_url,
        }
    }
}

impl From<&Invoice> for Latest {
    fn from(invoice: &Invoice) -> Self {
        Self {
            id: invoice.id.clone(),
            action_required: invoice.action_required(),
            hosted_url: invoice.hosted_url.clone(),
        }
    }
}

/// Whether the bank wants to see who pays, since the last attempt to collect an open invoice.
fn asks(status: Status, attempt_count: i64, action_attempt: Option<i64>) -> bool {
    status == Status::Open && action_attempt == Some(attempt_count)
}

/// What Stripe says of an invoice at one time, in our words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Which one.
    pub link: StripeLink,
    /// Our id of its subscription, if it is known here.
    pub subscription: Option<String>,
    /// See [`Invoice::number`].
    pub number: Option<String>,
    /// How it stands; `None`: in a way that this build does not know.
    pub status: Option<Status>,
    /// See [`Invoice::reason`].
    pub reason: String,
    /// See [`Invoice::currency`].
    pub currency: String,
    /// See [`Invoice::subtotal`].
    pub subtotal: i64,
    /// See [`Invoice::total`].
    pub total: i64,
    /// See [`Invoice::amount_due`].
    pub amount_due: i64,
    /// See [`Invoice::amount_paid`].
    pub amount_paid: i64,
    /// See [`Invoice::period`].
    pub period: Option<Period>,
    /// See [`Invoice::due_at`].
    pub due_at: Option<Timestamp>,
    /// See [`Invoice::next_attempt_at`].
    pub next_attempt_at: Option<Timestamp>,
    /// See [`Invoice::attempt_count`].
    pub attempt_count: i64,
    /// See [`Invoice::hosted_url`].
    pub hosted_url: Option<String>,
    /// See [`Invoice::pdf_url`].
    pub pdf_url: Option<String>,
    /// Whether this tells that the bank wants to see who pays.
    pub action_required: bool,
    /// Its lines; `None`: not all of them were told.
    pub lines: Option<Vec<Line>>,
    /// When Stripe made it.
    pub created_at: Option<Timestamp>,
    /// When it was so, by Stripe's clock.
    pub at: Timestamp,
}

/// How news stands to what is known of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Later than what is known.
    Later,
    /// Earlier than what is known.
    Earlier,
    /// Of the same second and equally far: which was later cannot be known.
    Unknown,
}

/// A change, as events name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its first version, whatever its status.
    Created,
    /// It was paid.
    Paid,
    /// An attempt to collect it has failed.
    PaymentFailed,
    /// It is void.
    Voided,
    /// Anything else.
    Updated,
}

impl Change {
    /// The event's type.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Created => "invoice.created",
            Self::Paid => "invoice.paid",
            Self::PaymentFailed => "invoice.payment_failed",
            Self::Voided => "invoice.voided",
            Self::Updated => "invoice.updated",
        }
    }
}

impl Snapshot {
    /// The first version of an invoice that is not known yet. `None` where its status is not known.
    pub fn first(
        self,
        id: String,
        portal: Slug,
        customer: String,
        now: Timestamp,
    ) -> Option<Invoice> {
        Some(Invoice {
            id,
            portal,
            customer,
            subscription: self.subscription,
            number: self.number,
            status: self.status?,
            reason: self.reason,
            currency: self.currency,
            subtotal: self.subtotal,
            total: self.total,
            amount_due: self.amount_due,
            amount_paid: self.amount_paid,
            period: self.period,
            due_at: self.due_at,
            next_attempt_at: self.next_attempt_at,
            action_attempt: self.action_required.then_some(self.attempt_count),
            attempt_count: self.attempt_count,
            hosted_url: self.hosted_url,
            pdf_url: self.pdf_url,
            lines: self.lines.unwrap_or_default(),
            stripe: self.link,
            stripe_at: self.at,
            version: 1,
            created_at: self.created_at.unwrap_or(now),
            updated_at: now,
        })
    }
}

impl Invoice {
    /// How news stands to what is known. A life does not go back, whatever the clock says; within one
    /// second, Stripe's clock having no finer time, what has more attempts or more paid is later.
    pub fn order(&self, snapshot: &Snapshot) -> Order {
        let stage = |status: Status| status.stage();
        let said = snapshot.status.map_or(0, stage);
        let order = said
            .cmp(&self.status.stage())
            .then(snapshot.at.as_seconds().cmp(&self.stripe_at.as_seconds()))
            .then(snapshot.attempt_count.cmp(&self.attempt_count))
            .then(snapshot.amount_paid.cmp(&self.amount_paid));
        match order {
            std::cmp::Ordering::Greater => Order::Later,
            std::cmp::Ordering::Less => Order::Earlier,
            std::cmp::Ordering::Equal => Order::Unknown,
        }
    }

    /// The invoice after hearing of `snapshot`. Where anything shown differs, it is the next version,
    /// changed at `now`. What is heard may come twice, late, and in any order: see [`Invoice::order`];
    /// where that cannot tell, what is heard is taken.
    #[must_use]
    pub fn follow(&self, snapshot: &Snapshot, now: Timestamp) -> Self {
        let Some(status) = snapshot.status.filter(|_| snapshot.link == self.stripe) else {
            return self.clone();
        };
        let mut next = self.clone();
        if self.order(snapshot) != Order::Earlier {
            next.take(status, snapshot);
        }
        if snapshot.action_required {
            next.action_attempt = next.action_attempt.max(Some(snapshot.attempt_count));
        }
        if !next.looks_like(self) {
            next.version = self.version + 1;
            next.updated_at = now;
        }
        next
    }

    fn take(&mut self, status: Status, said: &Snapshot) {
        self.status = status;
        self.stripe_at = self.stripe_at.max(said.at);
        // Once known it stays: what is heard later may not find it.
        self.subscription = said.subscription.clone().or(self.subscription.take());
        self.number.clone_from(&said.number);
        self.reason.clone_from(&said.reason);
        self.subtotal = said.subtotal;
        self.total = said.total;
        self.amount_due = said.amount_due;
        self.amount_paid = said.amount_paid;
        self.due_at = said.due_at;
        self.next_attempt_at = said.next_attempt_at;
        self.attempt_count = said.attempt_count;
        self.hosted_url.clone_from(&said.hosted_url);
        self.pdf_url.clone_from(&said.pdf_url);
        // What it is for can be told of all its lines alone.
        if let Some(lines) = &said.lines {
            self.lines.clone_from(lines);
            self.period = said.period;
        }
    }

    /// Whether it has come to its end with the amounts that are heard of.
    pub fn has_ended_like(&self, said: &Snapshot) -> bool {
        let amounts = (self.subtotal, self.total, self.amount_due, self.amount_paid);
        self.status.is_final()
            && said.status == Some(self.status)
            && amounts == (said.subtotal, said.total, said.amount_due, said.amount_paid)
    }

    /// Whether this and the other are the same but for what nobody is shown.
    pub fn looks_like(&self, other: &Self) -> bool {
        let shown = Self {
            stripe_at: other.stripe_at,
            action_attempt: other.action_attempt,
            version: other.version,
            updated_at: other.updated_at,
            ..self.clone()
        };
        shown == *other && self.action_required() == other.action_required()
    }

    /// Whether the bank wants to see who pays, since the last attempt to collect it.
    pub fn action_required(&self) -> bool {
        asks(self.status, self.attempt_count, self.action_attempt)
    }

    /// What this version is, after `before`.
    pub fn change(&self, before: Option<&Self>) -> Change {
        let Some(before) = before else {
            return Change::Created;
        };
        let became = |status| self.status == status && before.status != status;
        if became(Status::Paid) {
            Change::Paid
        } else if became(Status::Void) {
            Change::Voided
        } else if self.attempt_count > before.attempt_count && self.status.is_payable() {
            Change::PaymentFailed
        } else {
            Change::Updated
        }
    }
}
