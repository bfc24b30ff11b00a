//! Subscription schedules: <https://docs.stripe.com/api/subscription_schedules>.

use serde_json::{Value, json};

use super::{coupons, customers, prices, products, promotion_codes, subscriptions};
use crate::account::Account;
use crate::billing::cancel::{self, CancelNow};
use crate::billing::model::{
    CancellationDetails, CollectionMethod, ProrationBehavior, Subscription,
};
use crate::billing::render::{automatic_tax, billing_mode};
use crate::billing::schedule::{self, Phase, PhaseItem, Schedule, ScheduleStatus};
use crate::billing::{catalog, lines};
use crate::currency::Currency;
use crate::engine::period::{Interval, Unit, add};
use crate::front::errors::StripeError;
use crate::front::list::{self, Range};
use crate::front::router::{Answer, Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "subscription_schedule",
    prefixes: &["sub_sched_"],
    routes: &[
        Route::post("/v1/subscription_schedules", "subscription", create),
        Route::get("/v1/subscription_schedules", "subscription", list_all),
        Route::get(
            "/v1/subscription_schedules/{schedule}",
            "subscription",
            retrieve,
        ),
        Route::post(
            "/v1/subscription_schedules/{schedule}",
            "subscription",
            update,
        ),
        Route::post(
            "/v1/subscription_schedules/{schedule}/cancel",
            "subscription",
            cancel,
        ),
        Route::post(
            "/v1/subscription_schedules/{schedule}/release",
            "subscription",
            release,
        ),
    ],
    find: |account, id| {
        account
            .billing
            .schedules
            .get(id)
            .map(|own| render(own, account))
    },
    all: |account| {
        let all = account.billing.schedules.oldest_first();
        all.map(|own| render(own, account)).collect()
    },
    includes: &[],
};

fn render(own: &Schedule, account: &Account) -> Value {
    let current = own
        .current(account.now())
        .filter(|_| own.status == ScheduleStatus::Active);
    let setting = |name: &str| own.default_settings.get(name).cloned().unwrap_or_default();
    json!({
        "id": own.id,
        "object": "subscription_schedule",
        "application": null,
        "billing_mode": billing_mode(own.flexible),
        "canceled_at": own.canceled_at,
        "completed_at": own.completed_at,
        "created": own.created,
        "current_phase": current.map(|phase| json!({ "end_date": phase.end, "start_date": phase.start })),
        "customer": own.customer,
        "customer_account": null,
        "default_settings": {
            "application_fee_percent": null,
            "automatic_tax": automatic_tax(false),
            "billing_cycle_anchor": own.default_settings.get("billing_cycle_anchor").and_then(Value::as_str).unwrap_or("automatic"),
            "billing_thresholds": null,
            "collection_method": own.default_settings.get("collection_method").and_then(Value::as_str).unwrap_or("charge_automatically"),
            "default_payment_method": setting("default_payment_method"),
            "description": setting("description"),
            "invoice_settings": {
                "account_tax_ids": null, "custom_fields": null,
                "days_until_due": own.default_settings.get("invoice_settings").and_then(|own| own.get("days_until_due")),
                "description": null, "footer": null,
                "issuer": { "account": null, "type": "self" },
            },
            "on_behalf_of": null,
            "transfer_data": null,
        },
        "end_behavior": own.end_behavior,
        "livemode": own.livemode,
        "metadata": own.metadata,
        "pause_schedules": [],
        "phases": own.phases.iter().map(|phase| render_phase(phase, account)).collect::<Vec<_>>(),
        "released_at": own.released_at,
        "released_subscription": own.released_subscription,
        "status": own.status.as_str(),
        "subscription": own.subscription,
        "test_clock": own.test_clock,
    })
}

fn render_extra((price, quantity): &(String, i64)) -> Value {
    json!({
        "discountable": null,
        "discounts": [],
        "metadata": {},
        "period": { "end": { "type": "phase_end" }, "start": { "type": "phase_start" } },
        "price": price,
        "quantity": quantity,
        "tax_rates": [],
    })
}

