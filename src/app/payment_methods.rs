//! Payment methods of customers.

use crate::clock::Timestamp;
use crate::domain::customer::Customer;
use crate::domain::error::{Code, Error};
use crate::domain::payment_method::PaymentMethod;
use crate::domain::stripe_key::Mode;
use crate::store::{self, Conn, StoreError};

/// The payment method that the customer pays with in this account and mode: the wanted one, else the
/// default; `None` when nothing is wanted and there is no default that can be used.
///
/// # Errors
/// `payment_method_unusable` when the wanted one is not this customer's, not of this account and mode,
/// or cannot be used now; which of them is not told.
pub(super) async fn usable_method(
    conn: &mut Conn,
    customer: &Customer,
    wanted: Option<&str>,
    now: Timestamp,
    account: &str,
    mode: Mode,
) -> Result<Option<PaymentMethod>, StoreError> {
    let Some(id) = wanted.or(customer.default_payment_method.as_deref()) else {
        return Ok(None);
    };
    let found = store::payment_methods::find(conn, id)
        .await?
        .filter(|method| {
            method.customer_id == customer.id
                && method.stripe.id_in(account, mode).is_some()
                && method.is_usable(now)
        });
    if found.is_none() && wanted.is_some() {
        return Err(unusable().into());
    }
    Ok(found)
}

pub(super) fn unusable() -> Error {
    Error::new(
        Code::PaymentMethodUnusable,
        "This payment method cannot be used for this customer.",
    )
}
