//! Durable operations: stored before anything is sent, leased to one worker at a time.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::conn::{db, send};
use super::kept::{Keep as _, RunQueryDsl, condition};
use super::schema::operations;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::operation::{Failure, Kind, Operation, SCHEMA_VERSION, Status};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = operations, treat_none_as_null = true, treat_none_as_default_value = false)]
struct OperationRow {
    id: String,
    portal_id: String,
    kind: String,
    subject: String,
    organization: Option<String>,
    lane: String,
    lane_held: Option<String>,
    status: String,
    step: String,
    steps_done: i32,
    schema_version: i32,
    credentials_version: i64,
    stripe_account: String,
    stripe_livemode: bool,
    state: String,
    request: String,
    key_generation: i32,
    sent_at: Option<i64>,
    uncertain: bool,
    attempts: i32,
    next_attempt_at: i64,
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
}

/// How a failure is stored.
#[derive(Serialize, Deserialize)]
struct StoredFailure {
    code: String,
    detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stripe_request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stripe_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decline_code: Option<String>,
}

impl From<&Failure> for StoredFailure {
    fn from(failure: &Failure) -> Self {
        let Failure {
            code,
            detail,
            stripe_request_id,
            stripe_code,
            decline_code,
        } = failure.clone();
        Self {
            code,
            detail,
            stripe_request_id,
            stripe_code,
            decline_code,
        }
    }
}

impl From<StoredFailure> for Failure {
    fn from(stored: StoredFailure) -> Self {
        Self {
            code: stored.code,
            detail: stored.detail,
            stripe_request_id: stored.stripe_request_id,
            stripe_code: stored.stripe_code,
            decline_code: stored.decline_code,
        }
    }
}

impl From<&Operation> for OperationRow {
    fn from(operation: &Operation) -> Self {
        let it = operation.clone();
        let error = it.error.as_ref().map(StoredFailure::from);
        Self {
            lane_held: it.lane_held.then(|| it.lane.clone()),
            id: it.id,
            portal_id: it.portal.to_string(),
            kind: it.kind.as_str().to_owned(),
            subject: it.subject,
            organization: it.organization,
            lane: it.lane,
            status: it.status.as_str().to_owned(),
            step: it.step,
            steps_done: it.steps_done,
            schema_version: it.schema_version,
            credentials_version: it.credentials_version,
            stripe_account: it.stripe_account,
            stripe_livemode: it.mode.livemode(),
            state: it.state,
            request: it.request,
            key_generation: it.key_generation,
            sent_at: it.sent_at.map(Timestamp::as_millis),
            uncertain: it.uncertain,
            attempts: it.attempts,
            next_attempt_at: it.next_attempt_at.as_millis(),
            lease_owner: it.lease_owner,
            lease_until: it.lease_until.map(Timestamp::as_millis),
            error: error.and_then(|error| serde_json::to_string(&error).ok()),
            actor: it.actor,
            issuer: it.issuer,
            request_id: it.request_id,
            instance: it.instance,
            version: it.version,
            created_at: it.created_at.as_millis(),
            updated_at: it.updated_at.as_millis(),
            finished_at: it.finished_at.map(Timestamp::as_millis),
        }
    }
}

impl TryFrom<OperationRow> for Operation {
    type Error = StoreError;

    fn try_from(row: OperationRow) -> Result<Self, StoreError> {
        let corrupt = StoreError::corrupt;
        let error = row
            .error
            .as_deref()
            .map(serde_json::from_str::<StoredFailure>);
        Ok(Self {
            portal: Slug::parse(&row.portal_id).ok_or_else(|| corrupt("operations.portal_id"))?,
            kind: Kind::parse(&row.kind).ok_or_else(|| corrupt("operations.kind"))?,
            status: Status::parse(&row.status).ok_or_else(|| corrupt("operations.status"))?,
            error: error
                .transpose()
                .map_err(|_| corrupt("operations.error"))?
                .map(Failure::from),
            lane_held: row.lane_held.is_some(),
            mode: Mode::from_livemode(row.stripe_livemode),
            sent_at: row.sent_at.map(Timestamp::from_millis),
            next_attempt_at: Timestamp::from_millis(row.next_attempt_at),
            lease_until: row.lease_until.map(Timestamp::from_millis),
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
            finished_at: row.finished_at.map(Timestamp::from_millis),
            id: row.id,
            subject: row.subject,
            organization: row.organization,
            lane: row.lane,
            step: row.step,
            steps_done: row.steps_done,
            schema_version: row.schema_version,
            credentials_version: row.credentials_version,
            stripe_account: row.stripe_account,
            state: row.state,
            request: row.request,
            key_generation: row.key_generation,
            uncertain: row.uncertain,
            attempts: row.attempts,
            lease_owner: row.lease_owner,
            actor: row.actor,
            issuer: row.issuer,
            request_id: row.request_id,
            instance: row.instance,
            version: row.version,
        })
    }
}

