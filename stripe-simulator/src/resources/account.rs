//! The account and its balance: <https://docs.stripe.com/api/accounts/object>,
//! <https://docs.stripe.com/api/balance>.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::account::Account;
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::payments::ledger::Entry;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "account",
    prefixes: &["acct_"],
    routes: &[
        Route::get("/v1/account", "accounts_kyc_basic", retrieve),
        Route::get("/v1/balance", "balance", balance),
        Route::get(
            "/v1/balance_transactions",
            "balance_transaction",
            list_transactions,
        ),
        Route::get(
            "/v1/balance_transactions/{id}",
            "balance_transaction",
            retrieve_transaction,
        ),
    ],
    find: |account, id| (account.id == id).then(|| render(account)),
    all: |account| vec![render(account)],
    includes: &[],
};

fn render(account: &Account) -> Value {
    let settings = &account.settings;
    let name = &settings.business_name;
    let enabled = settings.charges_enabled;
    let ability = if enabled { "active" } else { "inactive" };
    json!({
        "id": account.id,
        "object": "account",
        "business_profile": {
            "mcc": "5734",
            "name": name,
            "product_description": null,
            "support_address": null,
            "support_email": null,
            "support_phone": null,
            "support_url": null,
            "url": null,
        },
        "business_type": "company",
        "capabilities": { "card_payments": ability, "transfers": ability },
        "charges_enabled": enabled,
        "controller": { "type": "account" },
        "country": settings.country,
        "created": account.opened,
        "default_currency": settings.default_currency,
        "details_submitted": enabled,
        "email": "owner@example.com",
        "metadata": {},
        "payouts_enabled": enabled,
        "requirements": requirements(enabled),
        "settings": {
            "branding": {
                "icon": null,
                "logo": null,
                "primary_color": null,
                "secondary_color": null,
            },
            "card_payments": {
                "statement_descriptor_prefix": null,
                "statement_descriptor_prefix_kana": null,
                "statement_descriptor_prefix_kanji": null,
            },
            "dashboard": { "display_name": name, "timezone": "Etc/UTC" },
            "payments": {
                "statement_descriptor": null,
                "statement_descriptor_kana": null,
                "statement_descriptor_kanji": null,
            },
        },
        "type": "standard",
    })
}

fn requirements(enabled: bool) -> Value {
    let due: &[&str] = if enabled {
        &[]
    } else {
        &["business_profile.url"]
    };
    json!({
        "alternatives": [],
        "current_deadline": null,
        "currently_due": due,
        "disabled_reason": (!enabled).then_some("requirements.past_due"),
        "errors": [],
        "eventually_due": due,
        "past_due": due,
        "pending_verification": [],
    })
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    Ok(render(ctx.account).into())
}

/// Charges are pending until their `available_on`.
fn balance(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let account = &*ctx.account;
    let now = account.now();
    let mut available: BTreeMap<Currency, i64> = BTreeMap::new();
    let mut pending: BTreeMap<Currency, i64> = BTreeMap::new();
    available.insert(account.default_currency(), 0);
    pending.insert(account.default_currency(), 0);
    for entry in account.payments.ledger.oldest_first() {
        let side = if entry.available_on <= now {
            &mut available
        } else {
            &mut pending
        };
        *side.entry(entry.currency).or_default() += entry.net();
    }
    let show = |amounts: BTreeMap<Currency, i64>| -> Vec<Value> {
        amounts
            .into_iter()
            .map(|(currency, amount)| {
                json!({
                    "amount": amount,
                    "currency": currency,
                    "source_types": { "card": amount },
                })
            })
            .collect()
    };
    Ok(json!({
        "object": "balance",
        "available": show(available),
        "livemode": account.livemode,
        "pending": show(pending),
    })
    .into())
}

fn retrieve_transaction(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("id");
    match ctx.account.payments.ledger.get(id) {
        Some(entry) => Ok(entry.render().into()),
        None => Err(StripeError::no_such("balance transaction", id, "id")),
    }
}

fn list_transactions(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let keep = |entry: &Entry| {
        params
            .text("currency")
            .is_none_or(|code| entry.currency.code() == code)
            && params
                .text("source")
                .is_none_or(|source| entry.source == source)
            && params.text("type").is_none_or(|kind| entry.kind == kind)
    };
    let key = params.text("source").map(|source| ("source", source));
    let store = &ctx.account.payments.ledger;
    let what = "balance transaction";
    Ok(list::list(ctx, params, store, what, key, keep, Entry::render)?.into())
}
