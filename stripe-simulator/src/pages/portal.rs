//! The billing portal's page.

use serde_json::{Map, Value, json};

use super::card_form::inputs;
use super::html::{error_line, escape, not_found, page};
use super::{Fields, account_with, redirect};
use crate::account::Account;
use crate::checkout::portal::{PortalConfiguration, PortalSession};
use crate::currency::Currency;
use crate::front::HttpResponse;
use crate::front::errors::StripeError;
use crate::front::router::Method;
use crate::payments::instrument::{Instrument, Presence};
use crate::payments::setup_intent::SetupStatus;
use crate::resources::customers;
use crate::world::{World, lock};

/// A visit with what it may do.
struct Visit {
    session: PortalSession,
    configuration: PortalConfiguration,
}

pub(super) fn show(world: &World, secret: &str, query: &Fields) -> HttpResponse {
    with_visit(world, secret, |account, visit| {
        account.take_authenticated_method(visit, query.get("setup_intent"));
        render(account, visit, None)
    })
}

pub(super) fn submit(world: &World, secret: &str, fields: &Fields) -> HttpResponse {
    with_visit(world, secret, |account, visit| {
        let outcome = match fields.get("action") {
            "cancel" => account.portal_cancel(visit, fields.get("subscription")),
            "renew" => account.portal_renew(visit, fields.get("subscription")),
            "payment_method" => account.portal_method(visit, fields),
            _ => Err(StripeError::invalid("Choose one of the buttons.")),
        };
        match outcome {
            Ok(Some(bank)) => redirect(&bank),
            Ok(None) => match visit.session.after_completion() {
                Some(url) => redirect(url),
                None => redirect(&visit.session.url(&account.base_url)),
            },
            Err(error) => render(account, visit, Some(error.message())),
        }
    })
}

fn with_visit(
    world: &World,
    secret: &str,
    run: impl FnOnce(&mut Account, &Visit) -> HttpResponse,
) -> HttpResponse {
    let known = |account: &Account| {
        account
            .hosted
            .portal_sessions
            .by_key("secret", secret)
            .next()
            .is_some()
    };
    let Some(account) = account_with(world, known) else {
        return not_found();
    };
    let mut account = lock(&account);
    account.run_due();
    account.act_on(None);
    let Some(session) = account
        .hosted
        .portal_sessions
        .by_key("secret", secret)
        .next()
        .cloned()
    else {
        return not_found();
    };
    let configuration = account
        .hosted
        .portal_configurations
        .get(&session.configuration)
        .cloned();
    let Some(configuration) = configuration else {
        return not_found();
    };
    account.act_for(&session.customer);
    let response = run(
        &mut account,
        &Visit {
            session,
            configuration,
        },
    );
    account.act_on(None);
    response
}

impl Account {
    /// The customer's subscriptions or invoices, as the API lists them.
    fn portal_list(&mut self, path: &str, customer: &str) -> Vec<Value> {
        let params = json!({ "customer": customer, "limit": 20 });
        let listed = self.call(Method::Get, path, params.as_object().unwrap_or(&Map::new()));
        let data = listed
            .ok()
            .and_then(|mut list| list.get_mut("data").map(Value::take));
        match data {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        }
    }

    fn check_portal_subscription(&mut self, visit: &Visit, id: &str) -> Result<(), StripeError> {
        let owns = |subscription: &Value| text(subscription, "id") == id;
        if self
            .portal_list("/v1/subscriptions", &visit.session.customer)
            .iter()
            .any(owns)
        {
            return Ok(());
        }
        Err(StripeError::no_such("subscription", id, "subscription"))
    }

    fn portal_cancel(&mut self, visit: &Visit, id: &str) -> Result<Option<String>, StripeError> {
        self.check_portal_subscription(visit, id)?;
        let path = format!("/v1/subscriptions/{id}");
        match visit.configuration.cancels() {
            None => {
                return Err(StripeError::invalid(
                    "Subscriptions cannot be canceled here.",
                ));
            }
            Some(true) => self.call(Method::Delete, &path, &Map::new())?,
            Some(false) => self.set_cancel_at_period_end(&path, true)?,
        };
        Ok(None)
    }

    fn portal_renew(&mut self, visit: &Visit, id: &str) -> Result<Option<String>, StripeError> {
        self.check_portal_subscription(visit, id)?;
        self.set_cancel_at_period_end(&format!("/v1/subscriptions/{id}"), false)?;
        Ok(None)
    }

    fn set_cancel_at_period_end(&mut self, path: &str, cancel: bool) -> Result<Value, StripeError> {
        let mut params = Map::new();
        params.insert("cancel_at_period_end".to_owned(), cancel.into());
        self.call(Method::Post, path, &params)
    }

    /// Saves a new method and makes it the default; the bank's page where it asks for 3-D Secure.
    fn portal_method(
        &mut self,
        visit: &Visit,
        fields: &Fields,
    ) -> Result<Option<String>, StripeError> {
        if !visit.configuration.changes_method() {
            return Err(StripeError::invalid(
                "The payment method cannot be changed here.",
            ));
        }
        let method = self.method_of_form(fields)?;
        let mut intent = self.blank_setup_intent();
        intent.customer = Some(visit.session.customer.clone());
        intent.payment_method = Some(method.clone());
        intent.payment_method_types = card_and_bank();
        intent.mandate_given = true;
        let (id, rendered) = (intent.id.clone(), intent.render());
        self.payments.setup_intents.insert(intent);
        self.emit("setup_intent.created", &rendered);
        let back = visit.session.url(&self.base_url);
        match self.attempt_setup(&id, Presence::OnSession, Some(back)) {
            SetupStatus::RequiresAction => Ok(Some(self.authentication_url(&id))),
            SetupStatus::Succeeded => {
                self.make_default(&visit.session.customer, &method)?;
                Ok(None)
            }
            _ => {
                let intent = self.payments.setup_intents.get(&id);
                let error = intent.and_then(|intent| intent.last_setup_error.as_ref());
                let message = error.map_or_else(String::new, |error| error.message.clone());
                Err(StripeError::card("card_declined", message))
            }
        }
    }