condition!(
    /// The operation is under way.
    Running,
    "operations.status = 'running'"
);

/// Adds an operation.
///
/// # Errors
/// [`super::Unique::Lane`] when another one has the lane; told at the transaction's end at the latest.
pub async fn insert(conn: &mut Conn, operation: &Operation) -> Result<(), StoreError> {
    let row = OperationRow::from(operation);
    send!(conn, c => {
        diesel::insert_into(operations::table)
            .values(&row)
            .execute(c)
            .await?;
        Ok(())
    })
}

/// The operation replaced by this row, if it is at that version. A macro, because its type has no name.
macro_rules! replaced {
    ($row:expr, $version:expr) => {
        diesel::update(
            operations::table
                .filter(operations::id.eq($row.id.as_str()))
                .filter(operations::version.eq($version)),
        )
        .set($row)
        .kept()
    };
}

/// Stores an operation as it is now, if it is still at `expected_version`; tells whether it was.
///
/// # Errors
/// [`super::Unique::Lane`] when another one has the lane.
pub async fn update(
    conn: &mut Conn,
    operation: &Operation,
    expected_version: i64,
) -> Result<bool, StoreError> {
    let row = OperationRow::from(operation);
    let changed = db!(conn, c => replaced!(&row, expected_version).execute(c).await)?;
    Ok(changed == 1)
}

/// As [`update`], of one that has to be at `expected_version` still: if it is not, the transaction ends with
/// this error.
///
/// # Errors
/// As [`update`], and `otherwise`; told at the transaction's end at the latest.
pub async fn must_update(
    conn: &mut Conn,
    operation: &Operation,
    expected_version: i64,
    otherwise: StoreError,
) -> Result<(), StoreError> {
    let row = OperationRow::from(operation);
    send!(conn, c => {
        let changed = replaced!(&row, expected_version).execute(c).await?;
        if changed == 1 { Ok(()) } else { Err(otherwise) }
    })
}

