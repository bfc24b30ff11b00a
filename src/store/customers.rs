//! Customers.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::conn::db;
use super::kept::{Keep as _, RunQueryDsl};
use super::schema::{customers, subscriptions};
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::customer::{Address, Customer, CustomerRef, TaxId};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::domain::stripe_link::StripeLink;
use crate::domain::text::Metadata;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = customers, treat_none_as_null = true, treat_none_as_default_value = false)]
struct CustomerRow {
    id: String,
    portal_id: String,
    external_id: String,
    name: String,
    email: String,
    address: Option<String>,
    tax_ids: String,
    metadata: String,
    default_payment_method: Option<String>,
    stripe_account: Option<String>,
    stripe_livemode: Option<bool>,
    stripe_id: Option<String>,
    stripe_at: Option<i64>,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

/// How an address is stored.
#[derive(Serialize, Deserialize)]
struct StoredAddress {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line1: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line2: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    city: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    postal_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    country: Option<String>,
}

impl From<&Address> for StoredAddress {
    fn from(address: &Address) -> Self {
        let Address {
            line1,
            line2,
            city,
            state,
            postal_code,
            country,
        } = address.clone();
        Self {
            line1,
            line2,
            city,
            state,
            postal_code,
            country,
        }
    }
}

impl From<StoredAddress> for Address {
    fn from(stored: StoredAddress) -> Self {
        Self {
            line1: stored.line1,
            line2: stored.line2,
            city: stored.city,
            state: stored.state,
            postal_code: stored.postal_code,
            country: stored.country,
        }
    }
}

/// How a tax id is stored.
#[derive(Serialize, Deserialize)]
struct StoredTaxId {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

fn unwritable(error: &serde_json::Error) -> StoreError {
    StoreError::Other(error.to_string())
}

impl TryFrom<&Customer> for CustomerRow {
    type Error = StoreError;

    fn try_from(customer: &Customer) -> Result<Self, StoreError> {
        let address = customer.address.as_ref().map(StoredAddress::from);
        let tax_ids: Vec<StoredTaxId> = customer
            .tax_ids
            .iter()
            .map(|tax_id| StoredTaxId {
                kind: tax_id.kind.clone(),
                value: tax_id.value.clone(),
            })
            .collect();
        let link = customer.stripe.as_ref();
        Ok(Self {
            id: customer.id.clone(),
            portal_id: customer.portal.to_string(),
            external_id: customer.external_id.clone(),
            name: customer.name.clone(),
            email: customer.email.clone(),
            address: address
                .map(|address| serde_json::to_string(&address))
                .transpose()
                .map_err(|error| unwritable(&error))?,
            tax_ids: serde_json::to_string(&tax_ids).map_err(|error| unwritable(&error))?,
            metadata: serde_json::to_string(&customer.metadata)
                .map_err(|error| unwritable(&error))?,
            default_payment_method: customer.default_payment_method.clone(),
            stripe_account: link.map(|link| link.account.clone()),
            stripe_livemode: link.map(|link| link.mode.livemode()),
            stripe_id: link.map(|link| link.id.clone()),
            stripe_at: customer.stripe_at.map(Timestamp::as_millis),
            version: customer.version,
            created_at: customer.created_at.as_millis(),
            updated_at: customer.updated_at.as_millis(),
        })
    }
}

impl TryFrom<CustomerRow> for Customer {
    type Error = StoreError;

