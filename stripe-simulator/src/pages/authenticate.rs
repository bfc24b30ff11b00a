//! The bank's 3-D Secure page.

use super::html::{error_line, escape, not_found, page, with_query};
use super::{Fields, redirect, with_intent};
use crate::account::Account;
use crate::front::HttpResponse;
use crate::payments::payment_intent::PaymentStatus;
use crate::payments::settle::BankAnswer;
use crate::payments::setup_intent::SetupStatus;
use crate::world::World;

/// What the page shows, and where it leads back to.
struct Challenge {
    business: String,
    purpose: String,
    waits: bool,
    return_url: Option<String>,
}

pub(super) fn show(world: &World, id: &str) -> HttpResponse {
    match with_intent(world, id, |account| challenge(account, id)).flatten() {
        Some(challenge) => render(id, &challenge, None),
        None => not_found(),
    }
}

pub(super) fn submit(world: &World, id: &str, fields: &Fields) -> HttpResponse {
    let answer = match fields.get("answer") {
        "approve" => BankAnswer::Approve,
        "deny" => BankAnswer::Deny,
        _ => {
            let challenge = with_intent(world, id, |account| challenge(account, id)).flatten();
            let message = Some("Choose one of the two buttons.");
            return challenge.map_or_else(not_found, |challenge| render(id, &challenge, message));
        }
    };
    let outcome = with_intent(world, id, |account| {
        let before = challenge(account, id)?;
        // A second click on the button finds the intent answered: it goes back all the same.
        let _answered = account.answer_authentication(id, answer);
        Some(before.return_url.map(|url| account.returning_url(id, &url)))
    });
    match outcome.flatten() {
        None => not_found(),
        Some(Some(url)) => redirect(&url),
        Some(None) => page(
            200,
            "Thank you",
            "<p>The bank has your answer. You can close this window.</p>",
        ),
    }
}

fn challenge(account: &Account, id: &str) -> Option<Challenge> {
    let business = account.settings.business_name.clone();
    if let Some(intent) = account.payments.payment_intents.get(id) {
        let action = intent.next_action.as_ref();
        let return_url = action.and_then(|action| action.return_url.clone());
        return Some(Challenge {
            business,
            purpose: format!("a payment of {}", intent.currency.display(intent.amount)),
            waits: intent.status == PaymentStatus::RequiresAction,
            return_url,
        });
    }
    if let Some(session) = account.hosted.sessions.get(id) {
        return Some(Challenge {
            business,
            purpose: "a subscription".to_owned(),
            waits: session.pending_method.is_some(),
            return_url: Some(session.page.clone()),
        });
    }
    let intent = account.payments.setup_intents.get(id)?;
    Some(Challenge {
        business,
        purpose: "saving your card for later payments".to_owned(),
        waits: intent.status == SetupStatus::RequiresAction,
        return_url: intent.return_url.clone(),
    })
}

fn render(id: &str, challenge: &Challenge, message: Option<&str>) -> HttpResponse {
    if !challenge.waits {
        return page(
            200,
            "3-D Secure",
            "<p>There is nothing to authenticate any more.</p>",
        );
    }
    let body = format!(
        "{}<p>{} asks you to authenticate {}.</p>\
         <form method=\"post\" action=\"/authenticate/{}\">\
         <button name=\"answer\" value=\"approve\">Complete authentication</button>\
         <button name=\"answer\" value=\"deny\">Fail authentication</button></form>",
        error_line(message),
        escape(&challenge.business),
        escape(&challenge.purpose),
        escape(id),
    );
    page(200, "3-D Secure", &body)
}

impl Account {
    /// The `return_url` with what Stripe adds to it.
    fn returning_url(&self, id: &str, url: &str) -> String {
        if let Some(intent) = self.payments.payment_intents.get(id) {
            let status = match intent.status {
                PaymentStatus::RequiresPaymentMethod | PaymentStatus::Canceled => "failed",
                _ => "succeeded",
            };
            return with_query(
                url,
                &[
                    ("payment_intent", id),
                    ("payment_intent_client_secret", &intent.client_secret),
                    ("redirect_status", status),
                ],
            );
        }
        let Some(intent) = self.payments.setup_intents.get(id) else {
            return url.to_owned();
        };
        let succeeded = intent.status == SetupStatus::Succeeded;
        with_query(
            url,
            &[
                ("setup_intent", id),
                ("setup_intent_client_secret", &intent.client_secret),
                (
                    "redirect_status",
                    if succeeded { "succeeded" } else { "failed" },
                ),
            ],
        )
    }
}
