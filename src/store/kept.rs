//! Statements that are prepared once for each connection.
//!
//! Diesel prepares each `UPDATE` and each upsert anew, because which columns they set may differ from call
//! to call. Ours set the same columns each time, or have a few forms.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

/// A statement whose text is one of a few.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<Q>(Q);

/// For statements whose text does not depend on how many rows or values they are about. Each text is kept
/// as long as its connection lives, by the text and the types of what is bound.
pub(super) trait Keep: Sized {
    /// The same, prepared once.
    fn kept(self) -> Kept<Self> {
        Kept(self)
    }
}

impl<Q> Keep for Q {}

impl<Q, DB> QueryFragment<DB> for Kept<Q>
where
    DB: Backend,
    Q: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q> QueryId for Kept<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Kept<Q> {
    type SqlType = Q::SqlType;
}

impl<Q, C> diesel::RunQueryDsl<C> for Kept<Q> {}

/// One column of many rows, for a statement that takes whole columns: its text does not depend on how many
/// rows there are, as that of `VALUES` would.
pub(super) fn column<'a, R, T>(rows: &'a [R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}
