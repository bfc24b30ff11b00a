//! The Checkout page.

use super::card_form::inputs;
use super::html::{error_line, escape, not_found, page};
use super::{Fields, account_with, redirect};
use crate::account::Account;
use crate::checkout::complete::Step;
use crate::checkout::session::{CheckoutSession, Mode, Payer, SessionStatus};
use crate::front::HttpResponse;
use crate::world::{World, lock};

pub(super) fn show(world: &World, id: &str) -> HttpResponse {
    with_session(world, id, |account| {
        let session = account.hosted.sessions.get(id)?;
        Some(respond(account, session))
    })
    .unwrap_or_else(not_found)
}

pub(super) fn submit(world: &World, id: &str, fields: &Fields) -> HttpResponse {
    with_session(world, id, |account| {
        let open = account.hosted.sessions.get(id)?.status == SessionStatus::Open;
        if open && let Some(bank) = pay(account, id, fields) {
            return Some(redirect(&bank));
        }
        Some(respond(account, account.hosted.sessions.get(id)?))
    })
    .unwrap_or_else(not_found)
}

/// Submits the form; the bank's page where the customer has to authenticate.
fn pay(account: &mut Account, id: &str, fields: &Fields) -> Option<String> {
    let text = |name: &str| Some(fields.get(name).to_owned()).filter(|text| !text.is_empty());
    let payer = Payer {
        email: text("email"),
        name: text("name"),
    };
    let outcome = if fields.get("payment_method") == "none" {
        account.submit_checkout(id, None, payer)
    } else {
        let method = account.method_of_form(fields);
        method.and_then(|method| account.submit_checkout(id, Some(&method), payer))
    };
    let message = match outcome {
        Ok(Step::Complete) => None,
        Ok(Step::Authenticate(intent)) => return Some(account.authentication_url(&intent)),
        Ok(Step::Refused(message)) => Some(message),
        Err(error) => Some(error.message().to_owned()),
    };
    if let Some(mut session) = account.hosted.sessions.get_mut(id) {
        session.message = message;
    }
    None
}

/// Where the session leads now: back to the shop, to the form, or to a note.
fn respond(account: &Account, session: &CheckoutSession) -> HttpResponse {
    match session.status {
        SessionStatus::Complete => match session.success_url() {
            Some(url) => redirect(&url),
            None => page(
                200,
                "Thank you",
                "<p>All done. You can close this window.</p>",
            ),
        },
        SessionStatus::Expired => page(
            410,
            "Session expired",
            "<p>This Checkout session has expired.</p>",
        ),
        SessionStatus::Open => form(account, session),
    }
}

fn form(account: &Account, session: &CheckoutSession) -> HttpResponse {
    let business = &account.settings.business_name;
    let (title, button) = match session.mode {
        Mode::Payment => (format!("Pay {business}"), "Pay"),
        Mode::Setup => (format!("Save a payment method with {business}"), "Save"),
        Mode::Subscription => (format!("Subscribe to {business}"), "Subscribe"),
    };
    let known = session
        .customer
        .as_deref()
        .and_then(|id| account.customers.get(id));
    let email = session
        .given_text("customer_email")
        .or_else(|| known.and_then(|customer| customer.email.as_deref()));
    let name = known.and_then(|customer| customer.name.as_deref());
    let cancel = session
        .given_text("cancel_url")
        .map_or_else(String::new, |url| {
            format!(
                "<p><a href=\"{}\">Back to {}</a></p>",
                escape(url),
                escape(business)
            )
        });
    let skip = if session.needs_no_method() {
        "<button name=\"payment_method\" value=\"none\">Start without a payment method</button>"
    } else {
        ""
    };
    let body = format!(
        "{}{}<form method=\"post\">\
         <label>Email <input name=\"email\" type=\"email\" value=\"{}\"></label>\
         <label>Name <input name=\"name\" value=\"{}\"></label>{}\
         <button>{button}</button>{skip}</form>{cancel}",
        error_line(account.session_message(session).as_deref()),
        cart(session),
        escape(email.unwrap_or_default()),
        escape(name.unwrap_or_default()),
        inputs(&session.payment_method_types),
    );
    page(200, &title, &body)
}

fn cart(session: &CheckoutSession) -> String {
    let (Some(total), Some(currency)) = (session.total(), session.currency) else {
        return String::new();
    };
    let mut rows = String::new();
    for line in &session.lines {
        let quantity = line
            .quantity
            .map_or_else(String::new, |count| format!(" × {count}"));
        let row = format!(
            "<tr><td>{}{quantity}</td><td class=\"amount\">{}</td></tr>",
            escape(&line.description),
            escape(&currency.display(line.amount)),
        );
        rows.push_str(&row);
    }
    format!(
        "<table>{rows}<tr><th>Due today</th><th class=\"amount\">{}</th></tr></table>",
        escape(&currency.display(total)),
    )
}

impl Account {
    /// What went wrong last, for the customer.
    fn session_message(&self, session: &CheckoutSession) -> Option<String> {
        let payment = session.payment_intent.as_deref();
        let payment = payment.and_then(|id| self.payments.payment_intents.get(id));
        let setup = session.setup_intent.as_deref();
        let setup = setup.and_then(|id| self.payments.setup_intents.get(id));
        let payment = payment.and_then(|intent| intent.last_payment_error.as_ref());
        let setup = setup.and_then(|intent| intent.last_setup_error.as_ref());
        let intent = payment.or(setup).map(|error| error.message.clone());
        session.message.clone().or(intent)
    }
}

/// Runs on the account that has the session, its customer's clock being acted on.
pub(crate) fn with_session<T>(
    world: &World,
    id: &str,
    run: impl FnOnce(&mut Account) -> Option<T>,
) -> Option<T> {
    let account = account_with(world, |account| account.hosted.sessions.contains(id))?;
    let mut account = lock(&account);
    account.run_due();
    account.act_on(None);
    let customer = account.hosted.sessions.get(id)?.customer.clone();
    if let Some(customer) = customer {
        account.act_for(&customer);
    }
    let outcome = run(&mut account);
    account.act_on(None);
    outcome
}
