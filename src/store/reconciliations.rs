//! Reconciliations: how far each has come, what it found, what it has seen.

use diesel::dsl::{exists, max, not, select};
use diesel::prelude::*;

use super::conn::db;
use super::kept::{RunQueryDsl, condition};
use super::schema::{
    events, reconciliation_drift, reconciliation_seen, reconciliations, stripe_credentials,
    stripe_modules, stripe_objects,
};
use super::stripe_objects::StripeObject;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::reconciliation::{Drift, DriftKind, Kind, Reconciliation, Status};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;

mod row;

use row::ReconciliationRow;

condition!(
    /// The reconciliation is under way.
    Running,
    "reconciliations.status = 'running'"
);

/// Adds a reconciliation; tells whether it did. It does not when the portal has a sweep of that time.
///
/// # Errors
/// What the database answers.
pub async fn insert(conn: &mut Conn, it: &Reconciliation) -> Result<bool, StoreError> {
    let row = ReconciliationRow::from(it);
    let inserted = db!(conn, c => diesel::insert_into(reconciliations::table)
        .values(&row)
        .on_conflict_do_nothing()
        .execute(c)
        .await)?;
    Ok(inserted == 1)
}

/// The reconciliation of that id, in whichever portal.
///
/// # Errors
/// What the database answers.
pub async fn find(conn: &mut Conn, id: &str) -> Result<Option<Reconciliation>, StoreError> {
    let row: Option<ReconciliationRow> = db!(conn, c => reconciliations::table
        .find(id)
        .select(ReconciliationRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(Reconciliation::try_from).transpose()
}

/// Stores a reconciliation as it is now, if it is still at `expected_version`; tells whether it was.
///
/// # Errors
/// What the database answers.
pub async fn update(
    conn: &mut Conn,
    it: &Reconciliation,
    expected_version: i64,
) -> Result<bool, StoreError> {
    let row = ReconciliationRow::from(it);
    let changed = db!(conn, c => diesel::update(
            reconciliations::table
                .filter(reconciliations::id.eq(&row.id))
                .filter(reconciliations::version.eq(expected_version)),
        )
        .set(&row)
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// Up to `limit` reconciliations of a portal, newest first, behind `after` (when it was begun, its id).
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    portal: &Slug,
    status: Option<Status>,
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<Reconciliation>, StoreError> {
    let rows: Vec<ReconciliationRow> = db!(conn, c => {
        let mut query = reconciliations::table
            .filter(reconciliations::portal_id.eq(portal.as_str()))
            .select(ReconciliationRow::as_select())
            .into_boxed();
        if let Some(status) = status {
            query = query.filter(reconciliations::status.eq(status.as_str()));
        }
        if let Some((at, id)) = after {
            let at = at.as_millis();
            query = query.filter(
                reconciliations::created_at
                    .lt(at)
                    .or(reconciliations::created_at.eq(at).and(reconciliations::id.lt(id))),
            );
        }
        query
            .order((reconciliations::created_at.desc(), reconciliations::id.desc()))
            .limit(limit)
            .load(c)
            .await?
    });
    rows.into_iter().map(Reconciliation::try_from).collect()
}

/// Running reconciliations that nobody works on, oldest first.
///
/// # Errors
/// What the database answers.
pub async fn due(
    conn: &mut Conn,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Reconciliation>, StoreError> {
    let now = now.as_millis();
    let rows: Vec<ReconciliationRow> = db!(conn, c => reconciliations::table
        .filter(Running)
        .filter(reconciliations::lease_until.is_null().or(reconciliations::lease_until.le(now)))
        .order((reconciliations::created_at, reconciliations::id))
        .limit(limit)
        .select(ReconciliationRow::as_select())
        .load(c)
        .await)?;
    rows.into_iter().map(Reconciliation::try_from).collect()
}

/// Whether one of the portal's is running.
///
/// # Errors
/// What the database answers.
pub async fn is_running(conn: &mut Conn, portal: &Slug) -> Result<bool, StoreError> {
    Ok(db!(conn, c => select(exists(
            reconciliations::table
                .filter(reconciliations::portal_id.eq(portal.as_str()))
                .filter(Running),
        ))
        .get_result(c)
        .await)?)
}

/// A portal's last sweep.
#[derive(Clone, Debug)]
pub struct LastSweep {
    /// Its time.
    pub slot: Timestamp,
    /// See [`Reconciliation::methods_place`].
    pub methods_place: String,
    /// See [`Reconciliation::invoices_place`].
    pub invoices_place: String,
}

/// The portal's last sweep.
///
/// # Errors
/// What the database answers.
pub async fn last_sweep(conn: &mut Conn, portal: &Slug) -> Result<Option<LastSweep>, StoreError> {
    let found: Option<(Option<i64>, String, String)> = db!(conn, c => reconciliations::table
        .filter(reconciliations::portal_id.eq(portal.as_str()))
        .filter(reconciliations::sweep_slot.is_not_null())
        .order(reconciliations::sweep_slot.desc())
        .select((
            reconciliations::sweep_slot,
            reconciliations::methods_place,
            reconciliations::invoices_place,
        ))
        .first(c)
        .await
        .optional())?;
    Ok(found.and_then(|(slot, methods_place, invoices_place)| {
        Some(LastSweep {
            slot: Timestamp::from_millis(slot?),
            methods_place,
            invoices_place,
        })
    }))
}

/// The portals whose module is enabled and has credentials, with the time of the current ones.
///
/// # Errors
/// What the database answers.
pub async fn portals_to_sweep(conn: &mut Conn) -> Result<Vec<(Slug, Timestamp)>, StoreError> {
    let rows: Vec<(String, i64)> = db!(conn, c => stripe_modules::table
        .inner_join(stripe_credentials::table.on(
            stripe_credentials::portal_id.eq(stripe_modules::portal_id),
        ))
        .filter(stripe_modules::enabled.eq(true))
        .filter(stripe_credentials::superseded_at.is_null())
        .order(stripe_modules::portal_id)
        .select((stripe_modules::portal_id, stripe_credentials::created_at))
        .load(c)
        .await)?;
    rows.into_iter()
        .map(|(portal, at)| {
            let portal = Slug::parse(&portal)
                .ok_or_else(|| StoreError::corrupt("stripe_modules.portal_id"))?;
            Ok((portal, Timestamp::from_millis(at)))
        })
        .collect()
}

/// Deletes sweeps of the portal that ended before `before`; tells how many.
///
/// # Errors
/// What the database answers.
pub async fn delete_sweeps(
    conn: &mut Conn,
    portal: &Slug,
    before: Timestamp,
) -> Result<usize, StoreError> {
    Ok(db!(conn, c => diesel::delete(
            reconciliations::table
                .filter(reconciliations::portal_id.eq(portal.as_str()))
                .filter(reconciliations::sweep_slot.is_not_null())
                .filter(reconciliations::finished_at.lt(before.as_millis())),
        )
        .execute(c)
        .await)?)
}

/// Keeps a finding in its place.
///
/// # Errors
/// What the database answers.
pub async fn add_drift(
    conn: &mut Conn,
    id: &str,
    place: i64,
    drift: &Drift,
) -> Result<(), StoreError> {
    db!(conn, c => diesel::insert_into(reconciliation_drift::table)
        .values((
            reconciliation_drift::reconciliation_id.eq(id),
            reconciliation_drift::place.eq(place),
            reconciliation_drift::kind.eq(drift.kind.as_str()),
            reconciliation_drift::object.eq(drift.object.as_deref()),
            reconciliation_drift::stripe_id.eq(drift.stripe_id.as_deref()),
            reconciliation_drift::drift.eq(drift.drift.as_str()),
            reconciliation_drift::fields.eq(drift.fields.join(",")),
            reconciliation_drift::repaired.eq(drift.repaired),
            reconciliation_drift::detail.eq(drift.detail.as_deref()),
        ))
        .execute(c)
        .await)?;
    Ok(())
}

type DriftRow = (
    String,
    Option<String>,
    Option<String>,
    String,
    String,
    bool,
    Option<String>,
);

/// What one has found, in the order it was found.
///
/// # Errors
/// What the database answers.
pub async fn drift_of(conn: &mut Conn, id: &str) -> Result<Vec<Drift>, StoreError> {
    let rows: Vec<DriftRow> = db!(conn, c => reconciliation_drift::table
        .filter(reconciliation_drift::reconciliation_id.eq(id))
        .order(reconciliation_drift::place)
        .select((
            reconciliation_drift::kind,
            reconciliation_drift::object,
            reconciliation_drift::stripe_id,
            reconciliation_drift::drift,
            reconciliation_drift::fields,
            reconciliation_drift::repaired,
            reconciliation_drift::detail,
        ))
        .load(c)
        .await)?;
    let corrupt = StoreError::corrupt;
    rows.into_iter()
        .map(
            |(kind, object, stripe_id, drift, fields, repaired, detail)| {
                Ok(Drift {
                    kind: Kind::parse(&kind).ok_or_else(|| corrupt("reconciliation_drift.kind"))?,
                    object,
                    stripe_id,
                    drift: DriftKind::parse(&drift)
                        .ok_or_else(|| corrupt("reconciliation_drift.drift"))?,
                    fields: fields
                        .split(',')
                        .filter(|field| !field.is_empty())
                        .map(str::to_owned)
                        .collect(),
                    repaired,
                    detail,
                })
            },
        )
        .collect()
}

/// Remembers that Stripe's lists have shown this object of the portal's.
///
/// # Errors
/// What the database answers.
pub async fn see(conn: &mut Conn, id: &str, stripe_id: &str) -> Result<(), StoreError> {
    db!(conn, c => diesel::insert_into(reconciliation_seen::table)
        .values((
            reconciliation_seen::reconciliation_id.eq(id),
            reconciliation_seen::stripe_id.eq(stripe_id),
        ))
        .on_conflict_do_nothing()
        .execute(c)
        .await)?;
    Ok(())
}

/// Whether Stripe's lists have shown this object.
///
/// # Errors
/// What the database answers.
pub async fn has_seen(conn: &mut Conn, id: &str, stripe_id: &str) -> Result<bool, StoreError> {
    let seen = reconciliation_seen::table.find((id, stripe_id));
    Ok(db!(conn, c => select(exists(seen)).get_result(c).await)?)
}

/// Forgets what was seen.
///
/// # Errors
/// What the database answers.
pub async fn forget_seen(conn: &mut Conn, id: &str) -> Result<(), StoreError> {
    db!(conn, c => diesel::delete(
            reconciliation_seen::table.filter(reconciliation_seen::reconciliation_id.eq(id)),
        )
        .execute(c)
        .await)?;
    Ok(())
}

/// Up to `limit` of the portal's objects of that kind (our id, Stripe's id) behind our id `after`, in the
/// order of our ids: those that Stripe has shown to this reconciliation (`seen`), or those it has not.
///
/// # Errors
/// What the database answers.
pub async fn objects(
    conn: &mut Conn,
    it: &Reconciliation,
    kind: &str,
    seen: bool,
    after: &str,
    limit: i64,
) -> Result<Vec<(String, String)>, StoreError> {
    Ok(db!(conn, c => {
        let shown = exists(
            reconciliation_seen::table
                .filter(reconciliation_seen::reconciliation_id.eq(&it.id))
                .filter(reconciliation_seen::stripe_id.eq(stripe_objects::stripe_id)),
        );
        let query = stripe_objects::table
            .filter(stripe_objects::portal_id.eq(it.portal.as_str()))
            .filter(stripe_objects::account_id.eq(&it.account))
            .filter(stripe_objects::livemode.eq(it.mode.livemode()))
            .filter(stripe_objects::kind.eq(kind))
            .filter(stripe_objects::local_id.gt(after))
            .select((stripe_objects::local_id, stripe_objects::stripe_id))
            .order(stripe_objects::local_id)
            .limit(limit)
            .into_boxed();
        if seen {
            query.filter(shown).load(c).await?
        } else {
            query.filter(not(shown)).load(c).await?
        }
    }))
}

/// Whose this object at Stripe is, in whichever portal.
///
/// # Errors
/// What the database answers.
pub async fn owner_of(
    conn: &mut Conn,
    account: &str,
    mode: Mode,
    stripe_id: &str,
) -> Result<Option<(Slug, StripeObject)>, StoreError> {
    let found: Option<(String, String, String)> = db!(conn, c => stripe_objects::table
        .find((account, mode.livemode(), stripe_id))
        .select((
            stripe_objects::portal_id,
            stripe_objects::kind,
            stripe_objects::local_id,
        ))
        .first(c)
        .await
        .optional())?;
    found
        .map(|(portal, kind, local_id)| {
            let portal = Slug::parse(&portal)
                .ok_or_else(|| StoreError::corrupt("stripe_objects.portal_id"))?;
            let object = StripeObject {
                account_id: account.to_owned(),
                mode,
                stripe_id: stripe_id.to_owned(),
                kind,
                local_id,
            };
            Ok((portal, object))
        })
        .transpose()
}

/// Stripe's id of a thing of ours in the account and mode of the reconciliation.
///
/// # Errors
/// What the database answers.
pub async fn place_of(
    conn: &mut Conn,
    it: &Reconciliation,
    kind: &str,
    local_id: &str,
) -> Result<Option<String>, StoreError> {
    Ok(db!(conn, c => stripe_objects::table
        .filter(stripe_objects::portal_id.eq(it.portal.as_str()))
        .filter(stripe_objects::account_id.eq(&it.account))
        .filter(stripe_objects::livemode.eq(it.mode.livemode()))
        .filter(stripe_objects::kind.eq(kind))
        .filter(stripe_objects::local_id.eq(local_id))
        .select(stripe_objects::stripe_id)
        .first(c)
        .await
        .optional())?)
}

/// The last version of a thing that was published; 0 for none. Whatever is taken over anew goes on from
/// there.
///
/// # Errors
/// What the database answers.
pub async fn last_version(
    conn: &mut Conn,
    portal: &Slug,
    subject: &str,
) -> Result<i64, StoreError> {
    let last: Option<i64> = db!(conn, c => events::table
        .filter(events::portal_id.eq(portal.as_str()))
        .filter(events::subject.eq(subject))
        .select(max(events::seq))
        .first(c)
        .await)?;
    Ok(last.unwrap_or(0))
}
