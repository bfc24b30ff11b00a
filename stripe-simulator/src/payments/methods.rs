//! Finding, making, attaching and detaching payment methods.

use super::instrument::{Answer, Circumstances, Instrument, Presence};
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
        let date = jiff::tz::Offset::UTC.to_datetime(now).date();
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
        self.insert_payment_method(id, instrument, billing_details, metadata, allow_redisplay)
    }

    fn insert_payment_method(
        &mut self,
        id: String,
        instrument: Instrument,
        billing_details: BillingDetails,
        metadata: Metadata,
        allow_redisplay: Option<String>,
    ) -> String {
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
            authenticated_once: false,
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
        let setting = Setting {
            account: &account,
            year_month: self.year_month(),
        };
        let instrument = setting.read(params, prefix)?;
        let billing = BillingDetails::read(params.child("billing_details"));
        let redisplay = params.owned("allow_redisplay");
        Ok(self.new_payment_method(instrument, billing, params.metadata(), redisplay))
    }

    /// A card of the older kind (`card_…`) out of a ready-made token such as `tok_visa`.
    ///
    /// # Errors
    /// `resource_missing` (400) on `param`.
    pub(crate) fn card_from_token(
        &mut self,
        token: &str,
        param: &str,
    ) -> Result<String, StripeError> {
        let account = self.id.clone();
        let setting = Setting {
            account: &account,
            year_month: self.year_month(),
        };
        let instrument = setting
            .ready_made(token)
            .filter(|_| !self.livemode && token.starts_with("tok_"))
            .ok_or_else(|| StripeError::no_such_in("token", token, param))?;
        let id = self.ids.long("card_");
        Ok(self.insert_payment_method(
            id,
            instrument,
            BillingDetails::default(),
            Metadata::new(),
            None,
        ))
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
        let setting = Setting {
            account: &account,
            year_month: self.year_month(),
        };
        match setting
            .ready_made(id)
            .filter(|_| !self.livemode && id.starts_with("pm_"))
        {
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
    /// As [`Self::check_attachable`].
    pub(crate) fn attach_payment_method(
        &mut self,
        id: &str,
        customer: &str,
    ) -> Result<(), StripeError> {
        self.check_attachable(id)?;
        self.attach_verified(id, customer);
        Ok(())
    }

    /// Whether a method can be attached to a customer.
    ///
    /// # Errors
    /// 400 for a method that is attached already or spent; 402 when the bank declines the card.
    pub(crate) fn check_attachable(&self, id: &str) -> Result<(), StripeError> {
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
            presence: Presence::Authenticated,
            set_up: true,
            three_d_secure_requested: false,
        };
        match method.instrument.answer_to_setup(circumstances) {
            Answer::Declined(decline) => {
                let error = super::intent_error::IntentError::declined(decline, method.render());
                Err(error.answer_alone())
            }
            _ => Ok(()),
        }
    }

    /// The method that a new customer brings along: `payment_method`, or a token as `source`.
    ///
    /// # Errors
    /// As [`Self::check_attachable`]; `invoice_settings[default_payment_method]` can only name the
    /// method that comes along.
    pub(crate) fn method_of_new_customer(
        &mut self,
        params: Params<'_>,
    ) -> Result<Option<String>, StripeError> {
        let named = params.text("payment_method");
        let default = params
            .child("invoice_settings")
            .and_then(|settings| settings.text("default_payment_method"));
        if let Some(default) = default
            && named != Some(default)
        {
            return Err(not_the_customers(default, DEFAULT_METHOD));
        }
        let id = match (named, params.text("source")) {
            (Some(named), _) => self.resolve_payment_method(named, "payment_method")?,
            (None, Some(token)) => self.card_from_token(token, "source")?,
            (None, None) => return Ok(None),
        };
        self.check_attachable(&id)?;
        Ok(Some(id))
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
        for id in self.billing.subscriptions.ids_by_key("customer", customer) {
            let own = self.billing.subscriptions.get(&id);
            if own.is_some_and(|own| own.default_payment_method.as_deref() == Some(method)) {
                self.update_subscription(&id, |own| own.default_payment_method = None);
            }
        }
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
        Err(not_the_customers(method, param))
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
            return Err(StripeError::no_such_in(
                "PaymentMethod",
                id,
                "payment_method",
            ));
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

/// Where a customer names its default method.
pub(crate) const DEFAULT_METHOD: &str = "invoice_settings[default_payment_method]";

fn not_the_customers(method: &str, param: &str) -> StripeError {
    StripeError::invalid(format!(
        "The customer does not have a payment method with the ID {method}. The payment method must \
         be attached to the customer."
    ))
    .code("resource_missing")
    .param(param)
}

fn spent() -> StripeError {
    StripeError::invalid(
        "The provided PaymentMethod was previously used with a PaymentIntent without Customer \
         attachment, shared with a connected account without Customer attachment, or was detached \
         from a Customer. It may not be used again. To use a PaymentMethod multiple times, you \
         must attach it to a Customer first.",
    )
}
