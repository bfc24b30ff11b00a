//! Products, their plans, and the revisions of plans.

use diesel::prelude::*;

use super::conn::db;
use super::kept::RunQueryDsl;
use super::pricing;
use super::schema::{plan_revisions, plans, products};
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::catalog::{
    KnownPlan, Plan, PlanOnOffer, PlanRevision, PriceAtStripe, Product, ProductAtStripe,
    ProductState, StoredPlan,
};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::domain::stripe_link::StripeLink;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = products, treat_none_as_default_value = false)]
struct ProductRow {
    portal_id: String,
    id: String,
    title: String,
    product_version: String,
    description: String,
    state: String,
    nonce: String,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = plans, treat_none_as_default_value = false)]
struct PlanRow {
    portal_id: String,
    product_id: String,
    id: String,
    place: i32,
    title: String,
    description: String,
    approval_required: bool,
    revision: i64,
    withdrawn_at: Option<i64>,
    stripe_account: Option<String>,
    stripe_livemode: Option<bool>,
    stripe_product: Option<String>,
    stripe_name: Option<String>,
    stripe_archived: bool,
    created_at: i64,
    updated_at: i64,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = plan_revisions, treat_none_as_default_value = false)]
struct RevisionRow {
    portal_id: String,
    product_id: String,
    plan_id: String,
    revision: i64,
    pricing: String,
    stripe_account: Option<String>,
    stripe_livemode: Option<bool>,
    stripe_price: Option<String>,
    stripe_archived: bool,
    created_at: i64,
}

fn slug(text: &str, column: &str) -> Result<Slug, StoreError> {
    Slug::parse(text).ok_or_else(|| StoreError::corrupt(column))
}

fn link(account: Option<String>, livemode: Option<bool>, id: Option<String>) -> Option<StripeLink> {
    Some(StripeLink {
        account: account?,
        mode: Mode::from_livemode(livemode?),
        id: id?,
    })
}

fn state(text: &str) -> Result<ProductState, StoreError> {
    ProductState::parse(text).ok_or_else(|| StoreError::corrupt("products.state"))
}

impl ProductRow {
    fn with(self, plans: Vec<StoredPlan>) -> Result<Product, StoreError> {
        Ok(Product {
            id: slug(&self.id, "products.id")?,
            title: self.title,
            version: self.product_version,
            description: self.description,
            state: state(&self.state)?,
            nonce: self.nonce,
            plans,
            changes: self.version,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
        })
    }
}

fn plan(row: &PlanRow, pricing: &str) -> Result<Plan, StoreError> {
    Ok(Plan {
        id: slug(&row.id, "plans.id")?,
        title: row.title.clone(),
        description: row.description.clone(),
        approval_required: row.approval_required,
        pricing: pricing::read(pricing)?,
        revision: row.revision,
    })
}

fn stored_plan((row, revision): (PlanRow, RevisionRow)) -> Result<StoredPlan, StoreError> {
    let known = KnownPlan {
        plan: plan(&row, &revision.pricing)?,
        withdrawn: row.withdrawn_at.is_some(),
    };
    let product = link(row.stripe_account, row.stripe_livemode, row.stripe_product);
    let price = link(
        revision.stripe_account,
        revision.stripe_livemode,
        revision.stripe_price,
    );
    Ok(StoredPlan {
        known,
        product: product.map(|link| ProductAtStripe {
            link,
            name: row.stripe_name.unwrap_or_default(),
            archived: row.stripe_archived,
        }),
        price: price.map(|link| PriceAtStripe {
            link,
            archived: revision.stripe_archived,
        }),
    })
}

