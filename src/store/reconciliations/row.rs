//! How a reconciliation is stored.

use diesel::prelude::*;

use super::super::StoreError;
use super::super::schema::reconciliations;
use crate::clock::Timestamp;
use crate::domain::reconciliation::{Compared, Phase, Reconciliation, Status};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = reconciliations, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct ReconciliationRow {
    pub(super) id: String,
    portal_id: String,
    repair: bool,
    sweep_slot: Option<i64>,
    status: String,
    phase: String,
    place: String,
    methods_place: String,
    adopt: String,
    stripe_account: String,
    stripe_livemode: bool,
    customers: i64,
    payment_methods: i64,
    subscriptions: i64,
    invoices: i64,
    foreign_objects: i64,
    drift: i64,
    requests: i64,
    attempts: i32,
    lease_owner: Option<String>,
    lease_until: Option<i64>,
    error: Option<String>,
    actor: String,
    issuer: String,
    request_id: String,
    instance: String,
    version: i64,
    created_at: i64,
    updated_at: i64,
    finished_at: Option<i64>,
    invoices_place: String,
}

impl From<&Reconciliation> for ReconciliationRow {
    fn from(it: &Reconciliation) -> Self {
        let millis = |time: Option<Timestamp>| time.map(Timestamp::as_millis);
        Self {
            id: it.id.clone(),
            portal_id: it.portal.to_string(),
            repair: it.repair,
            sweep_slot: millis(it.sweep_slot),
            status: it.status.as_str().to_owned(),
            phase: it.phase.as_str().to_owned(),
            place: it.place.clone(),
            methods_place: it.methods_place.clone(),
            adopt: it.adopt.clone(),
            stripe_account: it.account.clone(),
            stripe_livemode: it.mode.livemode(),
            customers: it.compared.customers,
            payment_methods: it.compared.payment_methods,
            subscriptions: it.compared.subscriptions,
            invoices: it.compared.invoices,
            foreign_objects: it.compared.foreign,
            drift: it.drift,
            requests: it.requests,
            attempts: it.attempts,
            lease_owner: it.lease_owner.clone(),
            lease_until: millis(it.lease_until),
            error: it.error.clone(),
            actor: it.actor.clone(),
            issuer: it.issuer.clone(),
            request_id: it.request_id.clone(),
            instance: it.instance.clone(),
            version: it.version,
            created_at: it.created_at.as_millis(),
            updated_at: it.updated_at.as_millis(),
            finished_at: millis(it.finished_at),
            invoices_place: it.invoices_place.clone(),
        }
    }
}

impl TryFrom<ReconciliationRow> for Reconciliation {
    type Error = StoreError;

    fn try_from(row: ReconciliationRow) -> Result<Self, StoreError> {
        let corrupt = StoreError::corrupt;
        let time = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        Ok(Self {
            portal: Slug::parse(&row.portal_id)
                .ok_or_else(|| corrupt("reconciliations.portal_id"))?,
            status: Status::parse(&row.status).ok_or_else(|| corrupt("reconciliations.status"))?,
            phase: Phase::parse(&row.phase).ok_or_else(|| corrupt("reconciliations.phase"))?,
            sweep_slot: time(row.sweep_slot),
            mode: Mode::from_livemode(row.stripe_livemode),
            compared: Compared {
                customers: row.customers,
                payment_methods: row.payment_methods,
                subscriptions: row.subscriptions,
                invoices: row.invoices,
                foreign: row.foreign_objects,
            },
            lease_until: time(row.lease_until),
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
            finished_at: time(row.finished_at),
            id: row.id,
            repair: row.repair,
            place: row.place,
            methods_place: row.methods_place,
            invoices_place: row.invoices_place,
            adopt: row.adopt,
            account: row.stripe_account,
            drift: row.drift,
            requests: row.requests,
            attempts: row.attempts,
            lease_owner: row.lease_owner,
            error: row.error,
            actor: row.actor,
            issuer: row.issuer,
            request_id: row.request_id,
            instance: row.instance,
            version: row.version,
        })
    }
}
