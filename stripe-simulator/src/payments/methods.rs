//! Finding, making, attaching and detaching payment methods.

use super::instrument::{Answer, Circumstances, Instrument};
use super::payment_method::{PaymentMethod, Tenure};
use super::reading::Setting;
use crate::account::Account;
use crate::front::errors::StripeError;
use crate::params::{Metadata, Params};
use crate::resources::billing_details::BillingDetails;
use crate::resources::customers;

impl Account {
    /// The present year and month on the acting clock, in UTC.
    pub(crate) fn year_month(&self) -> (i64, i64) {
        let now = jiff::Timestamp::from_second(self.now()).unwrap_or_default();
        let date = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        (i64::from(date.year()), i64::from(date.month()))
    }

    /// A new payment method, attached to nobody.
    pub(crate) fn new_payment_method(
        &mut self,
        instrument: Instrument,
        billing_details: BillingDetails,
        metadata: Metadata,
        allow_redisplay: Option<String>,
    ) -> String {
        let id = self.ids.long("pm_");
        let method = PaymentMethod {
            id: id.clone(),
            created: self.now(),
            livemode: self.livemode,
            instrument,
            billing_details,
            customer: None,
            tenure: Tenure::Fresh,
            verified: false,
            set_up: false,
            mandate: None,
            allow_redisplay,
            metadata,
        };
        self.payments.payment_methods.insert(method);
        id
    }

    /// Makes a payment method from `type` and its hash; `prefix` is where the parameters stand.
    pub(crate) fn payment_method_from(
        &mut self,
        params: Params<'_>,
        prefix: &str,
    ) -> Result<String, StripeError> {
        let account = self.id.clone();
        let setting = Setting { account: &account, year_month: self.year_month() };
        let instrument = setting.read(params, prefix)?;
        let billing = BillingDetails::read(params.child("billing_details"));
        let redisplay = params.owned("allow_redisplay");
        Ok(self.new_payment_method(instrument, billing, params.metadata(), redisplay))
    }

    /// The payment method a parameter names: its own id, or a ready-made test method such as
    /// `pm_card_visa`, which becomes a new payment method each time.
    ///
    /// # Errors
    /// `resource_missing` (400) on `param`.
    pub(crate) fn resolve_payment_method(
        &mut self,
        id: &str,
        param: &str,
    ) -> Result<String, StripeError> {
        if self.payments.payment_methods.contains(id) {
            return Ok(id.to_owned());
        }
        let account = self.id.clone();
        let setting = Setting { account: &account, year_month: self.year_month() };
        match setting.ready_made(id).filter(|_| !self.livemode && id.starts_with("pm_")) {
            Some(instrument) => Ok(self.new_payment_method(
                instrument,
                BillingDetails::default(),
                Metadata::new(),
                None,
            )),
            None => Err(StripeError::no_such_in("PaymentMethod", id, param)),
        }
    }

    /// Attaches a method to a customer; the bank verifies it first.
    ///
    /// # Errors
    /// 400 for a method that is attached already or spent; 402 when the bank declines the card.
    pub(crate) fn attach_payment_method(
        &mut self,
        id: &str,
        customer: &str,
    ) -> Result<(), StripeError> {
        customers::named(self, customer, "customer")?;
        let Some(method) = self.payments.payment_methods.get(id) else {
            return Err(StripeError::no_such("PaymentMethod", id, "payment_method"));
        };
        match method.tenure {
            Tenure::Fresh => {}
            Tenure::Attached => {
                return Err(StripeError::invalid(
                    "The payment method you provided has already been attached to a customer.",
                ));
            }
            Tenure::Spent => return Err(spent()),
        }
        // Attaching verifies the card, but never asks the customer to authenticate.
        let circumstances = Circumstances {
            off_session: true,
            set_up: true,
            authenticated: true,
            three_d_secure_requested: false,
        };
        if let Answer::Declined(decline) = method.instrument.answer_to_setup(circumstances) {
            let error = super::intent_error::IntentError::declined(decline, method.render());
            return Err(error.answer_alone());
        }
        self.attach_verified(id, customer);
        Ok(())
    }