/// The plan and its product as somebody who wants to subscribe meets them; one query. In a
/// transaction on PostgreSQL the product cannot be retired or deleted until it ends, so that nobody
/// subscribes to what is going away.
///
/// # Errors
/// What the database answers.
pub async fn plan_for_subscribing(
    conn: &mut Conn,
    portal: &Slug,
    product: &Slug,
    id: &Slug,
) -> Result<Option<PlanOnOffer>, StoreError> {
    type Row = (String, String, PlanRow, RevisionRow);
    let found = || {
        products::table
            .inner_join(
                plans::table.on(plans::portal_id
                    .eq(products::portal_id)
                    .and(plans::product_id.eq(products::id))),
            )
            .inner_join(
                plan_revisions::table.on(plan_revisions::portal_id
                    .eq(plans::portal_id)
                    .and(plan_revisions::product_id.eq(plans::product_id))
                    .and(plan_revisions::plan_id.eq(plans::id))
                    .and(plan_revisions::revision.eq(plans::revision))),
            )
            .filter(products::portal_id.eq(portal.as_str()))
            .filter(products::id.eq(product.as_str()))
            .filter(plans::id.eq(id.as_str()))
    };
    // What is selected differs in type between the engines.
    macro_rules! shown {
        () => {
            (
                products::state,
                products::title,
                PlanRow::as_select(),
                RevisionRow::as_select(),
            )
        };
    }
    let row: Option<Row> = match conn {
        Conn::Pg(pg) => {
            let c = &mut pg.connection();
            found()
                .select(shown!())
                .for_key_share()
                .first(c)
                .await
                .optional()?
        }
        Conn::Lite(c, _) => found().select(shown!()).first(c).await.optional()?,
    };
    let Some((product_state, product_title, plan, revision)) = row else {
        return Ok(None);
    };
    let StoredPlan {
        known,
        product,
        price,
    } = stored_plan((plan, revision))?;
    Ok(Some(PlanOnOffer {
        product_state: state(&product_state)?,
        product_title,
        plan: known.plan,
        withdrawn: known.withdrawn,
        stripe_product: product.map(|product| product.link),
        stripe_price: price
            .filter(|price| !price.archived)
            .map(|price| price.link),
    }))
}

/// A revision of a plan, which stays as it is for its subscribers.
///
/// # Errors
/// What the database answers.
pub async fn revision(
    conn: &mut Conn,
    portal: &Slug,
    product: &Slug,
    plan: &Slug,
    revision: i64,
) -> Result<Option<PlanRevision>, StoreError> {
    let row: Option<RevisionRow> = db!(conn, c => plan_revisions::table
        .find((portal.as_str(), product.as_str(), plan.as_str(), revision))
        .select(RevisionRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(|row| {
        Ok(PlanRevision {
            pricing: pricing::read(&row.pricing)?,
            stripe_price: link(row.stripe_account, row.stripe_livemode, row.stripe_price),
        })
    })
    .transpose()
}

/// The product of that name.
///
/// # Errors
/// What the database answers.
pub async fn find(
    conn: &mut Conn,
    portal: &Slug,
    id: &Slug,
) -> Result<Option<Product>, StoreError> {
    let row: Option<ProductRow> = db!(conn, c => products::table
        .find((portal.as_str(), id.as_str()))
        .select(ProductRow::as_select())
        .first(c)
        .await
        .optional())?;
    match row {
        Some(row) => with_plans(conn, portal, vec![row])
            .await
            .map(|mut found| found.pop()),
        None => Ok(None),
    }
}

/// As [`find`]; nobody else changes the product, and nobody subscribes to it, until the transaction
/// ends. On SQLite a transaction that writes is alone anyway.
///
/// # Errors
/// What the database answers.
pub async fn lock(
    conn: &mut Conn,
    portal: &Slug,
    id: &Slug,
) -> Result<Option<Product>, StoreError> {
    if let Conn::Pg(pg) = conn {
        let c = &mut pg.connection();
        let _locked: Option<String> = products::table
            .find((portal.as_str(), id.as_str()))
            .select(products::id)
            .for_update()
            .first(c)
            .await
            .optional()?;
    }
    find(conn, portal, id).await
}

/// Which products a list shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only in this state.
    pub state: Option<ProductState>,
    /// Only those that have or may have subscribers.
    pub for_subscribers: bool,
}

/// Up to `limit` products of a portal, newest first, behind `after` (when it was made, its id).
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    portal: &Slug,
    filter: Filter,
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<Product>, StoreError> {
    let states: Vec<&str> = ProductState::ALL
        .iter()
        .filter(|state| filter.state.is_none_or(|only| only == **state))
        .filter(|state| !filter.for_subscribers || state.keeps_subscribers())
        .map(|state| state.as_str())
        .collect();
    let rows: Vec<ProductRow> = db!(conn, c => {
        let mut query = products::table
            .filter(products::portal_id.eq(portal.as_str()))
            .select(ProductRow::as_select())
            .into_boxed();
        if states.len() < ProductState::ALL.len() {
            query = query.filter(products::state.eq_any(&states));
        }
        if let Some((at, id)) = after {
            let at = at.as_millis();
            query = query.filter(
                products::created_at.lt(at).or(products::created_at.eq(at).and(products::id.lt(id))),
            );
        }
        query
            .order((products::created_at.desc(), products::id.desc()))
            .limit(limit)
            .load(c)
            .await?
    });
    with_plans(conn, portal, rows).await
}

/// The products with their plans, each with its current revision; one query for all.
async fn with_plans(
    conn: &mut Conn,
    portal: &Slug,
    rows: Vec<ProductRow>,
) -> Result<Vec<Product>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let found: Vec<(PlanRow, RevisionRow)> = db!(conn, c => plans::table
        .inner_join(
            plan_revisions::table.on(plan_revisions::portal_id
                .eq(plans::portal_id)
                .and(plan_revisions::product_id.eq(plans::product_id))
                .and(plan_revisions::plan_id.eq(plans::id))
                .and(plan_revisions::revision.eq(plans::revision))),
        )
        .filter(plans::portal_id.eq(portal.as_str()))
        .filter(plans::product_id.eq_any(&ids))
        .order((plans::product_id, plans::withdrawn_at.is_not_null(), plans::place, plans::id))
        .select((PlanRow::as_select(), RevisionRow::as_select()))
        .load(c)
        .await)?;
    let mut of_product: std::collections::HashMap<String, Vec<StoredPlan>> =
        std::collections::HashMap::with_capacity(rows.len());
    for row in found {
        let product = row.0.product_id.clone();
        of_product
            .entry(product)
            .or_default()
            .push(stored_plan(row)?);
    }
    rows.into_iter()
        .map(|row| {
            let plans = of_product.remove(&row.id).unwrap_or_default();
            row.with(plans)
        })
        .collect()
}