/// The operation of that id, in whichever portal.
///
/// # Errors
/// What the database answers.
pub async fn by_id(conn: &mut Conn, id: &str) -> Result<Option<Operation>, StoreError> {
    let row: Option<OperationRow> = db!(conn, c => operations::table
        .find(id)
        .select(OperationRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(Operation::try_from).transpose()
}

/// Whether an operation of the lane is running; it has the turn or waits for it.
///
/// # Errors
/// What the database answers.
pub async fn lane_is_busy(conn: &mut Conn, portal: &Slug, lane: &str) -> Result<bool, StoreError> {
    let found: Option<String> = db!(conn, c => operations::table
        .filter(operations::portal_id.eq(portal.as_str()))
        .filter(operations::lane.eq(lane))
        .filter(Running)
        .select(operations::id)
        .first(c)
        .await
        .optional())?;
    Ok(found.is_some())
}

/// The operation whose turn in the lane it is: the one that has it, else the oldest that waits.
///
/// # Errors
/// What the database answers.
pub async fn next_in_lane(
    conn: &mut Conn,
    portal: &Slug,
    lane: &str,
) -> Result<Option<Operation>, StoreError> {
    let row: Option<OperationRow> = db!(conn, c => operations::table
        .filter(operations::portal_id.eq(portal.as_str()))
        .filter(operations::lane.eq(lane))
        .filter(Running)
        // Whoever has the lane stands first: false sorts before true on both engines.
        .order((operations::lane_held.is_null(), operations::id))
        .select(OperationRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(Operation::try_from).transpose()
}

/// Running operations that nobody works on and whose time has come, oldest first, of schemas this
/// binary reads.
///
/// # Errors
/// What the database answers.
pub async fn due(
    conn: &mut Conn,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Operation>, StoreError> {
    let now = now.as_millis();
    let rows: Vec<OperationRow> = db!(conn, c => operations::table
        .filter(Running)
        .filter(operations::next_attempt_at.le(now))
        .filter(operations::lease_until.is_null().or(operations::lease_until.le(now)))
        .filter(operations::schema_version.le(SCHEMA_VERSION))
        .order((operations::next_attempt_at, operations::id))
        .limit(limit)
        .select(OperationRow::as_select())
        .load(c)
        .await)?;
    rows.into_iter().map(Operation::try_from).collect()
}

/// Which operations a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this organization (external id).
    pub organization: Option<String>,
    /// Only in this status.
    pub status: Option<Status>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only about this thing.
    pub subject: Option<String>,
}

/// Up to `limit` operations of a portal, newest first, behind `after` (when it was made, its id).
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    portal: &Slug,
    filter: &Filter,
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<Operation>, StoreError> {
    let rows: Vec<OperationRow> = db!(conn, c => {
        let mut query = operations::table
            .filter(operations::portal_id.eq(portal.as_str()))
            .select(OperationRow::as_select())
            .into_boxed();
        if let Some(organization) = &filter.organization {
            query = query.filter(operations::organization.eq(organization));
        }
        if let Some(status) = filter.status {
            query = query.filter(operations::status.eq(status.as_str()));
        }
        if let Some(kind) = filter.kind {
            query = query.filter(operations::kind.eq(kind.as_str()));
        }
        if let Some(subject) = &filter.subject {
            query = query.filter(operations::subject.eq(subject));
        }
        if let Some((at, id)) = after {
            let at = at.as_millis();
            query = query.filter(
                operations::created_at
                    .lt(at)
                    .or(operations::created_at.eq(at).and(operations::id.lt(id))),
            );
        }
        query
            .order((operations::created_at.desc(), operations::id.desc()))
            .limit(limit)
            .load(c)
            .await?
    });
    rows.into_iter().map(Operation::try_from).collect()
}

/// The operations of this kind about a thing that have not come to an end: they run, or somebody has to
/// look.
///
/// # Errors
/// What the database answers.
pub async fn open_about(
    conn: &mut Conn,
    portal: &Slug,
    kind: Kind,
    subject: &str,
) -> Result<Vec<Operation>, StoreError> {
    let rows: Vec<OperationRow> = db!(conn, c => operations::table
        .filter(operations::portal_id.eq(portal.as_str()))
        .filter(operations::subject.eq(subject))
        .filter(operations::kind.eq(kind.as_str()))
        .filter(operations::status.eq_any([Status::Running.as_str(), Status::Attention.as_str()]))
        .order(operations::id)
        .select(OperationRow::as_select())
        .load(c)
        .await)?;
    rows.into_iter().map(Operation::try_from).collect()
}

/// How many operations of a portal are running; with an account and mode, how many elsewhere than there.
///
/// # Errors
/// What the database answers.
pub async fn count_running(
    conn: &mut Conn,
    portal: &Slug,
    but_in: Option<(&str, Mode)>,
) -> Result<i64, StoreError> {
    Ok(db!(conn, c => {
        let mut query = operations::table
            .filter(operations::portal_id.eq(portal.as_str()))
            .filter(Running)
            .count()
            .into_boxed();
        if let Some((account, mode)) = but_in {
            query = query.filter(
                operations::stripe_account
                    .ne(account)
                    .or(operations::stripe_livemode.ne(mode.livemode())),
            );
        }
        query.get_result(c).await?
    }))
}

/// Since when it is not known whether this step of an operation of the lane was done at Stripe; `None`: of
/// none that was given up.
///
/// # Errors
/// What the database answers.
pub async fn in_doubt_since(
    conn: &mut Conn,
    portal: &Slug,
    lane: &str,
    step: &str,
) -> Result<Option<Timestamp>, StoreError> {
    let first: Option<i64> = db!(conn, c => operations::table
        .filter(operations::portal_id.eq(portal.as_str()))
        .filter(operations::lane.eq(lane))
        .filter(operations::uncertain)
        .filter(operations::step.eq(step))
        .filter(operations::status.ne(Status::Running.as_str()))
        .select(operations::created_at)
        .order(operations::created_at)
        .first(c)
        .await
        .optional())?;
    Ok(first.map(Timestamp::from_millis))
}

/// Which of these operations of a portal have not come to an end: they run, or somebody has to look.
///
/// # Errors
/// What the database answers.
pub async fn unsettled(conn: &mut Conn, ids: &[&str]) -> Result<Vec<String>, StoreError> {
    Ok(db!(conn, c => operations::table
        .filter(operations::id.eq_any(ids))
        .filter(operations::status.eq_any([Status::Running.as_str(), Status::Attention.as_str()]))
        .select(operations::id)
        .load(c)
        .await)?)
}
