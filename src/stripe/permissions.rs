//! Which permissions a restricted key has, found out without changing anything.
//!
//! Stripe has no call that lists a key's permissions. But it checks them before it looks at the
//! object or the parameters, so that a request for an object that cannot exist tells: 403 means
//! not permitted, "no such object" means permitted. (A permission to write includes reading, says
//! <https://docs.stripe.com/keys/restricted-api-keys>; both are asked for all the same, so that the
//! report rests on nothing but answers.) Where Stripe's 403 names the permission, that
//! name is reported; else the one of the table below.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use stripe_client_core::RequestBuilder;

use super::transport::{Bearer, Call};
use super::{Outcome, StripeClient, StripeError, first_of, get, post};
use crate::domain::stripe_key::{ApiKey, ApiKeyKind};

/// Probes in flight at once. With Stripe's limit of 25 requests a second in test mode, more would
/// only be turned away, and other calls of the account with them.
const PROBES_AT_ONCE: usize = 4;
/// How often a probe that Stripe turned away is asked again.
const PROBE_REPEATS: u32 = 3;
/// How long to wait before that, when Stripe does not say, in milliseconds.
const PROBE_PAUSE_MILLIS: u64 = 500;
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What a permission allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reading.
    Read,
    /// Creating and changing.
    Write,
}

impl Access {
    /// `read` or `write`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// A permission this service needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permission {
    /// Of what, in our words: `customers`.
    pub resource: &'static str,
    /// To do what.
    pub access: Access,
    /// Stripe's name for it, as far as known; Stripe names it in its 403, and that name wins.
    pub stripe_name: &'static str,
}

/// A permission the key lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPermission {
    /// Which.
    pub permission: Permission,
    /// As Stripe calls it in this very refusal, or else as our table does.
    pub stripe_name: String,
}

/// What a key may do of what this service needs.
#[derive(Clone, Debug, Default)]
pub struct PermissionReport {
    /// What it may.
    pub granted: Vec<Permission>,
    /// What it may not.
    pub missing: Vec<MissingPermission>,
    /// What could not be found out, and why.
    pub unknown: Vec<(Permission, StripeError)>,
}

impl PermissionReport {
    /// Whether everything needed is surely there.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unknown.is_empty()
    }
}