    /// Detaches a method for ever, also from where it is the default.
    ///
    /// # Errors
    /// 400 for a method that is attached to nobody.
    pub(crate) fn detach_payment_method(&mut self, id: &str) -> Result<(), StripeError> {
        let Some(mut method) = self.payments.payment_methods.get_mut(id) else {
            return Err(StripeError::no_such("PaymentMethod", id, "payment_method"));
        };
        let Some(customer) = method.customer.take() else {
            return Err(StripeError::invalid(
                "The payment method you provided is not attached to a customer so detachment is \
                 impossible.",
            ));
        };
        method.tenure = Tenure::Spent;
        let after = method.render();
        drop(method);
        let mut before = after.clone();
        if let Some(map) = before.as_object_mut() {
            map.insert("customer".to_owned(), customer.as_str().into());
        }
        self.emit_updated("payment_method.detached", &before, &after);
        self.forget_default(id, &customer);
        Ok(())
    }

    fn forget_default(&mut self, method: &str, customer: &str) {
        let is_default = self.customers.get(customer).is_some_and(|customer| {
            customer.invoice_settings.default_payment_method.as_deref() == Some(method)
        });
        if is_default {
            let cleared = customers::change(self, customer, |customer| {
                customer.invoice_settings.default_payment_method = None;
                Ok(())
            });
            debug_assert!(cleared.is_ok(), "the customer was found just now");
        }
    }

    /// Checks that a method can serve as a customer's default: it has to be attached to it.
    ///
    /// # Errors
    /// 400 `resource_missing` on `param`.
    pub(crate) fn check_owned_method(
        &self,
        method: &str,
        customer: &str,
        param: &str,
    ) -> Result<(), StripeError> {
        let owner = self.payments.payment_methods.get(method);
        if owner.is_some_and(|method| method.customer.as_deref() == Some(customer)) {
            return Ok(());
        }
        Err(StripeError::invalid(format!(
            "The customer does not have a payment method with the ID {method}. The payment method \
             must be attached to the customer."
        ))
        .code("resource_missing")
        .param(param))
    }

    /// Checks that a method may be used by an intent of this customer.
    ///
    /// # Errors
    /// 400 for a spent method and for another customer's.
    pub(crate) fn check_usable_method(
        &self,
        id: &str,
        customer: Option<&str>,
    ) -> Result<(), StripeError> {
        let Some(method) = self.payments.payment_methods.get(id) else {
            return Err(StripeError::no_such_in("PaymentMethod", id, "payment_method"));
        };
        match (method.tenure, method.customer.as_deref(), customer) {
            (Tenure::Spent, _, _) => Err(spent()),
            (Tenure::Fresh, _, _) => Ok(()),
            (Tenure::Attached, owner, asked) if owner == asked => Ok(()),
            (Tenure::Attached, Some(owner), None) => Err(StripeError::invalid(format!(
                "The PaymentMethod {id} belongs to the Customer {owner}. Please include the \
                 Customer in the `customer` parameter on the PaymentIntent."
            ))
            .param("payment_method")),
            (Tenure::Attached, _, asked) => Err(StripeError::invalid(format!(
                "The payment method supplied ({id}) does not belong to the Customer you supplied \
                 ({}), but does belong to another Customer. Please use this PaymentMethod with the \
                 Customer that it belongs to instead.",
                asked.unwrap_or_default()
            ))
            .param("payment_method")),
        }
    }
}

fn spent() -> StripeError {
    StripeError::invalid(
        "The provided PaymentMethod was previously used with a PaymentIntent without Customer \
         attachment, shared with a connected account without Customer attachment, or was detached \
         from a Customer. It may not be used again. To use a PaymentMethod multiple times, you \
         must attach it to a Customer first.",
    )
}