fn render_phase(phase: &Phase, account: &Account) -> Value {
    let currency = phase
        .items
        .first()
        .and_then(|item| account.prices.get(&item.price));
    let items: Vec<Value> = phase
        .items
        .iter()
        .map(|item| {
            json!({
                "billing_thresholds": null,
                "discounts": [],
                "metadata": item.metadata,
                "plan": item.price,
                "price": item.price,
                "quantity": item.quantity,
                "tax_rates": catalog::render_tax_rates(account, &item.tax_rates),
            })
        })
        .collect();
    let discounts: Vec<Value> = phase
        .discounts
        .iter()
        .map(|(kind, id)| {
            let is_code = *kind == "promotion_code";
            json!({
                "coupon": (!is_code).then_some(id), "discount": null,
                "promotion_code": is_code.then_some(id),
            })
        })
        .collect();
    json!({
        "add_invoice_items": phase.extra.iter().map(render_extra).collect::<Vec<_>>(),
        "application_fee_percent": null,
        "automatic_tax": phase.automatic_tax.map(automatic_tax),
        "billing_cycle_anchor": phase.anchor_at_start.then_some("phase_start"),
        "billing_thresholds": null,
        "collection_method": phase.collection_method,
        "currency": currency.map_or(Currency::USD, |price| price.currency),
        "default_payment_method": phase.default_payment_method,
        "default_tax_rates": catalog::render_tax_rates(account, &phase.default_tax_rates),
        "description": phase.description,
        "discounts": discounts,
        "end_date": phase.end,
        "invoice_settings": null,
        "items": items,
        "metadata": phase.metadata,
        "on_behalf_of": null,
        "proration_behavior": phase.proration.as_str(),
        "start_date": phase.start,
        "transfer_data": null,
        "trial_end": phase.trial_end,
    })
}

fn answer(ctx: &Ctx<'_>, id: &str) -> Answer {
    ctx.account.render(id).unwrap_or_default().into()
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let own = match params.text("from_subscription") {
        Some(id) => from_subscription(account, id, params)?,
        None => from_phases(account, params)?,
    };
    let id = own.id.clone();
    let linked = own.subscription.clone();
    account.billing.schedules.insert(own);
    if let Some(subscription) = linked {
        account.update_subscription(&subscription, |own| own.schedule = Some(id.clone()));
    }
    schedule::emit(account, &id, "subscription_schedule.created");
    schedule::plan(account, &id);
    schedule::enter(account, &id);
    Ok(answer(ctx, &id))
}

fn blank(account: &mut Account, customer: &str, params: Params<'_>) -> Schedule {
    let settings = params.child("default_settings");
    let settings = settings
        .map(|own| Value::Object(own.map().clone()))
        .unwrap_or_default();
    let end = params.text("end_behavior").unwrap_or("release");
    Schedule {
        id: account.ids.long("sub_sched_"),
        created: account.now(),
        customer: customer.to_owned(),
        status: ScheduleStatus::NotStarted,
        subscription: None,
        released_subscription: None,
        end_behavior: end.to_owned(),
        phases: Vec::new(),
        default_settings: settings,
        metadata: params.metadata(),
        canceled_at: None,
        completed_at: None,
        released_at: None,
        flexible: params
            .child("billing_mode")
            .and_then(|own| own.text("type"))
            != Some("classic"),
        test_clock: account
            .customers
            .get(customer)
            .and_then(|own| own.test_clock.clone()),
        livemode: account.livemode,
    }
}

