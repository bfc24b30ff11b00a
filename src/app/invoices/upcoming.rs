//! The invoice that comes next: asked for at Stripe, since it is there only when it is asked for.

use super::snapshot::period_of;
use crate::app::budget::Class;
use crate::app::customers::visible_customer;
use crate::app::{App, Context};
use crate::clock::Timestamp;
use crate::domain::customer::CustomerRef;
use crate::domain::error::Error;
use crate::domain::invoice::Line;
use crate::domain::slug::Slug;
use crate::domain::subscription::{Period, Status, Subscription};
use crate::store::{self, StoreError};
use crate::stripe::invoices::{self as there, Preview};
use crate::stripe::{Outcome, StripeError};

/// Stripe's words for there being none (<https://docs.stripe.com/error-codes>).
const NONE: [&str; 2] = [
    "invoice_upcoming_none",
    "invoice_no_subscription_line_items",
];

/// The next invoice of a subscription as it would be if nothing changed. Amounts are in minor units.
#[derive(Clone, Debug)]
pub struct UpcomingView {
    /// The customer's id, `org_…`.
    pub customer: String,
    /// The subscription, `subn_…`.
    pub subscription: String,
    /// Lower-case ISO 4217.
    pub currency: String,
    /// Before discounts and taxes.
    pub subtotal: i64,
    /// After discounts and taxes.
    pub total: i64,
    /// The total after the customer's balance.
    pub amount_due: i64,
    /// The time it is for.
    pub period: Option<Period>,
    /// When Stripe will try to collect it.
    pub next_attempt_at: Option<Timestamp>,
    /// What for; the first ten lines at least.
    pub lines: Vec<Line>,
    /// Whether there are more lines.
    pub has_more_lines: bool,
}

/// The one of these that is invoiced next, if any is.
fn next_of(subscriptions: Vec<Subscription>, wanted: Option<&str>) -> Option<Subscription> {
    let goes_on = |it: &Subscription| {
        let runs = matches!(
            it.status,
            Status::Active | Status::Trialing | Status::PastDue | Status::Unpaid
        );
        it.paid && runs && it.stripe.is_some() && wanted.is_none_or(|wanted| wanted == it.id)
    };
    let due = |it: &Subscription| it.period.map(|period| period.end);
    subscriptions
        .into_iter()
        .filter(goes_on)
        // Those without a period last: nothing is known of their next invoice.
        .min_by_key(|it| (due(it).is_none(), due(it)))
}

impl App {
    /// The next invoice of a customer: that of the subscription named, or of the one whose period ends
    /// first. Asks Stripe.
    ///
    /// # Errors
    /// `not_found` for the customer, and when nothing is to be invoiced; `module_disabled`,
    /// `stripe_not_ready`; what becomes of the call: `stripe_unavailable`, `stripe_bad_answer`,
    /// `stripe_credentials_invalid`.
    pub async fn upcoming_invoice(
        &self,
        context: &Context,
        portal: &Slug,
        customer: &CustomerRef,
        subscription: Option<&str>,
    ) -> Result<UpcomingView, Error> {
        let (credentials, key, next) = self
            .store
            .read(async |conn| {
                let customer = visible_customer(conn, context, portal, customer).await?;
                let credentials = self.ready_credentials(conn, portal).await?;
                let live = store::subscriptions::live_of_customer(conn, &customer.id).await?;
                let next = next_of(live, subscription).ok_or_else(nothing)?;
                let key = self.open_api_key(conn, portal, &credentials).await?;
                Ok::<_, StoreError>((credentials, key, next))
            })
            .await?;
        let (account, mode) = (credentials.account_id.as_str(), credentials.mode);
        let link = next.stripe.as_ref();
        let there_id = link
            .and_then(|link| link.id_in(account, mode))
            .ok_or_else(super::settle::elsewhere)?;
        let request = there::create_preview(&Preview {
            subscription: Some(there_id),
            ..Preview::default()
        });
        self.budget
            .turn(Class::Interactive, portal, account, mode, &request)
            .await;
        let said: there::Invoice = match self.stripe.send_frozen(&key, None, &request).await {
            Ok(reply) => reply.read()?,
            Err(error) if is_none(&error) => return Err(nothing()),
            Err(error) => {
                if error.outcome() == Outcome::Throttled {
                    self.budget.throttled(account, mode, error.retry_after());
                }
                return Err(error.into());
            }
        };
        // A subscription that ends with its period has nothing on its next invoice.
        if said.lines.data.is_empty() {
            return Err(nothing());
        }
        Ok(view(next, &said))
    }
}

fn view(subscription: Subscription, said: &there::Invoice) -> UpcomingView {
    let lines: Vec<Line> = said.lines.data.iter().map(Line::from).collect();
    UpcomingView {
        customer: subscription.customer,
        subscription: subscription.id,
        currency: said.currency.clone().unwrap_or_default(),
        subtotal: said.subtotal.unwrap_or_default(),
        total: said.total.unwrap_or_default(),
        amount_due: said.amount_due.unwrap_or_default(),
        period: period_of(said, &lines),
        next_attempt_at: said.next_payment_attempt,
        lines,
        has_more_lines: said.lines.has_more,
    }
}

/// Whether Stripe says that nothing will be invoiced.
fn is_none(error: &StripeError) -> bool {
    error.code().is_some_and(|code| NONE.contains(&code)) || error.outcome() == Outcome::Missing
}

fn nothing() -> Error {
    Error::not_found()
}