/// Adds a product without plans.
///
/// # Errors
/// [`super::Unique::Product`] when the name is taken.
pub async fn insert(conn: &mut Conn, portal: &Slug, product: &Product) -> Result<(), StoreError> {
    let row = product_row(portal, product);
    db!(conn, c => diesel::insert_into(products::table).values(&row).execute(c).await)?;
    Ok(())
}

fn product_row(portal: &Slug, product: &Product) -> ProductRow {
    ProductRow {
        portal_id: portal.to_string(),
        id: product.id.to_string(),
        title: product.title.clone(),
        product_version: product.version.clone(),
        description: product.description.clone(),
        state: product.state.as_str().to_owned(),
        nonce: product.nonce.clone(),
        version: product.changes,
        created_at: product.created_at.as_millis(),
        updated_at: product.updated_at.as_millis(),
    }
}

/// Stores the product itself, not its plans, if it is still at `expected` changes; tells whether it
/// was.
///
/// # Errors
/// What the database answers.
pub async fn update(
    conn: &mut Conn,
    portal: &Slug,
    product: &Product,
    expected: i64,
) -> Result<bool, StoreError> {
    let row = product_row(portal, product);
    let changed = db!(conn, c => diesel::update(
            products::table
                .find((&row.portal_id, &row.id))
                .filter(products::version.eq(expected)),
        )
        .set((
            products::title.eq(&row.title),
            products::product_version.eq(&row.product_version),
            products::description.eq(&row.description),
            products::state.eq(&row.state),
            products::version.eq(row.version),
            products::updated_at.eq(row.updated_at),
        ))
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// Deletes a product with its plans and their revisions, if it is still at `expected` changes; tells
/// whether it was.
///
/// # Errors
/// What the database answers.
pub async fn delete(
    conn: &mut Conn,
    portal: &Slug,
    id: &Slug,
    expected: i64,
) -> Result<bool, StoreError> {
    let deleted = db!(conn, c => diesel::delete(
            products::table
                .find((portal.as_str(), id.as_str()))
                .filter(products::version.eq(expected)),
        )
        .execute(c)
        .await)?;
    Ok(deleted == 1)
}