    /// Back from the bank: the method that was authenticated becomes the default.
    fn take_authenticated_method(&mut self, visit: &Visit, intent: &str) {
        let Some(intent) = self.payments.setup_intents.get(intent) else {
            return;
        };
        let own = intent.customer.as_deref() == Some(visit.session.customer.as_str());
        let method = intent.payment_method.clone();
        if let (true, SetupStatus::Succeeded, Some(method)) = (own, intent.status, method) {
            let made = self.make_default(&visit.session.customer, &method);
            debug_assert!(made.is_ok(), "a visit is a customer's");
        }
    }

    fn make_default(&mut self, customer: &str, method: &str) -> Result<(), StripeError> {
        customers::change(self, customer, |customer| {
            customer.invoice_settings.default_payment_method = Some(method.to_owned());
            Ok(())
        })
        .map(|_| ())
    }
}

fn card_and_bank() -> Vec<String> {
    ["card", "us_bank_account", "sepa_debit"]
        .map(str::to_owned)
        .to_vec()
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn render(account: &mut Account, visit: &Visit, message: Option<&str>) -> HttpResponse {
    let customer = visit.session.customer.clone();
    let subscriptions = account.portal_list("/v1/subscriptions", &customer);
    let invoices = if visit.configuration.shows_invoices() {
        account.portal_list("/v1/invoices", &customer)
    } else {
        Vec::new()
    };
    let back = visit
        .session
        .return_url
        .as_ref()
        .map_or_else(String::new, |url| {
            format!(
                "<p><a href=\"{}\">Back to {}</a></p>",
                escape(url),
                escape(&account.settings.business_name)
            )
        });
    let mut body = error_line(message);
    body.push_str("<h2>Subscriptions</h2>");
    for subscription in &subscriptions {
        body.push_str(&subscription_html(account, visit, subscription));
    }
    if visit.configuration.changes_method() {
        let form = format!(
            "<h2>Payment method</h2><p>{}</p><form method=\"post\">\
             <input type=\"hidden\" name=\"action\" value=\"payment_method\">{}\
             <button>Save as the new payment method</button></form>",
            escape(&account.default_method_words(&customer)),
            inputs(&card_and_bank()),
        );
        body.push_str(&form);
    }
    if !invoices.is_empty() {
        body.push_str("<h2>Invoices</h2><table>");
        for invoice in &invoices {
            body.push_str(&invoice_row(invoice));
        }
        body.push_str("</table>");
    }
    body.push_str(&back);
    page(200, "Your plan and payments", &body)
}

fn subscription_html(account: &Account, visit: &Visit, subscription: &Value) -> String {
    let id = escape(text(subscription, "id"));
    let items = subscription
        .pointer("/items/data")
        .and_then(Value::as_array);
    let names: Vec<String> = items
        .into_iter()
        .flatten()
        .filter_map(|item| {
            let product = item.pointer("/price/product")?.as_str()?;
            Some(escape(&account.products.get(product)?.name))
        })
        .collect();
    let ends = subscription
        .get("cancel_at_period_end")
        .and_then(Value::as_bool)
        == Some(true);
    let (action, label) = if ends {
        ("renew", "Do not cancel")
    } else {
        ("cancel", "Cancel plan")
    };
    let button = match visit.configuration.cancels() {
        Some(_) if text(subscription, "status") != "canceled" => format!(
            "<form method=\"post\"><input type=\"hidden\" name=\"subscription\" value=\"{id}\">\
             <button name=\"action\" value=\"{action}\">{label}</button></form>"
        ),
        _ => String::new(),
    };
    let note = if ends {
        ", cancels at the end of the period"
    } else {
        ""
    };
    format!(
        "<p>{} ({}{note})</p>{button}",
        names.join(", "),
        escape(text(subscription, "status")),
    )
}

fn invoice_row(invoice: &Value) -> String {
    let total = invoice
        .get("total")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    let currency = Currency::parse(text(invoice, "currency"), "currency").ok();
    let amount = currency.map_or_else(|| total.to_string(), |currency| currency.display(total));
    format!(
        "<tr><td><a href=\"{}\">{}</a></td><td>{}</td><td class=\"amount\">{}</td></tr>",
        escape(text(invoice, "hosted_invoice_url")),
        escape(text(invoice, "number")),
        escape(text(invoice, "status")),
        escape(&amount),
    )
}

impl Account {
    /// The customer's default method in words.
    fn default_method_words(&self, customer: &str) -> String {
        let customer = self.customers.get(customer);
        let id = customer.and_then(|own| own.invoice_settings.default_payment_method.as_deref());
        let method = id.and_then(|id| self.payments.payment_methods.get(id));
        match method.map(|method| &method.instrument) {
            Some(Instrument::Card(card)) => {
                format!(
                    "{} ending in {}",
                    card.test.brand.legacy_name(),
                    card.test.last4()
                )
            }
            Some(Instrument::UsBankAccount(bank)) => {
                format!("Bank account ending in {}", bank.last4)
            }
            Some(Instrument::SepaDebit(bank)) => format!("IBAN ending in {}", bank.last4),
            None => "None yet".to_owned(),
        }
    }
}
