//! The Stripe module of each portal.

use diesel::prelude::*;

use super::conn::db;
use super::kept::RunQueryDsl;
use super::schema::stripe_modules;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::slug::Slug;
use crate::domain::stripe_module::{ModuleSettings, OnUnpaid, Origin, Proration, StripeModule};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = stripe_modules, treat_none_as_default_value = false)]
struct ModuleRow {
    portal_id: String,
    enabled: bool,
    grace_period_days: i32,
    on_unpaid: String,
    proration: String,
    one_trial_per_customer: bool,
    allowed_return_origins: String,
    hook: String,
    last_webhook_at: Option<i64>,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<ModuleRow> for StripeModule {
    type Error = StoreError;

    fn try_from(row: ModuleRow) -> Result<Self, StoreError> {
        let origins: Vec<String> = serde_json::from_str(&row.allowed_return_origins)
            .map_err(|_| StoreError::corrupt("stripe_modules.allowed_return_origins"))?;
        Ok(Self {
            enabled: row.enabled,
            settings: ModuleSettings {
                grace_period_days: row.grace_period_days,
                on_unpaid: read_on_unpaid(&row.on_unpaid)?,
                proration: read_proration(&row.proration)?,
                one_trial_per_customer: row.one_trial_per_customer,
                allowed_return_origins: origins
                    .iter()
                    .map(|origin| Origin::parse("", origin))
                    .collect::<Result<_, _>>()
                    .map_err(|_| StoreError::corrupt("stripe_modules.allowed_return_origins"))?,
            },
            hook: row.hook,
            last_webhook_at: row.last_webhook_at.map(Timestamp::from_millis),
            version: row.version,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

fn row(portal: &Slug, module: &StripeModule) -> ModuleRow {
    let settings = &module.settings;
    let origins: Vec<&str> = settings
        .allowed_return_origins
        .iter()
        .map(Origin::as_str)
        .collect();
    ModuleRow {
        portal_id: portal.to_string(),
        enabled: module.enabled,
        grace_period_days: settings.grace_period_days,
        on_unpaid: on_unpaid_text(settings.on_unpaid).to_owned(),
        proration: proration_text(settings.proration).to_owned(),
        one_trial_per_customer: settings.one_trial_per_customer,
        allowed_return_origins: serde_json::Value::from(origins).to_string(),
        hook: module.hook.clone(),
        last_webhook_at: module.last_webhook_at.map(Timestamp::as_millis),
        version: module.version,
        created_at: module.created_at.as_millis(),
        updated_at: module.updated_at.as_millis(),
    }
}

const fn on_unpaid_text(value: OnUnpaid) -> &'static str {
    match value {
        OnUnpaid::Deny => "deny",
        OnUnpaid::Allow => "allow",
    }
}

pub(super) fn read_on_unpaid(text: &str) -> Result<OnUnpaid, StoreError> {
    [OnUnpaid::Deny, OnUnpaid::Allow]
        .into_iter()
        .find(|value| on_unpaid_text(*value) == text)
        .ok_or_else(|| StoreError::corrupt("stripe_modules.on_unpaid"))
}

const fn proration_text(value: Proration) -> &'static str {
    match value {
        Proration::CreateProrations => "create_prorations",
        Proration::AlwaysInvoice => "always_invoice",
        Proration::None => "none",
    }
}

fn read_proration(text: &str) -> Result<Proration, StoreError> {
    [
        Proration::CreateProrations,
        Proration::AlwaysInvoice,
        Proration::None,
    ]
    .into_iter()
    .find(|value| proration_text(*value) == text)
    .ok_or_else(|| StoreError::corrupt("stripe_modules.proration"))
}

/// The module of a portal, if it was ever configured.
///
/// # Errors
/// What the database answers.
pub async fn find(conn: &mut Conn, portal: &Slug) -> Result<Option<StripeModule>, StoreError> {
    let row = db!(conn, c => stripe_modules::table
        .find(portal.as_str())
        .select(ModuleRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(StripeModule::try_from).transpose()
}

/// The portal that Stripe delivers to at this hook.
///
/// # Errors
/// What the database answers.
pub async fn portal_of_hook(conn: &mut Conn, hook: &str) -> Result<Option<Slug>, StoreError> {
    let id: Option<String> = db!(conn, c => stripe_modules::table
        .filter(stripe_modules::hook.eq(hook))
        .select(stripe_modules::portal_id)
        .first(c)
        .await
        .optional())?;
    id.map(|id| Slug::parse(&id).ok_or_else(|| StoreError::corrupt("stripe_modules.portal_id")))
        .transpose()
}

/// Adds a module.
///
/// # Errors
/// [`super::Unique::StripeModule`] when another writer was first.
pub async fn insert(
    conn: &mut Conn,
    portal: &Slug,
    module: &StripeModule,
) -> Result<(), StoreError> {
    let row = row(portal, module);
    db!(conn, c => diesel::insert_into(stripe_modules::table).values(&row).execute(c).await)?;
    Ok(())
}

/// Stores `enabled` and settings if the module is still at `expected_version`; tells whether it was.
///
/// # Errors
/// What the database answers.
pub async fn update(
    conn: &mut Conn,
    portal: &Slug,
    module: &StripeModule,
    expected_version: i64,
) -> Result<bool, StoreError> {
    let row = row(portal, module);
    let changed = db!(conn, c => diesel::update(
            stripe_modules::table
                .find(&row.portal_id)
                .filter(stripe_modules::version.eq(expected_version)),
        )
        .set(&row)
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// Notes that a signed delivery arrived.
///
/// # Errors
/// What the database answers.
pub async fn note_webhook(conn: &mut Conn, portal: &Slug, at: Timestamp) -> Result<(), StoreError> {
    db!(conn, c => diesel::update(stripe_modules::table.find(portal.as_str()))
        .set(stripe_modules::last_webhook_at.eq(at.as_millis()))
        .execute(c)
        .await)?;
    Ok(())
}