    fn try_from(row: CustomerRow) -> Result<Self, StoreError> {
        let corrupt = StoreError::corrupt;
        let address = row
            .address
            .as_deref()
            .map(serde_json::from_str::<StoredAddress>);
        let tax_ids: Vec<StoredTaxId> =
            serde_json::from_str(&row.tax_ids).map_err(|_| corrupt("customers.tax_ids"))?;
        let link = row.stripe_account.zip(row.stripe_livemode);
        Ok(Self {
            id: row.id,
            portal: Slug::parse(&row.portal_id).ok_or_else(|| corrupt("customers.portal_id"))?,
            external_id: row.external_id,
            name: row.name,
            email: row.email,
            address: address
                .transpose()
                .map_err(|_| corrupt("customers.address"))?
                .map(Address::from),
            tax_ids: tax_ids
                .into_iter()
                .map(|StoredTaxId { kind, value }| TaxId { kind, value })
                .collect(),
            metadata: serde_json::from_str::<Metadata>(&row.metadata)
                .map_err(|_| corrupt("customers.metadata"))?,
            default_payment_method: row.default_payment_method,
            stripe: link
                .zip(row.stripe_id)
                .map(|((account, livemode), id)| StripeLink {
                    account,
                    mode: Mode::from_livemode(livemode),
                    id,
                }),
            stripe_at: row.stripe_at.map(Timestamp::from_millis),
            version: row.version,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

/// The customer of the portal that is named so. A macro, because each name makes another statement, and so
/// does each lock.
macro_rules! named {
    ($portal:expr, $name:expr, $c:ident $(, $lock:ident)?) => {
        match $name {
            CustomerRef::Id(id) => customers::table
                .find(id)
                .filter(customers::portal_id.eq($portal.as_str()))
                .select(CustomerRow::as_select())
                $(.$lock())?
                .first($c)
                .await
                .optional()?,
            CustomerRef::External(external) => customers::table
                .filter(customers::portal_id.eq($portal.as_str()))
                .filter(customers::external_id.eq(external))
                .select(CustomerRow::as_select())
                $(.$lock())?
                .first($c)
                .await
                .optional()?,
        }
    };
}

/// The customer of the portal that is named so.
///
/// # Errors
/// What the database answers.
pub async fn resolve(
    conn: &mut Conn,
    portal: &Slug,
    name: &CustomerRef,
) -> Result<Option<Customer>, StoreError> {
    let row: Option<CustomerRow> = db!(conn, c => named!(portal, name, c));
    row.map(Customer::try_from).transpose()
}

/// As [`resolve`]; nobody else changes the customer until the transaction ends. On SQLite a transaction
/// that writes is alone anyway.
///
/// # Errors
/// What the database answers.
pub async fn lock_named(
    conn: &mut Conn,
    portal: &Slug,
    name: &CustomerRef,
) -> Result<Option<Customer>, StoreError> {
    let Conn::Pg(pg) = conn else {
        return resolve(conn, portal, name).await;
    };
    let c = &mut pg.connection();
    let row: Option<CustomerRow> = named!(portal, name, c, for_update);
    row.map(Customer::try_from).transpose()
}

/// The customer of that id, in whichever portal.
///
/// # Errors
/// What the database answers.
pub async fn find(conn: &mut Conn, id: &str) -> Result<Option<Customer>, StoreError> {
    let row: Option<CustomerRow> = db!(conn, c => customers::table
        .find(id)
        .select(CustomerRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(Customer::try_from).transpose()
}

/// As [`find`]; nobody else changes the customer until the transaction ends. On SQLite a transaction
/// that writes is alone anyway.
///
/// # Errors
/// What the database answers.
pub async fn lock(conn: &mut Conn, id: &str) -> Result<Option<Customer>, StoreError> {
    let Conn::Pg(pg) = conn else {
        return find(conn, id).await;
    };
    let c = &mut pg.connection();
    let row: Option<CustomerRow> = customers::table
        .find(id)
        .select(CustomerRow::as_select())
        .for_update()
        .first(c)
        .await
        .optional()?;
    row.map(Customer::try_from).transpose()
}

/// Which customers a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this external id.
    pub external_id: Option<String>,
    /// Only made at or after this time.
    pub from: Option<Timestamp>,
    /// Only made before this time.
    pub before: Option<Timestamp>,
}

/// Up to `limit` customers of a portal, newest first, behind `after` (when it was made, its id).
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    portal: &Slug,
    filter: &Filter,
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<Customer>, StoreError> {
    let rows: Vec<CustomerRow> = db!(conn, c => {
        let mut query = customers::table
            .filter(customers::portal_id.eq(portal.as_str()))
            .select(CustomerRow::as_select())
            .into_boxed();
        if let Some(external_id) = &filter.external_id {
            query = query.filter(customers::external_id.eq(external_id));
        }
        if let Some(from) = filter.from {
            query = query.filter(customers::created_at.ge(from.as_millis()));
        }
        if let Some(before) = filter.before {
            query = query.filter(customers::created_at.lt(before.as_millis()));
        }
        if let Some((at, id)) = after {
            let at = at.as_millis();
            query = query.filter(
                customers::created_at
                    .lt(at)
                    .or(customers::created_at.eq(at).and(customers::id.lt(id))),
            );
        }
        query
            .order((customers::created_at.desc(), customers::id.desc()))
            .limit(limit)
            .load(c)
            .await?
    });
    rows.into_iter().map(Customer::try_from).collect()
}

/// Adds a customer; tells whether it did. It does not when the portal has one of that external id,
/// and then waits for another transaction that is adding it.
///
/// # Errors
/// What the database answers.
pub async fn insert(conn: &mut Conn, customer: &Customer) -> Result<bool, StoreError> {
    let row = CustomerRow::try_from(customer)?;
    let inserted = db!(conn, c => diesel::insert_into(customers::table)
        .values(&row)
        .on_conflict((customers::portal_id, customers::external_id))
        .do_nothing()
        .execute(c)
        .await)?;
    Ok(inserted == 1)
}

/// Stores a customer as it is now, if it is still at `expected_version`; tells whether it was.
///
/// # Errors
/// What the database answers.
pub async fn update(
    conn: &mut Conn,
    customer: &Customer,
    expected_version: i64,
) -> Result<bool, StoreError> {
    let row = CustomerRow::try_from(customer)?;
    let changed = db!(conn, c => diesel::update(
            customers::table
                .filter(customers::id.eq(&row.id))
                .filter(customers::version.eq(expected_version)),
        )
        .set(&row)
        .kept()
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// What the customer's live subscriptions are paid with: of each that is paid, the payment method it
/// names, if one; and how many there are in all, free ones included.
///
/// # Errors
/// What the database answers.
pub async fn live_subscriptions(
    conn: &mut Conn,
    customer: &str,
) -> Result<(Vec<Option<String>>, usize), StoreError> {
    let rows: Vec<(bool, Option<String>)> = db!(conn, c => subscriptions::table
        .filter(subscriptions::customer_id.eq(customer))
        .filter(subscriptions::ended_at.is_null())
        .select((subscriptions::paid, subscriptions::payment_method_id))
        .load(c)
        .await)?;
    let all = rows.len();
    let paid = rows.into_iter().filter(|(paid, _)| *paid);
    Ok((paid.map(|(_, method)| method).collect(), all))
}

/// Deletes a customer with its payment methods and its subscriptions, if it is still at
/// `expected_version`; tells whether it was.
///
/// # Errors
/// What the database answers.
pub async fn delete(conn: &mut Conn, id: &str, expected_version: i64) -> Result<bool, StoreError> {
    let deleted = db!(conn, c => diesel::delete(
            customers::table
                .find(id)
                .filter(customers::version.eq(expected_version)),
        )
        .execute(c)
        .await)?;
    Ok(deleted == 1)
}

/// The customers of these ids, in the order of their ids. Nobody else changes them until the transaction
/// ends; on SQLite a transaction that writes is alone anyway.
///
/// # Errors
/// What the database answers.
pub async fn lock_many(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Customer>, StoreError> {
    let rows: Vec<CustomerRow> = match conn {
        Conn::Pg(pg) => {
            let c = &mut pg.connection();
            customers::table
                .filter(customers::id.eq_any(ids))
                .order(customers::id)
                .select(CustomerRow::as_select())
                .for_update()
                .load(c)
                .await?
        }
        Conn::Lite(c, _) => {
            customers::table
                .filter(customers::id.eq_any(ids))
                .order(customers::id)
                .select(CustomerRow::as_select())
                .load(c)
                .await?
        }
    };
    rows.into_iter().map(Customer::try_from).collect()
}

/// The customers of these ids.
///
/// # Errors
/// What the database answers.
pub async fn find_many(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Customer>, StoreError> {
    let rows: Vec<CustomerRow> = db!(conn, c => customers::table
        .filter(customers::id.eq_any(ids))
        .select(CustomerRow::as_select())
        .load(c)
        .await)?;
    rows.into_iter().map(Customer::try_from).collect()
}