/// A request that tells by its refusal.
#[derive(Clone, Copy)]
enum Probe {
    /// The first element of a list.
    List(&'static str),
    /// An object that cannot exist. A POST to it carries no parameter, so that it would change
    /// nothing even if it did.
    Object(&'static str),
    /// A POST whose one parameter names an object that cannot exist.
    Post(&'static str, &'static str, &'static str),
}

/// Defines a table of permissions and probes, one a line.
macro_rules! probes {
    ($($access:ident $resource:literal $stripe_name:literal $probe:ident $arguments:tt;)+) => {
        &[$((
            Permission {
                resource: $resource,
                access: Access::$access,
                stripe_name: $stripe_name,
            },
            Probe::$probe $arguments,
        ),)+]
    };
}

/// What this service needs, and how each is found out.
const TABLE: &[(Permission, Probe)] = probes! {
    Read "customers" "rak_customer_read" List("/customers");
    Write "customers" "rak_customer_write" Object("/customers/cus_portalbillingprobe");
    Read "payment_methods" "rak_payment_method_read" Object("/payment_methods/pm_portalbillingprobe");
    Write "payment_methods" "rak_payment_method_write" Object("/payment_methods/pm_portalbillingprobe");
    Read "setup_intents" "rak_setup_intent_read" List("/setup_intents");
    Write "setup_intents" "rak_setup_intent_write" Object("/setup_intents/seti_portalbillingprobe");
    Read "products" "rak_product_read" List("/products");
    Write "products" "rak_product_write" Object("/products/prod_portalbillingprobe");
    // Prices go by the older name of plans.
    Read "prices" "rak_plan_read" List("/prices");
    Write "prices" "rak_plan_write" Object("/prices/price_portalbillingprobe");
    Read "subscriptions" "rak_subscription_read" List("/subscriptions");
    Write "subscriptions" "rak_subscription_write" Object("/subscriptions/sub_portalbillingprobe");
    Read "invoices" "rak_invoice_read" List("/invoices");
    Write "invoices" "rak_invoice_write" Object("/invoices/in_portalbillingprobe");
    Read "charges" "rak_charge_read" List("/charges");
    Write "refunds" "rak_charge_write" Post("/refunds", "charge", "ch_portalbillingprobe");
    Read "credit_notes" "rak_credit_note_read" List("/credit_notes");
    Write "credit_notes" "rak_credit_note_write" Post("/credit_notes", "invoice", "in_portalbillingprobe");
    Read "checkout_sessions" "rak_checkout_session_read" List("/checkout/sessions");
    Write "checkout_sessions" "rak_checkout_session_write" Object("/checkout/sessions/cs_portalbillingprobe/expire");
    Write "customer_portal" "rak_customer_portal_write" Post("/billing_portal/sessions", "customer", "cus_portalbillingprobe");
    Read "coupons" "rak_coupon_read" List("/coupons");
    Read "promotion_codes" "rak_promotion_code_read" List("/promotion_codes");
    Read "events" "rak_event_read" List("/events");
    Read "webhook_endpoints" "rak_webhook_read" List("/webhook_endpoints");
    Write "webhook_endpoints" "rak_webhook_write" Object("/webhook_endpoints/we_portalbillingprobe");
};

fn request(access: Access, probe: Probe) -> RequestBuilder {
    match (access, probe) {
        (_, Probe::List(path)) => first_of(path),
        (Access::Read, Probe::Object(path)) => get(path),
        (Access::Write, Probe::Object(path)) => post(path),
        (_, Probe::Post(path, name, value)) => post(path).form(&BTreeMap::from([(name, value)])),
    }
}

/// What the end of a probe says: permitted, or not and by which name, or nothing.
fn verdict<T>(result: Result<T, StripeError>) -> Result<Option<String>, StripeError> {
    match result {
        Ok(_) => Ok(None),
        Err(error) => match error.outcome() {
            // A 404 without "no such object" speaks of the address, not of the key.
            Outcome::Rejected if error.status() == Some(404) => Err(error),
            Outcome::Missing | Outcome::Rejected | Outcome::Declined => Ok(None),
            Outcome::Forbidden => Ok(Some(
                error.missing_permission().unwrap_or_default().to_owned(),
            )),
            Outcome::Credentials
            | Outcome::KeyReused
            | Outcome::Throttled
            | Outcome::Unavailable
            | Outcome::OutcomeUnknown => Err(error),
        },
    }
}

impl StripeClient {
    /// The permissions this service needs of a restricted key.
    pub fn needed_permissions() -> impl Iterator<Item = Permission> {
        TABLE.iter().map(|(permission, _)| *permission)
    }

    /// Which of the needed permissions this key has. Creates and changes nothing.
    ///
    /// An unrestricted key (`sk_`) may do everything by definition and is not probed: that Stripe
    /// accepts it shows in [`StripeClient::account`]. A restricted one is asked about each
    /// permission by itself, a few at a time; a probe that Stripe turns away for its rate is
    /// repeated after a pause.
    pub async fn probe_permissions(&self, key: &ApiKey) -> PermissionReport {
        if key.kind() == ApiKeyKind::Secret {
            return PermissionReport {
                granted: Self::needed_permissions().collect(),
                ..PermissionReport::default()
            };
        }
        let mut verdicts: Vec<_> = futures_util::stream::iter(TABLE.iter().enumerate())
            .map(async |(index, (permission, probe))| {
                (
                    index,
                    *permission,
                    self.probe(key, *permission, *probe).await,
                )
            })
            .buffer_unordered(PROBES_AT_ONCE)
            .collect()
            .await;
        verdicts.sort_by_key(|(index, ..)| *index);
        let mut report = PermissionReport::default();
        for (_, permission, verdict) in verdicts {
            match verdict {
                Ok(None) => report.granted.push(permission),
                Ok(Some(name)) => report.missing.push(MissingPermission {
                    permission,
                    stripe_name: if name.is_empty() {
                        permission.stripe_name.to_owned()
                    } else {
                        name
                    },
                }),
                Err(error) => report.unknown.push((permission, error)),
            }
        }
        report
    }

    async fn probe(
        &self,
        key: &ApiKey,
        permission: Permission,
        probe: Probe,
    ) -> Result<Option<String>, StripeError> {
        let mut repeats = 0;
        loop {
            // Without an idempotency key even where it is a POST: it cannot have an effect, and a
            // stored answer would hide that a permission has been granted since.
            let call = Call {
                bearer: Bearer::Api(key),
                request: request(permission.access, probe),
                idempotency_key: None,
            };
            match verdict(self.transport.call(&call).await) {
                Err(error) if error.outcome() == Outcome::Throttled && repeats < PROBE_REPEATS => {
                    repeats += 1;
                    let pause = error
                        .retry_after()
                        .unwrap_or_else(|| Duration::from_millis(PROBE_PAUSE_MILLIS << repeats));
                    // Stripe has said when to ask again; asking earlier only prolongs the limit.
                    tokio::time::sleep(pause.min(PROBE_PAUSE_MAX)).await;
                }
                verdict => return verdict,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stripe_client_core::StripeMethod;

    #[test]
    fn each_permission_is_asked_about_once() {
        let mut seen = std::collections::HashSet::new();
        for (permission, _) in TABLE {
            assert!(seen.insert((permission.resource, permission.access)));
            assert!(permission.stripe_name.starts_with("rak_"));
            assert!(permission.stripe_name.ends_with(permission.access.as_str()));
        }
    }

    #[test]
    fn reads_are_gets_and_writes_name_only_what_cannot_exist() {
        for (permission, probe) in TABLE {
            let built = request(permission.access, *probe);
            match permission.access {
                Access::Read => assert!(matches!(built.method, StripeMethod::Get)),
                Access::Write => {
                    assert!(matches!(built.method, StripeMethod::Post));
                    let named = built.body.unwrap_or_default() + &built.path;
                    assert!(named.contains("_portalbillingprobe"), "{named}");
                }
            }
        }
    }
}
