//! Billing portal configurations:
//! <https://docs.stripe.com/api/customer_portal/configurations>.

use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::checkout::portal::PortalConfiguration;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::{Metadata, Params};
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "billing_portal.configuration",
    prefixes: &["bpc_"],
    routes: &[
        Route::post(
            "/v1/billing_portal/configurations",
            "customer_portal",
            create,
        ),
        Route::get(
            "/v1/billing_portal/configurations",
            "customer_portal",
            list_all,
        ),
        Route::get(
            "/v1/billing_portal/configurations/{configuration}",
            "customer_portal",
            retrieve,
        ),
        Route::post(
            "/v1/billing_portal/configurations/{configuration}",
            "customer_portal",
            update,
        ),
    ],
    find: |account, id| {
        let found = account.hosted.portal_configurations.get(id);
        found.map(|configuration| configuration.render(&account.base_url))
    },
    all: |account| {
        let all = account.hosted.portal_configurations.oldest_first();
        all.map(|configuration| configuration.render(&account.base_url))
            .collect()
    },
    includes: &[],
};

impl Account {
    /// The configuration of sessions that name none: made on first use, as the dashboard's is.
    pub(crate) fn default_portal_configuration(&mut self) -> String {
        let all = self.hosted.portal_configurations.oldest_first();
        let default = all
            .filter(|own| own.is_default)
            .map(|own| own.id.clone())
            .next();
        if let Some(id) = default {
            return id;
        }
        let features = json!({
            "customer_update": { "allowed_updates": ["email", "address"], "enabled": true },
            "invoice_history": { "enabled": true },
            "payment_method_update": { "enabled": true },
            "subscription_cancel": { "enabled": true, "mode": "at_period_end" },
            "subscription_update": { "enabled": false },
        });
        let configuration = PortalConfiguration {
            is_default: true,
            features: features.as_object().cloned().unwrap_or_default(),
            ..self.blank_portal_configuration()
        };
        let id = configuration.id.clone();
        self.hosted.portal_configurations.insert(configuration);
        id
    }

    fn blank_portal_configuration(&mut self) -> PortalConfiguration {
        let now = self.now();
        PortalConfiguration {
            id: self.ids.long("bpc_"),
            created: now,
            updated: now,
            livemode: self.livemode,
            active: true,
            is_default: false,
            name: None,
            default_return_url: None,
            business_profile: Map::new(),
            features: Map::new(),
            login_page: false,
            metadata: Metadata::new(),
        }
    }
}

fn apply(configuration: &mut PortalConfiguration, params: Params<'_>) {
    params.patch("name").apply(&mut configuration.name);
    params
        .patch("default_return_url")
        .apply(&mut configuration.default_return_url);
    params.merge_metadata(&mut configuration.metadata);
    configuration.active = params.boolean("active").unwrap_or(configuration.active);
    if let Some(profile) = params.child("business_profile") {
        merge(&mut configuration.business_profile, profile.map());
    }
    if let Some(features) = params.child("features") {
        for (name, given) in features.map() {
            let own = configuration
                .features
                .entry(name.clone())
                .or_insert_with(|| json!({}));
            if let (Some(own), Some(given)) = (own.as_object_mut(), given.as_object()) {
                merge(own, given);
            }
        }
    }
    if let Some(enabled) = params
        .child("login_page")
        .and_then(|page| page.boolean("enabled"))
    {
        configuration.login_page = enabled;
    }
}

fn merge(own: &mut Map<String, Value>, given: &Map<String, Value>) {
    own.extend(
        given
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the table of routes asks for a result"
)]
fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let mut configuration = account.blank_portal_configuration();
    apply(&mut configuration, params);
    let body = configuration.render(&account.base_url);
    account.hosted.portal_configurations.insert(configuration);
    account.emit("billing_portal.configuration.created", &body);
    Ok(body.into())
}

fn of_path<'a>(ctx: &'a Ctx<'_>) -> Result<&'a PortalConfiguration, StripeError> {
    let id = ctx.arg("configuration");
    let found = ctx.account.hosted.portal_configurations.get(id);
    found.ok_or_else(|| StripeError::no_such("configuration", id, "configuration"))
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    Ok(of_path(ctx)?.render(&ctx.account.base_url).into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let mut configuration = of_path(ctx)?.clone();
    if configuration.is_default && params.boolean("active") == Some(false) {
        return Err(
            StripeError::invalid("You cannot deactivate the default configuration.")
                .param("active"),
        );
    }
    let base_url = ctx.account.base_url.clone();
    let before = configuration.render(&base_url);
    apply(&mut configuration, params);
    configuration.updated = ctx.now();
    let after = configuration.render(&base_url);
    ctx.account
        .hosted
        .portal_configurations
        .insert(configuration);
    ctx.account
        .emit_updated("billing_portal.configuration.updated", &before, &after);
    Ok(after.into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (active, default) = (params.boolean("active"), params.boolean("is_default"));
    let keep = |own: &PortalConfiguration| {
        active.is_none_or(|active| own.active == active)
            && default.is_none_or(|default| own.is_default == default)
    };
    let account = &*ctx.account;
    let render = |own: &PortalConfiguration| own.render(&account.base_url);
    let store = &account.hosted.portal_configurations;
    let page = list::list(ctx, params, store, "configuration", None, keep, render)?;
    Ok(page.into())
}
