//! The pages that Stripe hosts: 3-D Secure, Checkout, the billing portal, invoices, receipts.
//!
//! Plain HTML forms without scripts, for a browser on loopback or for any HTTP client. They need
//! no API key: as on Stripe, whoever has the address may use the page.

mod authenticate;
mod card_form;
pub(crate) mod checkout;
mod html;
mod invoice;
mod pdf;
mod portal;
mod receipt;

use std::sync::{Arc, Mutex};

use crate::account::Account;
use crate::front::form::Form;
use crate::front::{HttpRequest, HttpResponse};
use crate::world::{World, lock};

/// Answers the request if its path is a page's.
pub(crate) fn answer(world: &World, http: &HttpRequest) -> Option<HttpResponse> {
    let path = http.path.strip_prefix('/')?;
    let segments: Vec<&str> = path.split('/').collect();
    let posts = http.method == "POST";
    if !posts && http.method != "GET" {
        return None;
    }
    match (segments.as_slice(), posts) {
        (["authenticate", id], false) => Some(authenticate::show(world, id)),
        (["authenticate", id], true) => Some(authenticate::submit(world, id, &Fields::of(http))),
        (["c", "pay", id], false) => Some(checkout::show(world, id)),
        (["c", "pay", id], true) => Some(checkout::submit(world, id, &Fields::of(http))),
        (["p", "session", secret], false) => {
            Some(portal::show(world, secret, &Fields::of_query(http)))
        }
        (["p", "session", secret], true) => Some(portal::submit(world, secret, &Fields::of(http))),
        (["b", id], false) => Some(open_link(world, id)),
        (["b", _, "thanks"], false) => Some(html::page(
            200,
            "Thank you",
            "<p>Your payment was received. You can close this window.</p>",
        )),
        (["i", owner, token], false) => Some(invoice::show(world, owner, token)),
        (["i", owner, token], true) => {
            Some(invoice::submit(world, owner, token, &Fields::of(http)))
        }
        (["pdf", owner, token], false) => Some(invoice::pdf(world, owner, token)),
        (["receipts", id], false) => Some(receipt::show(world, id)),
        _ => None,
    }
}

/// A payment link: a new Checkout session for each visitor.
fn open_link(world: &World, id: &str) -> HttpResponse {
    let known = |account: &Account| account.hosted.payment_links.contains(id);
    let Some(account) = account_with(world, known) else {
        return html::not_found();
    };
    let mut account = lock(&account);
    account.run_due();
    account.act_on(None);
    match account.open_payment_link(id) {
        Ok(page) => redirect(&page),
        Err(error) => html::page(
            410,
            "Not available",
            &html::error_line(Some(error.message())),
        ),
    }
}

/// Runs on the account that has this payment intent or setup intent, its clock being acted on.
pub(crate) fn with_intent<T>(
    world: &World,
    id: &str,
    run: impl FnOnce(&mut Account) -> T,
) -> Option<T> {
    let account = account_with(world, |account| {
        account.payments.payment_intents.contains(id)
            || account.payments.setup_intents.contains(id)
            || account.hosted.sessions.contains(id)
    })?;
    let mut account = lock(&account);
    account.run_due();
    let payer = account
        .payments
        .payment_intents
        .get(id)
        .and_then(|intent| intent.customer.clone());
    let saver = account
        .payments
        .setup_intents
        .get(id)
        .and_then(|intent| intent.customer.clone());
    let buyer = account
        .hosted
        .sessions
        .get(id)
        .and_then(|session| session.customer.clone());
    account.act_on(None);
    if let Some(customer) = payer.or(saver).or(buyer) {
        account.act_for(&customer);
    }
    let outcome = run(&mut account);
    account.act_on(None);
    Some(outcome)
}

/// The account of which something is true: an address names an object, not an account.
fn account_with(
    world: &World,
    mut is_it: impl FnMut(&Account) -> bool,
) -> Option<Arc<Mutex<Account>>> {
    world
        .accounts()
        .into_iter()
        .find(|account| is_it(&lock(account)))
}

/// The fields of a submitted form.
struct Fields(Form);

impl Fields {
    fn of(http: &HttpRequest) -> Self {
        let mut form = Form::empty();
        // A body that is no form has no fields.
        let _ignored = Form::decode(&mut form, &http.body);
        Self(form)
    }

    /// The parameters of the address.
    fn of_query(http: &HttpRequest) -> Self {
        let mut form = Form::empty();
        let query = http.query.as_deref().unwrap_or_default();
        let _ignored = Form::decode(&mut form, query.as_bytes());
        Self(form)
    }

    fn get(&self, name: &str) -> &str {
        match &self.0 {
            Form::Map(fields) => match fields.get(name) {
                Some(Form::Text(text)) => text.trim(),
                _ => "",
            },
            _ => "",
        }
    }
}

/// Sends the browser elsewhere.
fn redirect(to: &str) -> HttpResponse {
    HttpResponse {
        status: 303,
        content_type: "text/html; charset=utf-8",
        headers: vec![("Location", to.to_owned())],
        body: Vec::new(),
    }
}