fn from_phases(account: &mut Account, params: Params<'_>) -> Result<Schedule, StripeError> {
    let customer = params.required("customer")?.to_owned();
    customers::named(account, &customer, "customer")?;
    account.act_for(&customer);
    let phases = params.children("phases");
    if phases.is_empty() {
        return Err(StripeError::missing_param("phases"));
    }
    let now = account.now();
    let start = match params.text("start_date") {
        Some("now") => now,
        _ => params
            .integer("start_date")
            .ok_or_else(|| StripeError::missing_param("start_date"))?,
    };
    let mut own = blank(account, &customer, params);
    own.phases = read_phases(account, &phases, start)?;
    Ok(own)
}

/// A schedule of one phase that is what the subscription already does.
fn from_subscription(
    account: &mut Account,
    id: &str,
    params: Params<'_>,
) -> Result<Schedule, StripeError> {
    let subscription = subscriptions::named(account, id, "from_subscription")?;
    account.act_for(&subscription.customer);
    if subscription.schedule.is_some() {
        return Err(StripeError::invalid(
            "You cannot migrate a subscription that is already attached to a schedule.",
        )
        .param("from_subscription"));
    }
    let mut own = blank(account, &subscription.customer, params);
    own.status = ScheduleStatus::Active;
    own.subscription = Some(id.to_owned());
    own.flexible = subscription.flexible;
    own.phases = vec![phase_of(&subscription)];
    Ok(own)
}

fn phase_of(own: &Subscription) -> Phase {
    let items = own.items.iter().map(|item| PhaseItem {
        price: item.price.clone(),
        quantity: item.quantity,
        metadata: item.metadata.clone(),
        tax_rates: item.tax_rates.clone(),
    });
    Phase {
        start: own.period().start,
        end: own.period().end,
        items: items.collect(),
        proration: ProrationBehavior::CreateProrations,
        trial_end: own.trial_end,
        anchor_at_start: false,
        collection_method: None,
        days_until_due: None,
        default_payment_method: own.default_payment_method.clone(),
        default_tax_rates: own.default_tax_rates.clone(),
        description: own.description.clone(),
        metadata: crate::params::Metadata::new(),
        discounts: Vec::new(),
        automatic_tax: Some(own.automatic_tax),
        extra: Vec::new(),
    }
}

