//! Test clocks: <https://docs.stripe.com/api/test_clocks>.
//!
//! Stripe advances in the background; here the work is done before the answer is sent, and the
//! answer says `advancing` all the same, because callers must be ready for it.

use serde_json::{Value, json};

use super::customers;
use super::shared::deleted;
use crate::account::Account;
use crate::clock::{DAY, Timestamp};
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;
use crate::store::Stored;

pub(crate) static RESOURCE: Resource = Resource {
    object: "test_helpers.test_clock",
    prefixes: &["clock_"],
    routes: &[
        Route::post("/v1/test_helpers/test_clocks", "billing_clock", create),
        Route::get("/v1/test_helpers/test_clocks", "billing_clock", list_all),
        Route::get(
            "/v1/test_helpers/test_clocks/{test_clock}",
            "billing_clock",
            retrieve,
        ),
        Route::delete(
            "/v1/test_helpers/test_clocks/{test_clock}",
            "billing_clock",
            delete,
        ),
        Route::post(
            "/v1/test_helpers/test_clocks/{test_clock}/advance",
            "billing_clock",
            advance,
        ),
    ],
    find: |account, id| {
        account
            .test_clocks
            .get(id)
            .map(|clock| clock.render(account))
    },
    all: |account| {
        account
            .test_clocks
            .oldest_first()
            .map(|object| object.render(account))
            .collect()
    },
    includes: &[],
};

/// Stripe: clocks are deleted 30 days after their creation.
const LIFE: i64 = 30 * DAY;

#[derive(Clone, Debug)]
pub(crate) struct TestClock {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    pub(crate) name: Option<String>,
    /// Where it is going while the work of an advance is done.
    pub(crate) target: Option<Timestamp>,
}

impl Stored for TestClock {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }
}

impl TestClock {
    fn render(&self, account: &Account) -> Value {
        let details = match self.target {
            Some(target) => json!({ "advancing": { "target_frozen_time": target } }),
            None => json!({}),
        };
        json!({
            "id": self.id,
            "object": "test_helpers.test_clock",
            "created": self.created,
            "deletes_after": self.created + LIFE,
            "frozen_time": account.clocks.test_clock_now(&self.id),
            "livemode": account.livemode,
            "name": self.name,
            "status": if self.target.is_some() { "advancing" } else { "ready" },
            "status_details": details,
        })
    }
}

fn of_path(ctx: &Ctx<'_>) -> Result<String, StripeError> {
    let id = ctx.arg("test_clock");
    match ctx.account.test_clocks.get(id) {
        Some(clock) => Ok(clock.id.clone()),
        None => Err(StripeError::no_such("test clock", id, "test_clock")),
    }
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    if account.livemode {
        return Err(StripeError::invalid(
            "Test clocks can only be used in test mode.",
        ));
    }
    if let Some(customer) = params.text("customer") {
        customers::named(account, customer, "customer")?;
    }
    let clock = TestClock {
        id: account.ids.long("clock_"),
        created: account.now(),
        name: params.owned("name"),
        target: None,
    };
    let id = clock.id.clone();
    account
        .clocks
        .add_test_clock(&id, params.integer("frozen_time").unwrap_or_default());
    account.test_clocks.insert(clock);
    if let Some(customer) = params.text("customer") {
        customers::change(account, customer, |customer| {
            customer.test_clock = Some(id.clone());
            Ok(())
        })?;
    }
    let body = account.render(&id).unwrap_or_default();
    account.emit("test_helpers.test_clock.created", &body);
    Ok(body.into())
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    Ok(ctx.account.render(&id).unwrap_or_default().into())
}

fn delete(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    let account = &mut *ctx.account;
    for customer in account.customers.ids_by_key("test_clock", &id) {
        customers::remove(account, &customer);
    }
    account.test_clocks.remove(&id);
    account.clocks.remove_test_clock(&id);
    let body = deleted("test_helpers.test_clock", &id);
    account.emit("test_helpers.test_clock.deleted", &body);
    Ok(body.into())
}

fn advance(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    let account = &mut *ctx.account;
    let target = params.integer("frozen_time").unwrap_or_default();
    let now = account.clocks.test_clock_now(&id).unwrap_or_default();
    if target <= now {
        return Err(StripeError::invalid(format!(
            "`frozen_time` must be after the test clock's current frozen time of {now}."
        ))
        .param("frozen_time"));
    }
    set_target(account, &id, Some(target));
    let body = account.render(&id).unwrap_or_default();
    account.emit("test_helpers.test_clock.advancing", &body);
    // What follows from the passing of time is nobody's request.
    let request = account.current_request.take();
    account.advance(Some(&id), target);
    account.current_request = request;
    set_target(account, &id, None);
    let ready = account.render(&id).unwrap_or_default();
    account.emit("test_helpers.test_clock.ready", &ready);
    Ok(body.into())
}

fn set_target(account: &mut Account, id: &str, target: Option<Timestamp>) {
    if let Some(mut clock) = account.test_clocks.get_mut(id) {
        clock.target = target;
    }
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let render = |clock: &TestClock| clock.render(ctx.account);
    let store = &ctx.account.test_clocks;
    Ok(list::list(ctx, params, store, "test clock", None, |_| true, render)?.into())
}
