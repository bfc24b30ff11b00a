//! List answers: cursors, limits, `created` ranges.

use serde_json::{Value, json};

use super::errors::StripeError;
use super::router::Ctx;
use crate::params::Params;
use crate::store::{Store, Stored};

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: String,
    pub(crate) has_more: bool,
    pub(crate) data: Vec<Value>,
}

impl Page {
    pub(crate) fn into_json(self) -> Value {
        json!({
            "object": "list",
            "data": self.data,
            "has_more": self.has_more,
            "url": self.url,
        })
    }
}

/// A list that stands inside an object, whole or cut at ten, as Stripe embeds them.
pub(crate) fn embedded(url: impl Into<String>, mut data: Vec<Value>, total: usize) -> Value {
    let has_more = total > data.len();
    data.shrink_to_fit();
    json!({ "object": "list", "data": data, "has_more": has_more, "url": url.into() })
}

/// Answers a list call over a store: cursor, limit, `created` range, and the filter given.
///
/// `key` narrows by a secondary index, so that a customer's few objects are found without a scan.
/// `what` is the word in "No such …" when the cursor is unknown.
pub(crate) fn list<T: Stored>(
    ctx: &Ctx<'_>,
    params: Params<'_>,
    store: &Store<T>,
    what: &str,
    key: Option<(&str, &str)>,
    keep: impl Fn(&T) -> bool,
    render: impl Fn(&T) -> Value,
) -> Result<Page, StripeError> {
    let limit = limit(params)?;
    let range = Range::of(params, "created");
    let wanted = |object: &&T| range.contains(object.created()) && keep(object);
    let (after, before) = (params.text("starting_after"), params.text("ending_before"));
    if after.is_some() && before.is_some() {
        return Err(StripeError::invalid(
            "You cannot use both `starting_after` and `ending_before` in the same request.",
        )
        .param("starting_after"));
    }
    let (data, has_more) = if let Some(cursor) = before {
        let found = store
            .before(key, cursor)
            .ok_or_else(|| StripeError::no_such_in(what, cursor, "ending_before"))?;
        let mut page: Vec<&T> = found.filter(wanted).take(limit + 1).collect();
        let has_more = page.len() > limit;
        page.truncate(limit);
        page.reverse();
        (page, has_more)
    } else {
        let found = store.after(key, after).ok_or_else(|| {
            StripeError::no_such_in(what, after.unwrap_or_default(), "starting_after")
        })?;
        // A stale list lacks its newest objects.
        let stale = if after.is_none() {
            ctx.request.stale
        } else {
            0
        };
        let mut page: Vec<&T> = found.filter(wanted).skip(stale).take(limit + 1).collect();
        let has_more = page.len() > limit;
        page.truncate(limit);
        (page, has_more)
    };
    let data = data.into_iter().map(render).collect();
    Ok(Page {
        url: ctx.request.path.clone(),
        has_more,
        data,
    })
}

/// `limit`: 1 to 100, 10 by default.
pub(crate) fn limit(params: Params<'_>) -> Result<usize, StripeError> {
    let invalid = |message: String| {
        StripeError::invalid(message)
            .code("parameter_invalid_integer")
            .param("limit")
    };
    match params.integer("limit") {
        None => Ok(10),
        Some(limit) if limit < 1 => Err(invalid(
            "This value must be greater than or equal to 1.".to_owned(),
        )),
        Some(limit) if limit > 100 => Err(invalid(format!(
            "This value must be less than or equal to 100 (it currently is '{limit}')."
        ))),
        Some(limit) => Ok(usize::try_from(limit).unwrap_or(10)),
    }
}

/// A range parameter such as `created`: an exact second, or bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    from: i64,
    to: i64,
}

impl Range {
    pub(crate) fn of(params: Params<'_>, name: &str) -> Self {
        let mut range = Self {
            from: i64::MIN,
            to: i64::MAX,
        };
        if let Some(exact) = params.integer(name) {
            return Self {
                from: exact,
                to: exact,
            };
        }
        if let Some(bounds) = params.child(name) {
            let gt = bounds.integer("gt").map(|at| at.saturating_add(1));
            let lt = bounds.integer("lt").map(|at| at.saturating_sub(1));
            range.from = range.from.max(gt.unwrap_or(i64::MIN));
            range.from = range.from.max(bounds.integer("gte").unwrap_or(i64::MIN));
            range.to = range.to.min(lt.unwrap_or(i64::MAX));
            range.to = range.to.min(bounds.integer("lte").unwrap_or(i64::MAX));
        }
        range
    }

    pub(crate) fn contains(self, at: i64) -> bool {
        self.from <= at && at <= self.to
    }
}