fn read_phases(
    account: &mut Account,
    given: &[Params<'_>],
    start: i64,
) -> Result<Vec<Phase>, StripeError> {
    if given.len() > 10 {
        return Err(StripeError::invalid("A schedule can have at most 10 phases.").param("phases"));
    }
    let mut phases: Vec<Phase> = Vec::with_capacity(given.len());
    for (index, entry) in given.iter().enumerate() {
        let natural = phases.last().map_or(start, |phase| phase.end);
        let begins = match entry.text("start_date") {
            Some("now") => account.now(),
            _ => entry.integer("start_date").unwrap_or(natural),
        };
        let phase = read_phase(account, *entry, begins, &format!("phases[{index}]"))?;
        if phase.start < natural && index > 0 {
            return Err(StripeError::invalid("The phases must not overlap.")
                .param(format!("phases[{index}][start_date]")));
        }
        phases.push(phase);
    }
    Ok(phases)
}

fn read_phase(
    account: &mut Account,
    entry: Params<'_>,
    start: i64,
    prefix: &str,
) -> Result<Phase, StripeError> {
    let items = read_phase_items(account, entry, prefix)?;
    let end = phase_end(account, entry, &items, start, prefix)?;
    let whole_trial = entry.boolean("trial") == Some(true);
    let mut discounts = Vec::new();
    for (index, discount) in entry.children("discounts").into_iter().enumerate() {
        let param = |name: &str| format!("{prefix}[discounts][{index}][{name}]");
        if let Some(code) = discount.text("promotion_code") {
            promotion_codes::named(account, code, &param("promotion_code"))?;
            discounts.push(("promotion_code", code.to_owned()));
        } else if let Some(coupon) = discount.text("coupon") {
            coupons::named(account, coupon, &param("coupon"))?;
            discounts.push(("coupon", coupon.to_owned()));
        }
    }
    let settings = entry.child("invoice_settings");
    let mut extra = Vec::new();
    for (index, item) in entry.children("add_invoice_items").into_iter().enumerate() {
        let place = format!("{prefix}[add_invoice_items][{index}]");
        let price = subscriptions::one_time_price(account, item, &place)?;
        extra.push((price, item.integer("quantity").unwrap_or(1)));
    }
    Ok(Phase {
        start,
        end,
        items,
        extra,
        proration: ProrationBehavior::parse(entry.text("proration_behavior")),
        trial_end: if whole_trial {
            Some(end)
        } else {
            entry.integer("trial_end")
        },
        anchor_at_start: entry.text("billing_cycle_anchor") == Some("phase_start"),
        collection_method: entry
            .text("collection_method")
            .map(|word| CollectionMethod::parse(word).as_str()),
        days_until_due: settings.and_then(|own| own.integer("days_until_due")),
        default_payment_method: entry.owned("default_payment_method"),
        default_tax_rates: subscriptions::tax_rates(
            account,
            entry,
            "default_tax_rates",
            &format!("{prefix}[default_tax_rates]"),
        )?,
        description: entry.owned("description"),
        metadata: entry.metadata(),
        discounts,
        automatic_tax: entry
            .child("automatic_tax")
            .and_then(|own| own.boolean("enabled")),
    })
}

fn read_phase_items(
    account: &mut Account,
    entry: Params<'_>,
    prefix: &str,
) -> Result<Vec<PhaseItem>, StripeError> {
    let mut items = Vec::new();
    for (index, item) in entry.children("items").into_iter().enumerate() {
        let place = format!("{prefix}[items][{index}]");
        let id = match (
            item.text("price").or(item.text("plan")),
            item.child("price_data"),
        ) {
            (Some(id), _) => prices::named(account, id, &format!("{place}[price]"))?
                .id
                .clone(),
            (None, Some(data)) => {
                let place = format!("{place}[price_data]");
                let product = data.required("product")?;
                let product = products::named(account, product, &format!("{place}[product]"))?
                    .id
                    .clone();
                prices::make(account, data, &product, false, &place)?
            }
            (None, None) => return Err(StripeError::missing_param(&format!("{place}[price]"))),
        };
        let Some(price) = account.prices.get(&id) else {
            continue;
        };
        if price.recurring.is_none() {
            return Err(StripeError::invalid(
                "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
            )
            .param(format!("{place}[price]")));
        }
        let metered = lines::is_metered(price);
        items.push(PhaseItem {
            price: id,
            quantity: if metered {
                None
            } else {
                Some(item.integer("quantity").unwrap_or(1))
            },
            metadata: item.metadata(),
            tax_rates: subscriptions::tax_rates(
                account,
                item,
                "tax_rates",
                &format!("{place}[tax_rates]"),
            )?,
        });
    }
    if items.is_empty() {
        return Err(StripeError::missing_param(&format!("{prefix}[items]")));
    }
    Ok(items)
}

fn phase_end(
    account: &Account,
    entry: Params<'_>,
    items: &[PhaseItem],
    start: i64,
    prefix: &str,
) -> Result<i64, StripeError> {
    if entry.text("end_date") == Some("now") {
        return Ok(account.now());
    }
    let end = if let Some(end) = entry.integer("end_date") {
        end
    } else if let Some(duration) = entry.child("duration") {
        let unit = Unit::parse(duration.text("interval").unwrap_or("month")).unwrap_or(Unit::Month);
        let count = duration
            .integer("interval_count")
            .and_then(|count| u32::try_from(count).ok());
        add(
            start,
            Interval {
                unit,
                count: count.unwrap_or(1),
            },
        )
    } else {
        let price = items
            .first()
            .and_then(|item| account.prices.get(&item.price));
        price.map_or(start, |price| add(start, lines::interval(price)))
    };
    if end <= start {
        return Err(
            StripeError::invalid("The phase's `end_date` must be after its `start_date`.")
                .param(format!("{prefix}[end_date]")),
        );
    }
    Ok(end)
}

fn of_path(ctx: &mut Ctx<'_>) -> Result<Schedule, StripeError> {
    let id = ctx.arg("schedule").to_owned();
    let own = ctx.account.billing.schedules.get(&id).cloned();
    let own = own.ok_or_else(|| StripeError::no_such("subscription_schedule", &id, "schedule"))?;
    ctx.account.act_for(&own.customer);
    Ok(own)
}

fn live(own: &Schedule, action: &str) -> Result<(), StripeError> {
    if own.status.is_live() {
        return Ok(());
    }
    Err(StripeError::invalid(format!(
        "You cannot {action} a subscription schedule that is currently in the `{}` status. It must be in the `not_started` or `active` status.",
        own.status.as_str()
    )))
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    Ok(answer(ctx, &own.id))
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let mut own = of_path(ctx)?;
    live(&own, "update")?;
    let account = &mut *ctx.account;
    let before = render(&own, account);
    let phases = params.children("phases");
    if !phases.is_empty() {
        let start = own
            .phases
            .first()
            .map_or_else(|| account.now(), |phase| phase.start);
        own.phases = read_phases(account, &phases, start)?;
    }
    if let Some(end) = params.text("end_behavior") {
        end.clone_into(&mut own.end_behavior);
    }
    if let Some(settings) = params.child("default_settings") {
        own.default_settings = Value::Object(settings.map().clone());
    }
    params.merge_metadata(&mut own.metadata);
    let id = own.id.clone();
    account.billing.schedules.insert(own);
    let after = account.render(&id).unwrap_or_default();
    account.emit_updated("subscription_schedule.updated", &before, &after);
    schedule::plan(account, &id);
    if !phases.is_empty() {
        schedule::reenter(
            account,
            &id,
            ProrationBehavior::parse(params.text("proration_behavior")),
        );
    }
    Ok(answer(ctx, &id))
}

fn cancel(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    live(&own, "cancel")?;
    let account = &mut *ctx.account;
    match &own.subscription {
        Some(subscription) => {
            let how = CancelNow {
                invoice_now: params.boolean("invoice_now").unwrap_or(true),
                prorate: params.boolean("prorate").unwrap_or(true),
                details: CancellationDetails {
                    reason: Some("cancellation_requested"),
                    ..CancellationDetails::default()
                },
            };
            // The schedule is canceled along with its subscription.
            cancel::immediately(account, subscription, &how);
        }
        None => schedule::canceled(account, &own.id),
    }
    Ok(answer(ctx, &own.id))
}

fn release(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    live(&own, "release")?;
    schedule::release(ctx.account, &own.id, "subscription_schedule.released");
    Ok(answer(ctx, &own.id))
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let key = params
        .text("customer")
        .map(|customer| ("customer", customer));
    let scheduled = params.boolean("scheduled");
    let (canceled, completed, released) = (
        Range::of(params, "canceled_at"),
        Range::of(params, "completed_at"),
        Range::of(params, "released_at"),
    );
    let fits = |name: &str, range: Range, at: Option<i64>| {
        !params.is_given(name) || at.is_some_and(|at| range.contains(at))
    };
    let keep = |own: &Schedule| {
        scheduled.is_none_or(|scheduled| (own.status == ScheduleStatus::NotStarted) == scheduled)
            && fits("canceled_at", canceled, own.canceled_at)
            && fits("completed_at", completed, own.completed_at)
            && fits("released_at", released, own.released_at)
    };
    let render = |own: &Schedule| render(own, ctx.account);
    let store = &ctx.account.billing.schedules;
    let page = list::list(
        ctx,
        params,
        store,
        "subscription_schedule",
        key,
        keep,
        render,
    )?;
    Ok(page.into())
}
